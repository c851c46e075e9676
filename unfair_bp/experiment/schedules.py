"""Schedules: which layers are updated on which iteration, as one boolean matrix.

``table[r, i]`` says whether layer i + 1 is updated on the iterations whose global step t has
``t mod period == r``. Everything else follows from the matrix: the graph, the tests, the picture
and the cost.
"""

import re
from dataclasses import dataclass
from typing import Callable, Dict, Sequence, Union

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment.architecture import LayerSpec, backward_flops, forward_flops

LONGEST_PERIOD = 10000  # rows; a longer schedule would only make the graph larger


@dataclass(frozen=True, eq=False)
class Schedule:
    """Which layers are updated on each iteration of a cycle.

    Schedules with the same table are equal, whatever their names.

    Attributes:
        name: The specification it was made from, see :func:`parse`.
        table: bool ``[period, layers]``, read-only.
    """

    name: str
    table: np.ndarray

    def __eq__(self, other: object) -> bool:
        """Whether the tables are equal."""
        if not isinstance(other, Schedule):
            return NotImplemented
        return np.array_equal(self.table, other.table)

    def __hash__(self) -> int:
        """A hash of the table."""
        return hash((self.table.shape, self.table.tobytes()))

    @property
    def period(self) -> int:
        """Iterations in a cycle."""
        return len(self.table)

    def updates(self, iterations: int) -> np.ndarray:
        """How often each layer is updated in the first ``iterations``: int ``[layers]``."""
        cycles, rest = divmod(iterations, self.period)
        return cycles * self.table.sum(axis=0) + self.table[:rest].sum(axis=0)

    def row_flops(self, layers: Sequence[LayerSpec]) -> np.ndarray:
        """Floating-point operations of one iteration on each row, per image: int ``[period]``."""
        forward = forward_flops(layers)
        return np.array([forward + backward_flops(layers, row) for row in self.table])

    def flops(self, layers: Sequence[LayerSpec], iterations: int) -> int:
        """Floating-point operations of the first ``iterations``, per image in a batch."""
        rows = self.row_flops(layers)
        cycles, rest = divmod(iterations, self.period)
        return cycles * int(rows.sum()) + int(rows[:rest].sum())

    def cycle_flops(self, layers: Sequence[LayerSpec]) -> int:
        """Floating-point operations of a whole cycle on one batch (per-batch protocol), per image.

        Between two rows, the activations below the lowest layer that the first of them updated
        are kept, so that only the layers from there on run forward again.
        """
        flops, lowest = 0, 0
        for row in self.table:
            flops += forward_flops(layers[lowest:]) + backward_flops(layers, row)
            lowest = int(np.argmax(row))  # the first True
        return flops

    def relative_cost(self, layers: Sequence[LayerSpec]) -> float:
        """Mean floating-point operations of an iteration, relative to updating every layer."""
        return float(self.row_flops(layers).mean()) / fair_step_flops(layers)


def fair_step_flops(layers: Sequence[LayerSpec]) -> int:
    """Floating-point operations of an iteration that updates every layer, per image."""
    return forward_flops(layers) + backward_flops(layers, [True] * len(layers))


def fair(layers: int) -> np.ndarray:
    """Every layer on every iteration: ordinary back propagation."""
    return np.ones([1, layers], bool)


def from_the_back(layers: int) -> np.ndarray:
    """Row r updates the last r + 1 layers: the last layer most often, the first once a cycle."""
    return from_the_front(layers)[:, ::-1]


def from_the_front(layers: int) -> np.ndarray:
    """Row r updates the first r + 1 layers: the first layer most often, the last once a cycle."""
    return np.tril(np.ones([layers, layers], bool))


def single(layers: int) -> np.ndarray:
    """Row r updates layer r + 1 alone: block-coordinate descent."""
    return np.eye(layers, dtype=bool)


def random_layers(layers: int, chosen: int, period: int, seed: int) -> np.ndarray:
    """Each row updates ``chosen`` layers, drawn without replacement."""
    random = np.random.RandomState(seed)
    table = np.zeros([period, layers], bool)
    for row in table:
        row[random.permutation(layers)[:chosen]] = True
    return table


NAMED: Dict[str, Callable[[int], np.ndarray]] = {
    "fair": fair,
    "back": from_the_back,
    "front": from_the_front,
    "single": single,
}
GRAMMAR = (
    f"{', '.join(NAMED)}, random:K[:PERIOD[:SEED]] (K layers at random), "
    "or rows of layers such as '9;8-9;7-9'"
)


