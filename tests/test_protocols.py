"""The per-batch protocol: a whole cycle of rounds on one batch, as one run of the graph."""

import numpy as np
import pytest
from conftest import relative_error, start_weights, tiny_case
from test_graph import (
    CONVOLUTIONS,
    ONE_OPERATION,
    convolutions_by_pass,
    executed_operations,
    read_state,
    started_session,
)

from unfair_bp.backprop.graph import build_graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import schedule_of
from unfair_bp.running.epochs import training_updates

SCHEDULES = ["fair", "back", "front", "single", "9;1,4-5;2"]


def run(case, batches, dtype=tf.float64):
    """State, logits and costs after running a case on each of the batches."""
    graph = build_graph(case, dtype=dtype)
    with started_session(graph, start_weights(case)) as session:
        reports = []
        for images, labels in batches:
            feed = {graph.images: images, graph.labels: labels}
            reports.append(
                session.run((graph.train, graph.outputs.logits, graph.outputs.costs), feed)[1:]
            )
        return read_state(session, graph), reports


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_cycle_equals_as_many_iterations_on_the_same_batch(schedule, batch):
    """Breaks if a round sees older weights, reuses an activation that has changed, or is lost."""
    changes = {"schedule": schedule, "learning_rate": 1e-3}
    per_batch = tiny_case("a", protocol="per-batch", **changes)
    per_step = tiny_case("a", **changes)
    rounds = schedule_of(per_step).period
    other = (batch[0][::-1], batch[1][::-1])
    cycles, reports = run(per_batch, [batch, other])
    steps, step_reports = run(per_step, [batch] * rounds + [other] * rounds)
    assert cycles["counts"] == steps["counts"]
    assert cycles["step"] == [2]
    for name in ("weights", "m", "v"):
        for a, b in zip(cycles[name], steps[name]):
            assert relative_error(a, b) <= 1e-12
    # What is reported is the first round's, before any update.
    for cycle, step in zip(reports, (step_reports[0], step_reports[rounds])):
        for a, b in zip(cycle, step):
            assert relative_error(a, b) <= 1e-10


@pytest.mark.parametrize("schedule", ["back", "front", "9;1,4-5;2"])
def test_a_cycle_computes_what_can_have_changed_and_nothing_else(schedule, batch):
    """Breaks if activations that are kept are computed again, or rounds are merged."""
    case = tiny_case("a", schedule=schedule, protocol="per-batch")
    graph = build_graph(case, ONE_OPERATION)
    with started_session(graph, start_weights(case)) as session:
        executed = convolutions_by_pass(executed_operations(graph, session, batch), graph)
    forward, param_grad, input_grad, lowest = 0, 0, 0, 0
    for row in schedule_of(case).table:
        forward += 9 - lowest
        lowest = int(np.argmax(row))
        param_grad += int(row.sum())
        input_grad += 8 - lowest
    assert executed == {"forward": forward, "param_grad": param_grad, "input_grad": input_grad}
    # Nor is anything else built: the rows are known beforehand.
    built = [op for op in graph.graph.get_operations() if op.type in CONVOLUTIONS]
    assert len(built) == forward + param_grad + input_grad


def test_a_layer_outside_the_schedule_is_left_alone(batch):
    """Breaks if a cycle assigns a layer that no row updates."""
    case = tiny_case("a", schedule="9;7-9", protocol="per-batch")
    graph = build_graph(case)
    with started_session(graph, start_weights(case)) as session:
        before = read_state(session, graph)
        session.run(graph.train, {graph.images: batch[0], graph.labels: batch[1]})
        after = read_state(session, graph)
    assert after["counts"] == [0] * 6 + [1, 1, 2]
    for i in range(6):
        assert after["weights"][i].tobytes() == before["weights"][i].tobytes()


def test_a_cycle_that_is_too_long_is_refused():
    """Breaks if a random schedule of thousands of rows is unrolled into a graph."""
    with pytest.raises(UsageError, match="has a cycle of 37 iterations, too many for the protocol"):
        tiny_case("a", schedule="random:3:37", protocol="per-batch")
    with pytest.raises(UsageError, match="protocol 'both' is not known"):
        tiny_case("a", protocol="both")


def test_updates_of_a_run_whose_counts_begin_anew():
    """Breaks if metrics.csv has the counts since the last reset, or a hold is left out."""
    case = tiny_case("a", schedule="9;1-9*2", moments="reset", epochs=3)
    assert training_updates(case, 10, 2) == (2,) * 8 + (6,)  # three iterations an epoch
    per_batch = tiny_case("a", schedule="9;1-9*2", moments="reset", protocol="per-batch")
    assert training_updates(per_batch, 10, 2) == (12,) * 8 + (24,)
