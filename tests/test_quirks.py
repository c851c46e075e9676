"""Each entry of the ledger: the rule, its effect on a whole step, and that it is off by default."""

import hashlib
from dataclasses import replace

import numpy as np
import numpy_model
import pytest
from conftest import LAYERS, relative_error, start_weights, tiny_case
from test_graph import read_state, started_session
from test_network import GatedGradients

from unfair_bp import quirks
from unfair_bp.backprop import scripts
from unfair_bp.backprop.graph import build_graph, optimizer_of, starting_weights
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.network import Rules
from unfair_bp.backprop.scripts import rules_with
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import CASES, schedule_of

EXACT = 1e-10
SCRIPTS_WEIGHTS = "a9d174537cb4b5969b15259f1e1c4fc3ef4fe193a726bfa0c39f7135b8d9e6d1"  # SHA-256
IN_GRADIENTS = ("elu-slope", "pool-repeat", "sum-loss")
IN_UPDATES = ("adam-constant", "update-first")
COMBINATIONS = [(name,) for name in IN_GRADIENTS] + [IN_GRADIENTS]


def test_the_ledger_is_that_of_the_reference():
    """Breaks if an entry is missing, or charged to a case whose script did not have it."""
    assert {name: quirk.cases for name, quirk in ledger.LEDGER.items()} == {
        "elu-slope": "cdef",
        "pool-repeat": "cdef",
        "sum-loss": "cdef",
        "adam-constant": "cdef",
        "update-first": "cdef",
        "double-softmax-cost": "cdef",
        "imgaug-uint8": "bdf",
        "collapsed-rounds": "cdef",
    }
    assert ledger.as_run("a") == ()
    assert ledger.as_run("b") == ("imgaug-uint8",)
    assert set(ledger.as_run("c")) == set(ledger.LEDGER) - {"imgaug-uint8"}
    assert set(ledger.as_run("f")) == set(ledger.LEDGER)
    assert ledger.as_run("de") == ledger.as_run("") == ()  # names of the user's own


def test_every_case_is_as_described_by_default():
    """Breaks if a quirk is on without being asked for."""
    assert all(case.quirks == () for case in CASES.values())
    assert rules_with(()) == Rules() == rules_with(["adam-constant", "collapsed-rounds"])


def test_names_are_checked():
    """Breaks if a misspelt quirk is quietly left out."""
    with pytest.raises(UsageError, match="quirks 'elu' is not known; give one of elu-slope"):
        tiny_case("c", quirks=("elu",))
    with pytest.raises(UsageError, match="quirks sum-loss is given twice"):
        tiny_case("c", quirks=("sum-loss", "sum-loss"))


def surrogate_gradients(weights, images, labels, names):
    """Automatic derivatives of a graph that has the quirks in its derivative, not in its values.

    ``f(x) + g(x) - stop_gradient(g(x))`` has the value of f and the slope of f + g.
    """

    def with_slope_of(f, g):
        return f + g - tf.stop_gradient(g)

    with tf.Graph().as_default(), tf.Session() as session:
        kernels = [tf.constant(w) for w in weights]
        y = tf.constant(images)
        for number, kernel in enumerate(kernels, start=1):
            z = tf.nn.conv2d(y, kernel, strides=1, padding="SAME")
            y = tf.nn.elu(z)
            if "elu-slope" in names:
                y = with_slope_of(y, tf.nn.relu(z))
            if number in (3, 6):
                y = tf.nn.avg_pool2d(y, 2, 2, "VALID")
                if "pool-repeat" in names:
                    y = with_slope_of(y, 3 * y)
        logits = tf.reduce_mean(y, [1, 2])
        if "pool-repeat" in names:
            logits = with_slope_of(logits, 63 * logits)
        costs = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        cost = tf.reduce_sum(costs) if "sum-loss" in names else tf.reduce_mean(costs)
        return session.run(tf.gradients(cost, kernels))


@pytest.mark.parametrize("names", COMBINATIONS, ids=["+".join(c) for c in COMBINATIONS])
def test_gradients_against_a_surrogate_and_the_numpy_model(names, batch):
    """Breaks if a quirk is not what the scripts computed, or two of them do not combine."""
    case = tiny_case("a")
    weights = start_weights(case)
    gated = GatedGradients(case, weights, rules_with(names))
    with tf.Session(graph=gated.graph) as session:
        actual = gated.run_row(session, 0, batch)
    surrogate = surrogate_gradients(weights, *batch, names)
    _, oracle = numpy_model.gradients(weights, *batch, quirks=names)
    _, exact = numpy_model.gradients(weights, *batch)
    for i in range(9):
        assert relative_error(actual[i], surrogate[i]) <= EXACT
        assert relative_error(actual[i], oracle[i]) <= EXACT
        assert relative_error(actual[i], exact[i]) > 1e-3


