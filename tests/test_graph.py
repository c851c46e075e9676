"""Whole iterations: against the NumPy model, what is left alone, and what is executed."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    FORMS,
    LAYERS,
    WINOGRAD_FORMS,
    fits,
    relative_error,
    start_weights,
    tiny_case,
    wherever_it_fits,
)
from numpy_model import NumpyTrainer

from unfair_bp.backprop import graph as graph_module
from unfair_bp.backprop.fast.library import LibraryConvolution
from unfair_bp.backprop.graph import build_graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.network import Block, Network, Rules
from unfair_bp.experiment import schedules


def started_session(graph, weights):
    session = tf.Session(graph=graph.graph)
    session.run(graph.initializer, graph.start(weights))
    return session


def read_state(session, graph):
    """Weights, m, v and counts of all layers, and the step."""
    layers, step = session.run((graph.layers, graph.step))
    return {
        "weights": [layer.w for layer in layers],
        "m": [layer.m for layer in layers],
        "v": [layer.v for layer in layers],
        "counts": [layer.count for layer in layers],
        "step": [step],
    }


@pytest.mark.parametrize("schedule", ["fair", "back", "front", "single", "random:4:6:2", "9;1,4-5"])
def test_training_matches_the_numpy_model(schedule, batch):
    """Breaks on a wrong row, update, moment, count or bias correction, or a weight read late."""
    case = tiny_case("a", schedule=schedule, learning_rate=3e-3, beta2=0.8, epsilon=1e-3)
    graph = build_graph(case, dtype=tf.float64)
    weights = start_weights(case)
    table = schedules.parse(schedule).table
    model = NumpyTrainer(weights, table, 3e-3, 0.9, 0.8, 1e-3)
    random = np.random.RandomState(8)
    with started_session(graph, weights) as session:
        for iteration in range(len(table) + 2):
            images, labels = random.permutation(batch[0]), random.permutation(batch[1])
            feed = {graph.images: images, graph.labels: labels}
            before = read_state(session, graph)
            _, costs, predictions = session.run(
                (graph.train, graph.outputs.costs, graph.outputs.predictions), feed
            )
            after = read_state(session, graph)
            cost, accuracy = model.step(images, labels)

            assert np.mean(costs) == pytest.approx(cost, rel=1e-11)
            assert np.mean(predictions == labels) == accuracy
            assert after["step"] == [iteration + 1]
            assert after["counts"] == list(model.counts)
            for name in ("weights", "m", "v"):
                for i, updated in enumerate(table[iteration % len(table)]):
                    actual, expected = after[name][i], getattr(model, name)[i]
                    if updated:
                        assert relative_error(actual, expected) <= 1e-9
                        assert not np.array_equal(actual, before[name][i])
                    else:
                        assert actual.tobytes() == before[name][i].tobytes()


def test_forward_alone_updates_nothing(batch):
    """Breaks if fetching the logits, as an evaluation does, also trains."""
    case = tiny_case("c")
    graph = build_graph(case, dtype=tf.float64)
    with started_session(graph, start_weights(case)) as session:
        before = read_state(session, graph)
        session.run(
            (graph.outputs.logits, graph.outputs.costs),
            {graph.images: batch[0], graph.labels: batch[1]},
        )
        after = read_state(session, graph)
    for name in before:
        for a, b in zip(before[name], after[name]):
            np.testing.assert_array_equal(a, b)


def executed_operations(graph, session, batch):
    """Names of the operations that one iteration executes."""
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    metadata = tf.RunMetadata()
    feed = {graph.images: batch[0], graph.labels: batch[1]}
    session.run(graph.train, feed, options=options, run_metadata=metadata)
    return {
        node.node_name.split(":")[0]
        for device in metadata.step_stats.dev_stats
        for node in device.node_stats
    }


CONVOLUTIONS = ("Conv2D", "MatMul", "BatchMatMulV2", "Conv2DBackpropInput", "Conv2DBackpropFilter")
# The innermost pass that an operation's name tells.
PASS = r".*\b(forward|pre_activation_grad|param_grad|input_grad)/"
# Every derivative as one operation, so that operations can be counted.
ONE_OPERATION = Rules(convolution=lambda layer: LibraryConvolution())


def convolutions_by_pass(executed, graph):
    """How many convolutions, or matrix products in their place, ran in each of the passes."""
    kinds = {op.name: op.type for op in graph.graph.get_operations()}
    counts = Counter()
    for name in executed:
        if kinds.get(name) in CONVOLUTIONS:
            counts[re.match(PASS, name).group(1)] += 1
    return counts


# Changes of basis, and between them six small convolutions: one operation each, or one in all, or
# three products each for the places of a 3 x 1 kernel.
WINOGRAD_COUNTS = {
    "split": {
        "forward": 3 + 6,
        "pre_activation_grad": 1,
        "input_grad": 2 + 6,
        "param_grad": 1 + 6,
    },
    "grouped": {
        "forward": 3 + 1,
        "pre_activation_grad": 1,
        "input_grad": 2 + 1,
        "param_grad": 1 + 6 * 3,
    },
}


def predicted_convolutions(row, form):
    """What the matrix says: nine forward, dw where updated, dx above the lowest updated layer."""
    lowest = int(np.argmax(row))
    counts = {
        "forward": [1] * 9,
        "param_grad": [1] * 9,
        "input_grad": [1] * 9,
        "pre_activation_grad": [0] * 9,
    }
    for i, layer in enumerate(LAYERS):
        if form in WINOGRAD_FORMS and fits(form, layer):
            for name, count in WINOGRAD_COUNTS[form].items():
                counts[name][i] = count
    counts = Counter(
        forward=sum(counts["forward"]),
        param_grad=int(row @ counts["param_grad"]),
        input_grad=sum(counts["input_grad"][lowest + 1 :]),
        pre_activation_grad=sum(counts["pre_activation_grad"][lowest:]),
    )
    # The plus drops what is not executed at all, as a count of what is executed does.
    return +counts


def executed_and_predicted(case, batch, form="library"):
    """For each row of the case's schedule, what ran and what should have."""
    graph = build_graph(case, Rules(convolution=wherever_it_fits(form)))
    table = schedules.parse(case.schedule).table
    with started_session(graph, start_weights(case)) as session:
        for row in table:
            executed = executed_operations(graph, session, batch)
            yield convolutions_by_pass(executed, graph), predicted_convolutions(row, form)