def parse(text: str, layers: int = 9) -> Schedule:
    """The schedule that a specification describes.

    Args:
        text: ``fair``, ``back``, ``front``, ``single``; ``random:K[:PERIOD[:SEED]]`` with a period
            of 9 times the number of layers and seed 0 by default; or rows separated by ``;``, each
            a comma-separated list of layers ``7`` and ranges ``7-9``, counted from 1.
        layers: Number of layers in the network; the post's has 9.

    Raises:
        FieldError: If the text is none of these.
    """
    if text in NAMED:
        table = NAMED[text](layers)
    elif text.startswith("random"):
        table = _parse_random(text, layers)
    elif re.match(r"^[0-9,;\s-]+$", text):
        rows = text.split(";")
        if len(rows) > LONGEST_PERIOD:
            raise FieldError(
                "schedule", f"has {len(rows)} rows, too many; give at most {LONGEST_PERIOD}"
            )
        table = np.array([_parse_row(text, row, layers) for row in rows])
    else:
        raise FieldError("schedule", f"{shortened(text)!r} is not known; give {GRAMMAR}")
    table.setflags(write=False)
    return Schedule(name=text, table=table)


def specification(schedule: Union[Schedule, np.ndarray]) -> str:
    """The text from which :func:`parse` makes a schedule with this table.

    Args:
        schedule: A schedule, or its table: bool ``[rows, layers]``.

    Raises:
        FieldError: If an array is not such a table, or has a row that updates no layer.
    """
    if isinstance(schedule, Schedule):
        return schedule.name
    if schedule.dtype != bool or schedule.ndim != 2 or not schedule.size:
        raise FieldError(
            "schedule",
            f"is an array {list(schedule.shape)} of {schedule.dtype}; give a boolean array with a "
            "row for each iteration of the cycle and a column for each layer",
        )
    if not schedule.any(axis=1).all():
        empty = int(np.argmin(schedule.any(axis=1)))
        raise FieldError("schedule", f"updates no layer on row {empty}; leave that row out")
    return ";".join(_row_text(row) for row in schedule)


def _row_text(row: np.ndarray) -> str:
    """A row as it is typed, such as ``1,4-6`` for layers 1, 4, 5 and 6."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    runs = zip(edges[::2] + 1, edges[1::2])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)


def shortened(text: str, length: int = 60) -> str:
    """A specification for messages and titles: typed ones may be thousands of rows long."""
    return text if len(text) <= length else text[: length - 3] + "..."


def _parse_random(text: str, layers: int) -> np.ndarray:
    match = re.match(r"^random:([0-9]{1,9})(?::([0-9]{1,9}))?(?::([0-9]{1,10}))?$", text)
    if not match:
        raise FieldError(
            "schedule", f"{shortened(text)!r}: give random:K[:PERIOD[:SEED]], as random:3:90:0"
        )
    chosen = int(match.group(1))
    period = int(match.group(2) or 9 * layers)
    seed = int(match.group(3) or 0)
    for name, value, most in (
        ("K", chosen, layers),
        ("PERIOD", period, LONGEST_PERIOD),
        ("SEED", seed + 1, 2**32),
    ):
        if not 1 <= value <= most:
            raise FieldError(
                "schedule",
                f"{text!r}: {name} is out of range; K is 1 to {layers} layers, PERIOD 1 to "
                f"{LONGEST_PERIOD} rows, SEED 0 to 4294967295",
            )
    return random_layers(layers, chosen, period, seed)


def _parse_row(text: str, row: str, layers: int) -> np.ndarray:
    """One row of a typed schedule, bool ``[layers]``; ``text`` is the whole, for messages."""
    updated = np.zeros(layers, bool)
    whole = shortened(text)
    for item in row.split(","):
        match = re.match(r"^\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?$", item)
        if not match:
            raise FieldError(
                "schedule",
                f"{whole!r}: {shortened(item.strip())!r} is not a layer; a row lists layers such "
                "as 7 or 7-9, rows are separated by ';'",
            )
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if not 1 <= first <= last <= layers:
            raise FieldError(
                "schedule",
                f"{whole!r}: {item.strip()!r} is out of range; layers are 1 to {layers}, ranges go "
                "upwards",
            )
        updated[first - 1 : last] = True
    return updated


def as_text(schedule: Schedule, layers: Sequence[LayerSpec]) -> str:
    """The matrix in characters, with the updates and the cost of each row and of the cycle."""
    fair_step = fair_step_flops(layers)
    numbers = [str(i + 1) for i in range(len(layers))]
    lines = [
        f"schedule {schedule.name}: a cycle of {schedule.period} iterations",
        "",
        f"  row  layer {' '.join(numbers)}   FLOPs / fair",
    ]
    for r, (row, flops) in enumerate(zip(schedule.table, schedule.row_flops(layers))):
        marks = " ".join(
            ("#" if updated else ".").rjust(len(number)) for updated, number in zip(row, numbers)
        )
        lines.append(f"  {r:3d}        {marks}   {flops / fair_step:.3f}")
    counts = " ".join(str(count) for count in schedule.updates(schedule.period))
    mean, cycle = schedule.relative_cost(layers), schedule.cycle_flops(layers) / fair_step
    lines += [
        "",
        f"updates per cycle, layer 1..{len(layers)}: {counts}",
        f"FLOPs of a mean iteration, relative to fair: {mean:.3f}",
        f"FLOPs of the cycle, in fair iterations: {mean * schedule.period:.3f} per step, "
        f"{cycle:.3f} per batch",
    ]
    return "\n".join(lines)