@pytest.mark.parametrize(
    "names", [("adam-constant",), ("update-first",), IN_UPDATES, IN_GRADIENTS + IN_UPDATES]
)
@pytest.mark.parametrize("schedule", ["back", "fair"])
def test_training_with_quirks_matches_the_numpy_model(names, schedule, batch):
    """Breaks if an update quirk is another one than the NumPy model's, in any combination."""
    case = tiny_case("a", schedule=schedule, quirks=names, learning_rate=1e-3, epsilon=1e-3)
    graph = build_graph(case, dtype=tf.float64)
    weights = start_weights(case)
    table = schedule_of(case).table
    model = numpy_model.NumpyTrainer(weights, table, 1e-3, 0.9, 0.9, 1e-3, names)
    with started_session(graph, weights) as session:
        for _ in range(len(table) + 2):
            session.run(graph.train, {graph.images: batch[0], graph.labels: batch[1]})
            model.step(*batch)
        state = read_state(session, graph)
    for i in range(9):
        moved = state["weights"][i] - weights[i]
        assert relative_error(moved, model.weights[i] - weights[i]) <= 1e-8
        assert relative_error(state["m"][i], model.m[i]) <= 1e-8
        assert relative_error(state["v"][i], model.v[i]) <= 1e-8


def test_adam_constant_by_hand():
    """Breaks if the scripts' corrections depend on the step, or the betas are mixed up."""
    with tf.Graph().as_default(), tf.Session() as session:
        for t in (1.0, 7.0):
            tensor = tf.constant(t, tf.float64)
            case = tiny_case("a", beta1=0.9, beta2=0.7, quirks=("adam-constant",))
            constant = optimizer_of(case).powers(tensor)
            assert session.run(constant) == pytest.approx((0.9, 0.7))
            powers = optimizer_of(replace(case, quirks=())).powers(tensor)
            assert session.run(powers) == pytest.approx((0.9**t, 0.7**t))


def test_update_first_moves_nothing_at_first(batch):
    """Breaks if the first update already uses its own gradient."""
    case = tiny_case("a", quirks=("update-first",))
    graph = build_graph(case)
    weights = start_weights(case)
    with started_session(graph, weights) as session:
        before = read_state(session, graph)
        session.run(graph.train, {graph.images: batch[0], graph.labels: batch[1]})
        after = read_state(session, graph)
    for i in range(9):
        np.testing.assert_array_equal(after["weights"][i], before["weights"][i])
        assert np.abs(after["m"][i]).max() > 0
        assert after["counts"][i] == 1


def test_update_first_stores_nothing_before_the_move_has_read_it():
    """Breaks if a new moment may be stored while the step by the old one is still to be computed.

    One thread always reads in time, so the graph itself is looked at.
    """
    optimizer = optimizer_of(tiny_case("a", quirks=("update-first",)))
    with tf.Graph().as_default() as graph:
        state = optimizer.create(tf.ones([3]))
        moved = tf.identity(tf.ones([3]), name="moved")
        earlier = set(graph.get_operations())
        optimizer.update(state, moved, tf.ones([3]))
        added = [op for op in graph.get_operations() if op not in earlier]
        reads = [op for op in added if op.type == "ReadVariableOp"]
    assert len(reads) >= 3
    assert all(moved.op in op.control_inputs for op in reads)


def test_update_first_is_adam_half_an_iteration_early(batch):
    """Breaks if the gradient is taken before the move, or layer 1 is seen after it.

    With layer 1 left alone, the weights of n + 1 iterations are those of Adam after n; and layer 1
    is seen as it was before the move, the others after it.
    """
    images, labels = batch
    states = {}
    for names, count in (((), 3), (("update-first",), 4)):
        case = tiny_case("a", quirks=names, schedule="2-9", learning_rate=1e-2)
        graph = build_graph(case, dtype=tf.float64)
        with started_session(graph, start_weights(case)) as session:
            for _ in range(count):
                session.run(graph.train, {graph.images: images, graph.labels: labels})
            states[names] = read_state(session, graph)["weights"]
    for a, b in zip(states[()], states["update-first",]):
        np.testing.assert_allclose(a, b, rtol=1e-10)

    case = tiny_case("a", quirks=("update-first",), learning_rate=1e-2)
    graph = build_graph(case, dtype=tf.float64)
    feed = {graph.images: images, graph.labels: labels}
    with started_session(graph, start_weights(case)) as session:
        session.run(graph.train, feed)
        before = session.run(graph.weights)
        _, logits = session.run((graph.train, graph.outputs.logits), feed)
        after = session.run(graph.weights)
        stored = session.run(graph.evaluation.logits, feed)
    seen, _ = numpy_model.forward([before[0], *after[1:]], images)
    np.testing.assert_allclose(logits, seen, rtol=1e-9)
    # An evaluation sees what is stored, as a checkpoint would have it.
    np.testing.assert_allclose(stored, numpy_model.forward(after, images)[0], rtol=1e-9)
    for wrong in (before, after):
        assert relative_error(logits, numpy_model.forward(wrong, images)[0]) > 1e-6