@pytest.mark.parametrize("schedule", ["fair", "back", "front", "single", "9;1,4-5"])
def test_executed_convolutions_are_what_the_matrix_predicts(schedule, batch):
    """Breaks if an operation of a layer that is skipped runs, or one that is needed does not."""
    for executed, predicted in executed_and_predicted(tiny_case("a", schedule=schedule), batch):
        assert executed == predicted


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_convolution_stays_in_its_branch(form, batch):
    """Breaks if a form of the convolution creates operations outside the branch it is used in."""
    for executed, predicted in executed_and_predicted(tiny_case("c"), batch, form):
        assert executed == predicted


class EagerBlock(Block):
    """A block whose weight gradient is created outside its branch, where TensorFlow runs it."""

    def pre_activation_grad(self, dy, cache):
        dz = super().pre_activation_grad(dy, cache)
        with tf.name_scope("param_grad"):
            self.early = super().param_grad(dz, cache)
        return dz

    def param_grad(self, dz, cache):
        return tf.identity(self.early)


class EagerNetwork(Network):
    """A network of such blocks."""

    def __init__(self, layers, rules):
        super().__init__(layers, rules)
        self.blocks = [EagerBlock(block.convolution, block.steps) for block in self.blocks]


def test_an_operation_outside_its_branch_is_seen(batch, monkeypatch):
    """Breaks if the count above would miss a weight gradient that always runs."""
    monkeypatch.setattr(graph_module, "Network", EagerNetwork)
    surplus = [
        executed["param_grad"] - predicted["param_grad"]
        for executed, predicted in executed_and_predicted(tiny_case("e"), batch)
    ]
    assert surplus == [8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "quirks, operations",
    [
        # One pass over weight, m and v, and the count; moved first, each is assigned by itself.
        ((), {"ResourceApplyAdam": 1, "AssignVariableOp": 1}),
        (("adam-constant",), {"ResourceApplyAdam": 1, "AssignVariableOp": 1}),
        (("update-first",), {"AssignVariableOp": 4}),
    ],
)
def test_updates_of_skipped_layers_are_not_executed(quirks, operations, batch):
    """Breaks if a skipped layer's update runs, even one that changes nothing."""
    case = tiny_case("c", quirks=quirks)
    graph = build_graph(case)
    kinds = {op.name: op.type for op in graph.graph.get_operations()}
    table = schedules.parse("back").table
    with started_session(graph, start_weights(case)) as session:
        for row in table:
            executed = executed_operations(graph, session, batch)
            updates = Counter(
                kinds[name]
                for name in executed
                if kinds.get(name) in ("ResourceApplyAdam", "AssignVariableOp")
            )
            assert updates == {kind: times * row.sum() for kind, times in operations.items()}


