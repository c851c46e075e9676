"""A schedule as a value: which layers are updated on which iteration, as one boolean matrix.

``table[r, i]`` says whether layer i + 1 is updated on the iterations t with
``(t // hold) mod period == r``. Per step, t is the global step; per batch, t counts the rounds on
one batch. The graph, the tests, the picture and the cost follow from the schedule alone.
"""

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment.architecture import LayerSpec, backward_flops, forward_flops

LONGEST_PERIOD = 10000  # rows; a longer schedule would only make the graph larger
LONGEST_CYCLE = 36  # rounds on one batch, each of which is built into the graph
LONGEST_HOLD = 10**9  # iterations
LARGEST_FACTOR = 1e6
MOMENTS = ("keep", "reset", "reset-all")


@dataclass(frozen=True, eq=False)
class Schedule:
    """Which layers are updated on each iteration of a cycle, and how.

    Schedules are equal if they have the same table, hold, factors and restarts, whatever their
    names. The same sequence written with another period or hold is another schedule.

    Attributes:
        name: The specification it was made from, see :mod:`unfair_bp.experiment.schedules`.
        table: bool ``[period, layers]``, read-only.
        hold: How many iterations each row lasts.
        factors: float ``[period, layers]``, read-only: what the learning rate of each layer is
            multiplied by on each row. None: 1 everywhere.
        moments: What happens to the state of a layer's optimizer, such as Adam's moments and their
            count. ``keep``: it waits while the layer is skipped. ``reset``: it starts from zero
            when the layer is updated again after it was skipped. ``reset-all``: also when the row
            changes and the layer stays. A row that is held is a block: the next one is a change
            even if it updates the same layers, unless the schedule spans a run.
        spans: Iterations of the run that the cycle was made for; 0: the cycle is repeated.

    Raises:
        FieldError: If a value is not one of these, or a row updates no layer.
    """

    name: str
    table: np.ndarray
    hold: int = 1
    factors: Optional[np.ndarray] = None
    moments: str = "keep"
    spans: int = 0

    def __post_init__(self) -> None:
        """Check the values, and keep read-only copies of the arrays."""
        table = _checked_table(self.table)
        factors = self.factors
        if factors is not None:
            factors = _checked_factors(factors, table)
        whole = isinstance(self.hold, (int, np.integer)) and not isinstance(self.hold, bool)
        if not whole or not 1 <= self.hold <= LONGEST_HOLD:
            advice = f"give a whole number from 1 to {LONGEST_HOLD}"
            if self.spans > LONGEST_HOLD:
                advice = "train fewer iterations"
            raise FieldError("schedule", f"holds each row for {self.hold!r} iterations; {advice}")
        if self.spans < 0:
            raise FieldError("schedule", f"spans {self.spans} iterations; give 0 or more")
        if self.moments not in MOMENTS:
            raise FieldError(
                "moments", f"{self.moments!r} is not known; give {' or '.join(MOMENTS)}"
            )
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "factors", factors)

    def __eq__(self, other: object) -> bool:
        """Whether table, hold, factors and restarts are the same."""
        if not isinstance(other, Schedule):
            return NotImplemented
        return (
            np.array_equal(self.table, other.table)
            and np.array_equal(self.rates, other.rates)
            and np.array_equal(self.restarts, other.restarts)
            and self.hold == other.hold
        )

    def __hash__(self) -> int:
        """A hash of some of what equality compares."""
        return hash((self.table.shape, self.table.tobytes(), self.hold))

    @property
    def period(self) -> int:
        """Rows of the matrix."""
        return len(self.table)

    @property
    def cycle(self) -> int:
        """Iterations until the schedule begins again, or until the end of the run that it spans."""
        whole = self.period * self.hold
        return min(whole, self.spans) if self.spans_run else whole

    @property
    def spans_run(self) -> bool:
        """Whether the cycle is one whole run."""
        return self.spans > 0

    @property
    def rates(self) -> np.ndarray:
        """The factor where a layer is updated, 0 where it is not: float ``[period, layers]``."""
        return self.table * (1.0 if self.factors is None else self.factors)

    @property
    def mean_rates(self) -> np.ndarray:
        """Each layer's mean learning rate, relative to the case's: float ``[layers]``."""
        return self._row_counts(self.cycle) @ self.rates / self.cycle

    @property
    def restarts(self) -> np.ndarray:
        """Which optimizer states start from zero when a row begins: bool ``[period, layers]``."""
        if self.moments == "reset-all":
            changes = (self.table != np.roll(self.table, 1, axis=0)).any(axis=1, keepdims=True)
            # A row that is held is a block of its own; of a run, rows are mere samples.
            return self.table & (changes | (self.hold > 1 and not self.spans_run))
        if self.moments == "reset":
            return self.table & ~np.roll(self.table, 1, axis=0)
        return np.zeros_like(self.table)

    def row_at(self, iteration: int) -> int:
        """The row of an iteration, counted from 0."""
        return iteration // self.hold % self.period

    def _row_counts(self, iterations: int) -> np.ndarray:
        """How many iterations each row has had among the first ones: int ``[period]``."""
        cycles, rest = divmod(iterations, self.period * self.hold)
        started = np.arange(self.period) * self.hold
        return cycles * self.hold + np.clip(rest - started, 0, self.hold)

    def updates(self, iterations: int) -> np.ndarray:
        """How often each layer is updated in the first ``iterations``: int ``[layers]``."""
        return self._row_counts(iterations) @ self.table

    def row_flops(self, layers: Sequence[LayerSpec]) -> np.ndarray:
        """Floating-point operations of one iteration on each row, per image: int ``[period]``."""
        forward = forward_flops(layers)
        rows, place = np.unique(self.table, axis=0, return_inverse=True)  # thousands are alike
        return np.array([forward + backward_flops(layers, row) for row in rows])[place.ravel()]

    def flops(self, layers: Sequence[LayerSpec], iterations: int) -> int:
        """Floating-point operations of the first ``iterations``, for one image of each batch."""
        counts, rows = self._row_counts(iterations), self.row_flops(layers)
        return sum(int(count) * int(row) for count, row in zip(counts, rows))

    def cycle_flops(self, layers: Sequence[LayerSpec]) -> int:
        """Floating-point operations of a whole cycle on one batch (per-batch protocol), per image.

        After a row, the next forward pass starts at the lowest layer that the row updated: the
        activations below it have not changed.
        """
        flops, lowest = 0, 0
        for row in np.repeat(self.table, self.hold, axis=0):
            flops += forward_flops(layers[lowest:]) + backward_flops(layers, row)
            lowest = int(np.argmax(row))  # the first True
        return flops

    def relative_cost(self, layers: Sequence[LayerSpec]) -> float:
        """Mean floating-point operations of an iteration, relative to updating every layer."""
        return self.flops(layers, self.cycle) / (self.cycle * fair_step_flops(layers))