def test_update_first_has_one_round_for_a_batch():
    """Breaks if rounds that the scripts never had are run with moves that make no sense in them."""
    with pytest.raises(UsageError, match="quirks update-first cannot be run on the 9 rounds"):
        tiny_case("c", quirks=("update-first",), protocol="per-batch")
    tiny_case("c", quirks=("update-first", "collapsed-rounds"), protocol="per-batch")
    tiny_case("a", quirks=("update-first",), protocol="per-batch")


def test_a_retired_quirk_is_read_but_not_run():
    """Breaks if a run of an earlier version is lost, or passes for what the scripts computed."""
    names = ledger.as_read(["elu-slope", "stale-moments"])
    assert names == ("elu-slope", "delayed-gradient")
    case = tiny_case("c", quirks=names)
    with pytest.raises(UsageError, match="quirks delayed-gradient cannot be run any more"):
        ledger.check_runnable(case.quirks)
    with pytest.raises(UsageError, match="quirks 'stale-moments' is not known"):
        tiny_case("c", quirks=("stale-moments",))
    assert not {"stale-moments", "delayed-gradient"} & set(ledger.LEDGER)


def test_the_scripts_initial_weights():
    """Breaks if TensorFlow draws others than the scripts had, or the seed has a say in them.

    The checksum was taken on TensorFlow 1.15.5; the scripts' own calls gave the same there and on
    1.8.0.
    """
    digest = hashlib.sha256()
    for layer, w in zip(LAYERS, scripts.initial_weights_2018(LAYERS)):
        assert w.shape == layer.weight_shape
        assert w.dtype == np.float32
        digest.update(w.tobytes())
    assert digest.hexdigest() == SCRIPTS_WEIGHTS
    case = tiny_case("c", initial_weights="2018")
    for a, b in zip(starting_weights(case), starting_weights(replace(case, seed=1))):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(starting_weights(case)[0], starting_weights(tiny_case("c"))[0])
    with pytest.raises(UsageError, match="initial_weights '2019' is not known"):
        tiny_case("c", initial_weights="2019")


def test_double_softmax_cost(batch):
    """Breaks if the reported cost is another one, or the quirk changes the training."""
    results = []
    for names in ((), ("double-softmax-cost",)):
        case = tiny_case("a", quirks=names, learning_rate=1e-2)
        graph = build_graph(case, dtype=tf.float64)
        with started_session(graph, start_weights(case)) as session:
            feed = {graph.images: batch[0], graph.labels: batch[1]}
            _, costs, logits = session.run(
                (graph.train, graph.outputs.costs, graph.outputs.logits), feed
            )
            results.append((costs, logits, read_state(session, graph)["weights"]))
    (costs, logits, weights), (doubled, _, same) = results

    def softmax(values):
        return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)

    labels = batch[1]
    right = np.arange(len(labels)), labels
    np.testing.assert_allclose(costs, -np.log(softmax(logits)[right]), rtol=1e-10)
    np.testing.assert_allclose(doubled, -np.log(softmax(softmax(logits))[right]), rtol=1e-10)
    for a, b in zip(weights, same):
        np.testing.assert_array_equal(a, b)


def test_double_softmax_cost_is_never_below_its_floor():
    """Breaks if the second softmax is left out: the cost of a perfect answer would be 0."""
    cost = rules_with(["double-softmax-cost"]).reported_cost
    with tf.Graph().as_default(), tf.Session() as session:
        perfect = 1000 * tf.one_hot([3], 10, dtype=tf.float64)
        costs, _ = cost.forward(perfect, tf.one_hot([3], 10, dtype=tf.float64))
        assert session.run(costs)[0] == pytest.approx(1.4612, abs=1e-4)


@pytest.mark.parametrize("protocol", ["per-step", "per-batch"])
def test_collapsed_rounds_update_every_layer_once(protocol, batch):
    """Breaks if a collapsed case still follows its schedule, or differs from a fair one."""
    states = []
    for schedule, names in (("back", ("collapsed-rounds",)), ("fair", ())):
        case = tiny_case("a", schedule=schedule, quirks=names, protocol=protocol)
        graph = build_graph(case)
        with started_session(graph, start_weights(case)) as session:
            for _ in range(3):
                session.run(graph.train, {graph.images: batch[0], graph.labels: batch[1]})
            states.append(read_state(session, graph))
    assert states[0]["counts"] == [3] * 9
    for a, b in zip(states[0]["weights"], states[1]["weights"]):
        np.testing.assert_array_equal(a, b)


def test_the_table_names_rules_that_exist():
    """Breaks if the ledger points to a rule that was renamed or removed."""
    for quirk in ledger.LEDGER.values():
        for path in quirk.where.split(", "):
            module, name = path.rsplit(".", 1)
            assert hasattr(__import__("unfair_bp." + module, fromlist=[name]), name)
    text = quirks.as_text()
    assert all(name in text for name in ledger.LEDGER)
    assert max(len(line) for line in text.splitlines()) <= 100
