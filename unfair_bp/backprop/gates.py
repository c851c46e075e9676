"""From a schedule to what one iteration does: gates, factors, restarts."""

from typing import Any, Callable, List, NamedTuple, Sequence, Union

import numpy as np

from unfair_bp.backprop.graph_mode import cond, tf
from unfair_bp.experiment.matrix import Schedule

# Whether something happens on an iteration: a bool tensor, or a NumPy bool if known beforehand.
Gate = Union[tf.Tensor, np.bool_]


class Gates(NamedTuple):
    """What the backward chain does on an iteration, for each layer."""

    updated: Sequence[Gate]  # is the layer updated?
    any_below: Sequence[Gate]  # is any layer below it updated, so that the chain goes on?


def gates_of(table: np.ndarray, row: Union[tf.Tensor, int] = 0) -> Gates:
    """The gates of a schedule.

    A gate that is open on every row of the schedule, or on none, is already known when the graph is
    built and needs no ``tf.cond``: all of a fair schedule's, and from the back the last layer's
    update.

    Args:
        table: The rows, bool ``[period, layers]``.
        row: Index of this iteration's row: an int scalar, or a number that is known beforehand.

    Returns:
        Two gates for each layer.
    """
    any_below = [table[:, :i].any(axis=1) for i in range(table.shape[1])]
    return Gates(row_entries(table, row), row_entries(np.stack(any_below, axis=1), row))


def row_entries(table: np.ndarray, row: Union[tf.Tensor, int]) -> List[Any]:
    """A row's entry of each column: a NumPy scalar if it is known when the graph is built.

    Args:
        table: ``[period, layers]``.
        row: Index of the row: an int scalar, or a number that is known beforehand.
    """
    if not isinstance(row, tf.Tensor):
        return list(table[row])
    known = (table == table[0]).all(axis=0)
    if known.all():
        return list(table[0])
    chosen = tf.unstack(tf.gather(tf.constant(table), row))
    return [table[0, i] if known[i] else chosen[i] for i in range(len(known))]


class Turn(NamedTuple):
    """What a schedule says of one iteration, for each layer."""

    gates: Gates
    factors: Sequence[Any]  # of the learning rate
    restarts: Sequence[Gate]  # does the optimizer's state start from zero?


def turn_at(schedule: Schedule, step: tf.Tensor) -> Turn:
    """The turn of the iteration ``step``, known when it runs."""
    held, begins = step, np.True_
    if schedule.hold > 1:
        held = tf.floordiv(step, schedule.hold)
        begins = tf.equal(tf.floormod(step, schedule.hold), 0)
    return _turn(schedule, tf.floormod(held, schedule.period), begins)


def turn_of_round(schedule: Schedule, number: int) -> Turn:
    """The turn of a round of the per-batch protocol, known when the graph is built."""
    return _turn(schedule, schedule.row_at(number), np.bool_(number % schedule.hold == 0))


def _turn(schedule: Schedule, row: Union[tf.Tensor, int], begins: Gate) -> Turn:
    """What a schedule says of a row, at its first iteration or a later one.

    Args:
        schedule: The schedule.
        row: Index of the row.
        begins: Whether it is the row's first iteration.
    """
    return Turn(
        gates=gates_of(schedule.table, row),
        factors=[1.0] * len(schedule.table[0])
        if schedule.factors is None
        else row_entries(schedule.factors, row),
        restarts=[_both(restart, begins) for restart in row_entries(schedule.restarts, row)],
    )


def _both(gate: Gate, begins: Gate) -> Gate:
    """The ``and`` of two gates, decided here as far as one of them is known."""
    for one, other in ((gate, begins), (begins, gate)):
        if isinstance(one, np.bool_):
            return other if one else one
    return tf.logical_and(gate, begins)


def when(condition: Gate, branch: Callable[[], tf.Operation], name: str) -> tf.Operation:
    """Run a branch if the condition holds: decided by the graph, or here if it is known."""
    if isinstance(condition, np.bool_):
        return branch() if condition else tf.no_op()
    return cond(condition, branch, tf.no_op, name=name)


def is_closed(gate: Gate) -> bool:
    """Whether a gate is known to be closed, always."""
    return isinstance(gate, np.bool_) and not gate
