"""Every kind of schedule in the graph: against the NumPy model, resumed, and what is executed."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import relative_error, start_weights, tiny_case
from numpy_model import NumpySgdTrainer, NumpyTrainer
from test_graph import (
    ONE_OPERATION,
    convolutions_by_pass,
    executed_operations,
    predicted_convolutions,
    started_session,
)

from unfair_bp.backprop.graph import build_graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import FieldError
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL
from unfair_bp.experiment.cases import schedule_of

T = 60
KINDS = [  # schedule, moments
    ("freezeout", "own"),
    ("lisa:2:7:1", "reset"),
    ("lisa-head:1:4", "reset-all"),
    ("badam:7", "own"),
    ("multirate:8-9:3", "own"),
    ("clock:4,4,3,3,2,2,1,1,1", "reset"),
    ("9@0.25;1,4-5@3", "reset-all"),
    ("7-9;7-9;8;8;8", "reset-all"),
    ("unfreeze", "reset-all"),
    ("shuffled:front:2*3", "own"),
    ("share:back", "own"),
]


def case_of(schedule, moments, **changes):
    settings = {"learning_rate": 3e-3, "beta2": 0.8, "epsilon": 1e-3, "data": "shapes"}
    settings["architecture"] = replace(ALL_CONVOLUTIONAL, image_size=8)
    return tiny_case("a", schedule=schedule, moments=moments, **{**settings, **changes})


def small(random):
    """Two images of 8 x 8 pixels with their labels, so that sixty iterations are quick."""
    return random.uniform(size=[2, 8, 8, 3]), random.randint(0, 10, size=2)


def beside_the_table(schedule):
    """What the model takes of a schedule besides its table."""
    return {
        "hold": schedule.hold,
        "factors": schedule.factors,
        "moments": schedule.moments,
    }


def reopened(session, path):
    """Another session with all that this one has, by way of a file."""
    with session.graph.as_default():
        saver = tf.train.Saver(tf.global_variables())
        saver.save(session, path)
        session.close()
        session = tf.Session(graph=session.graph)
        saver.restore(session, path)
    return session


def comparable(model):
    """The layers whose moments and count are compared.

    The model forgets those of all layers at a switch; the graph when a layer is updated again.
    """
    return sorted(model.active) if model.moments == "reset-all" else range(9)


@pytest.mark.parametrize("schedule, moments", KINDS)
def test_sixty_iterations_match_the_numpy_model(schedule, moments, tmp_path):
    """Breaks on a wrong row, hold, factor or restart, or if a resumed run begins its row again.

    After 33 iterations, in the middle of a row, everything goes on in another session.
    """
    case = case_of(schedule, moments)
    runs = schedule_of(case, T)
    graph = build_graph(case, dtype=tf.float64, iterations=T)
    weights = start_weights(case)
    model = NumpyTrainer(weights, runs.table, 3e-3, 0.9, 0.8, 1e-3, **beside_the_table(runs))
    random = np.random.RandomState(8)
    session = started_session(graph, weights)
    for iteration in range(T):
        if iteration == 33:
            session = reopened(session, str(tmp_path / "saved"))
        images, labels = small(random)
        session.run(graph.train, {graph.images: images, graph.labels: labels})
        model.step(images, labels)
        layers = session.run(graph.layers)
        for i, layer in enumerate(layers):
            assert relative_error(layer.w, model.weights[i]) <= 1e-10
        for i in comparable(model):
            assert layers[i].count == model.counts[i]
            assert relative_error(layers[i].m, model.m[i]) <= 1e-8
    session.close()


@pytest.mark.parametrize("schedule, moments", [("multirate:9:3*2", "keep"), ("badam:3", "own")])
def test_sgd_has_factors_and_restarts(schedule, moments):
    """Breaks if an optimizer leaves the factor out, or forgets nothing."""
    settings = {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}
    case = case_of(schedule, moments, optimizer="sgd", **settings)
    runs = schedule_of(case)
    graph = build_graph(case, dtype=tf.float64)
    model = NumpySgdTrainer(start_weights(case), runs.table, **settings, **beside_the_table(runs))
    random = np.random.RandomState(8)
    with started_session(graph, start_weights(case)) as session:
        for _ in range(15):
            images, labels = small(random)
            session.run(graph.train, {graph.images: images, graph.labels: labels})
            model.step(images, labels)
        layers = session.run(graph.layers)
        for i, layer in enumerate(layers):
            assert relative_error(layer.w, model.weights[i]) <= 1e-10
        assert all(layers[i].count == model.counts[i] for i in comparable(model))


@pytest.mark.parametrize("schedule, moments", [("9@0.5;7-9*2", "reset"), ("single", "reset-all")])
def test_a_cycle_on_one_batch_matches_the_numpy_model(schedule, moments):
    """Breaks if a round of the per-batch protocol has another row's factor, hold or restart."""
    case = case_of(schedule, moments, protocol="per-batch")
    runs = schedule_of(case)
    graph = build_graph(case, dtype=tf.float64)
    start = start_weights(case)
    model = NumpyTrainer(start, runs.table, 3e-3, 0.9, 0.8, 1e-3, **beside_the_table(runs))
    random = np.random.RandomState(8)
    with started_session(graph, start_weights(case)) as session:
        for _ in range(4):
            images, labels = small(random)
            session.run(graph.train, {graph.images: images, graph.labels: labels})
            for _ in range(runs.cycle):
                model.step(images, labels)
            layers = session.run(graph.layers)
            for i, layer in enumerate(layers):
                assert relative_error(layer.w, model.weights[i]) <= 1e-10
            assert all(layers[i].count == model.counts[i] for i in comparable(model))


@pytest.mark.parametrize(
    "schedule, moments",
    [
        *(
            ("freeze", "own"),
            ("lisa:1:2", "own"),
            ("badam:3:ascending", "own"),
            ("back*2", "reset"),
        ),
        *(("multirate:9:3", "own"), ("segprop:7-9:1-2,3-4,5-6:2", "own"), ("share:back", "own")),
    ],
)
def test_executed_operations_are_those_of_the_table(schedule, moments):
    """Breaks if an operation of a layer that is skipped runs, or one that is needed does not."""
    case = case_of(schedule, moments)
    runs = schedule_of(case, 20)
    graph = build_graph(case, ONE_OPERATION, iterations=20)
    kinds = {op.name: op.type for op in graph.graph.get_operations()}
    batch = small(np.random.RandomState(8))
    with started_session(graph, start_weights(case)) as session:
        for iteration in range(20):
            executed = executed_operations(graph, session, batch)
            row = runs.table[(iteration // runs.hold) % runs.period]
            assert convolutions_by_pass(executed, graph) == predicted_convolutions(row, "library")
            updates = [name for name in executed if kinds.get(name) == "ResourceApplyAdam"]
            assert len(updates) == row.sum()
            # m, v and count of each layer that starts anew; the count of each that is updated.
            restarts = runs.restarts[runs.row_at(iteration)] & (iteration % runs.hold == 0)
            assigned = [name for name in executed if kinds.get(name) == "AssignVariableOp"]
            assert len(assigned) == row.sum() + 3 * restarts.sum()


def test_a_schedule_that_spans_an_unknown_run_is_refused():
    """Breaks if a schedule of a run of unknown length is silently made for another one."""
    with pytest.raises(FieldError, match="spans the whole run; give its number of iterations"):
        build_graph(case_of("freeze", "own", data="own"))