def test_each_weight_is_read_once(batch):
    """Breaks if the backward chain reads a weight again, when it may have been updated."""
    graph = build_graph(tiny_case("a"))
    for weight in graph.weights:
        readers = [
            op
            for op in graph.graph.get_operations()
            if op.type == "ReadVariableOp" and op.inputs[0] is weight.handle
        ]
        in_training = [op for op in readers if op.name.startswith(("forward", "backward"))]
        assert len(in_training) == 1
        assert in_training[0].name.startswith("forward")


def test_no_automatic_differentiation_in_the_graph_or_the_package():
    """Breaks if a gradient comes from TensorFlow instead of a hand-written rule."""
    types = set()
    for form in FORMS:
        graph = build_graph(tiny_case("c"), Rules(convolution=wherever_it_fits(form)))
        types |= {op.type for op in graph.graph.get_operations()}
    # The rules name three of TensorFlow's kernels for their own formulas.
    assert {t for t in types if "Backprop" in t or t.endswith("Grad")} == {
        "Conv2DBackpropInput",
        "Conv2DBackpropFilter",
        "EluGrad",
    }
    package = Path(graph_module.__file__).parent.parent
    sources = {
        path.relative_to(package).as_posix(): path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
    }
    assert "backprop/graph.py" in sources
    # What the benchmark compares with, and nothing else.
    derived = r"tf\.gradients|GradientTape|compute_gradients|apply_gradients|minimize\("
    with_gradients = [name for name, text in sources.items() if re.search(derived, text)]
    assert with_gradients == ["measuring/autodiff.py"]
    users = r"import .*autodiff|from unfair_bp\.measuring\.autodiff"
    its_users = [name for name, text in sources.items() if re.search(users, text)]
    assert its_users == ["measuring/subjects.py"]


def test_any_batch_size(batch):
    """Breaks if a shape is fixed to the case's batch: the last one of an epoch may be short."""
    case = tiny_case("a", learning_rate=1e-3)
    graph = build_graph(case, dtype=tf.float64)
    weights = start_weights(case)
    model = NumpyTrainer(weights, schedules.parse("fair").table, 1e-3, 0.9, 0.9, 1e-8)
    with started_session(graph, weights) as session:
        for size in (4, 1, 3):
            images, labels = batch[0][:size], batch[1][:size]
            session.run(graph.train, {graph.images: images, graph.labels: labels})
            model.step(images, labels)
        actual = session.run(graph.weights)
    assert max(relative_error(a, b) for a, b in zip(actual, model.weights)) <= 1e-9