def fair_step_flops(layers: Sequence[LayerSpec]) -> int:
    """Floating-point operations of an iteration that updates every layer, per image."""
    return forward_flops(layers) + backward_flops(layers, [True] * len(layers))


def _checked_table(table: np.ndarray) -> np.ndarray:
    if not isinstance(table, np.ndarray) or table.dtype != bool or table.ndim != 2:
        kind = getattr(table, "dtype", type(table).__name__)
        raise FieldError(
            "schedule",
            f"is an array {list(np.shape(table))} of {kind}; give a boolean array with a row for "
            "each iteration of the cycle and a column for each layer",
        )
    if not 1 <= len(table) <= LONGEST_PERIOD:
        raise FieldError("schedule", f"has {len(table)} rows; give 1 to {LONGEST_PERIOD}")
    if not table.any(axis=1).all():
        empty = int(np.argmin(table.any(axis=1)))
        raise FieldError("schedule", f"updates no layer on row {empty}; leave that row out")
    return _read_only(table)


def _checked_factors(factors: np.ndarray, table: np.ndarray) -> Optional[np.ndarray]:
    """The factors, 1 where no layer is updated; None if all of them are 1."""
    try:
        factors = np.asarray(factors, float)
    except (TypeError, ValueError) as error:
        raise FieldError("schedule", "has factors that are not all numbers") from error
    if factors.shape != table.shape:
        raise FieldError(
            "schedule",
            f"has factors {list(factors.shape)} for a table {list(table.shape)}; give one for "
            "each of its entries",
        )
    factors = np.where(table, factors, 1.0)
    wrong = ~((factors >= 0) & (factors <= LARGEST_FACTOR))
    if wrong.any():
        raise FieldError(
            "schedule",
            f"has a factor {factors[wrong][0]:g} of the learning rate; give 0 to "
            f"{LARGEST_FACTOR:g}",
        )
    return None if (factors == 1.0).all() else _read_only(factors)


def shortened(text: str, length: int = 60) -> str:
    """A specification for messages and titles: typed ones may be thousands of rows long."""
    return text if len(text) <= length else text[: length - 3] + "..."


def _read_only(array: np.ndarray) -> np.ndarray:
    copy = np.array(array)
    copy.setflags(write=False)
    return copy
