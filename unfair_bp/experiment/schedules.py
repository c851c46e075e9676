"""Schedules as text: what a user types, the matrix it stands for, and the matrix as text.

The value is :class:`~unfair_bp.experiment.matrix.Schedule`; the named ones are in
:mod:`unfair_bp.experiment.methods`.
"""

import difflib
import functools
import inspect
import re
from dataclasses import replace
from typing import List, Sequence, Union

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment.architecture import LayerSpec
from unfair_bp.experiment.matrix import (
    LONGEST_CYCLE,
    LONGEST_HOLD,
    LONGEST_PERIOD,
    Schedule,
    fair_step_flops,
    shortened,
)
from unfair_bp.experiment.methods import DRAWN_ROWS, METHODS, Size, permutations
from unfair_bp.experiment.words import WrongWordError, factor_of, layers_of, randomness, whole

NOMINAL_RUN = 9000  # iterations of a run whose length nobody has said
LINES_SHOWN = 40
HELP = "python -m unfair_bp.schedule --list"
GRAMMAR = (
    f"{', '.join(METHODS)} (see {HELP}), or rows of layers such as '9;8-9;7-9', "
    "7@0.5 for half the rate; NAME+9 updates layer 9 on every row, NAME*H holds each row for H "
    "iterations"
)


@functools.lru_cache(maxsize=64)
def parse(text: str, layers: int = 9, iterations: int = NOMINAL_RUN) -> Schedule:
    """The schedule that a specification describes.

    Args:
        text: A name of :data:`~unfair_bp.experiment.methods.METHODS` with its arguments, or rows
            separated by ``;``, each a comma-separated list of layers ``7`` and ranges ``7-9``,
            counted from 1, with a factor of the learning rate if it is not 1: ``7-9@0.5``. Then
            ``+9``, layers to update on every row, and ``*H``, how many iterations a row lasts.
        layers: Number of layers in the network; the post's has 9.
        iterations: Number of iterations of the run, for schedules that span one.

    Raises:
        FieldError: If the text is none of these.
    """
    try:
        return replace(_with_suffixes(text, Size(layers, iterations)), name=text)
    except WrongWordError as error:
        raise FieldError("schedule", f"{shortened(text)!r}: {error}") from error
    except FieldError as error:
        raise FieldError("schedule", f"{shortened(text)!r} {error.problem}") from error


def _with_suffixes(text: str, size: Size) -> Schedule:
    """``BASE``, ``BASE+LAYERS``, ``BASE*HOLD`` or ``BASE+LAYERS*HOLD``."""
    if text.startswith("share:"):  # of all that follows
        return _share(_inner(text.split(":")[1:], size))
    base, always, hold = re.fullmatch(r"(.*?)(\+[0-9,\s-]*)?(\*.*)?", text, re.DOTALL).groups()
    schedule = _base(base, size)
    if always is not None:
        schedule = _always(schedule, layers_of(always[1:], size.layers))
    if hold is not None:
        if schedule.spans_run:
            raise WrongWordError("it spans the whole run, so its rows cannot be held; leave *H out")
        times = whole(hold[1:], "H", 1, LONGEST_HOLD)
        schedule = replace(schedule, hold=schedule.hold * times)
    return schedule


def _always(schedule: Schedule, layers: np.ndarray) -> Schedule:
    """The schedule with these layers on every row, too: bool ``[layers]``."""
    table = schedule.table | layers
    scaled = (schedule.table & (schedule.rates != 1)).any(axis=0)
    added = (table & ~schedule.table).any(axis=0)
    if (scaled & added).any():
        layer = int(np.argmax(scaled & added)) + 1
        raise WrongWordError(
            f"layer {layer} has rates of its own, and none for the rows that + adds; type the rows "
            "with their factors"
        )
    return replace(schedule, table=table)


def _base(text: str, size: Size) -> Schedule:
    name, *words = text.split(":")
    if re.match(r"^[0-9,;\s@.e-]+$", text) and re.search(r"[0-9]", text):
        return _typed(text, size)
    if name == "shuffled":
        return _shuffled(words, size)
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise WrongWordError(
            f"there is no schedule of this name; {meant}{HELP} shows the names; or give rows of "
            "layers such as '9;8-9;7-9'"
        )
    method = METHODS[name]
    grammar = WrongWordError(f"give {method.grammar}")
    if method.build is None:
        raise grammar
    try:
        inspect.signature(method.build).bind(size, *words)
    except TypeError as error:
        raise grammar from error
    return method.build(size, *words)


def _typed(text: str, size: Size) -> Schedule:
    rows = text.split(";")
    if len(rows) > LONGEST_PERIOD:
        raise WrongWordError(f"it has {len(rows)} rows, too many; give at most {LONGEST_PERIOD}")
    table, factors = np.zeros([len(rows), size.layers], bool), np.ones([len(rows), size.layers])
    for r, row in enumerate(rows):
        for item in row.split(","):
            named, at, factor = item.partition("@")
            layers = layers_of(named, size.layers)
            table[r] |= layers
            if at:
                factors[r, layers] = factor_of(factor.strip())
    return Schedule("", table, factors=factors)


def _inner(words: List[str], size: Size) -> Schedule:
    """The schedule that a combination is made of."""
    if not words or words[0] in ("shuffled", "share"):
        raise WrongWordError("give the name of a schedule, as shuffled:back or share:back")
    return _with_suffixes(":".join(words), size)


def _shuffled(words: List[str], size: Size) -> Schedule:
    """The rows of a schedule in random order: one shuffled cycle after the other.

    The words are a schedule and a seed, or else a schedule alone.
    """
    if words and words[0] in METHODS and "SEED" in METHODS[words[0]].grammar:
        raise WrongWordError(f"{words[0]} draws its rows at random already; give another schedule")
    try:
        inner, seed = _inner(words, size), "0"
    except WrongWordError:
        if len(words) < 2:
            raise
        inner, seed = _inner(words[:-1], size), words[-1]
    random = randomness(seed)
    if inner.spans_run:
        inner = _in_short_rows(inner)
    cycles = 1 if inner.spans_run else max(1, DRAWN_ROWS // inner.period)
    order = permutations(inner.period, cycles, random).ravel()
    factors = None if inner.factors is None else inner.factors[order]
    return replace(inner, table=inner.table[order], factors=factors)


def _in_short_rows(schedule: Schedule) -> Schedule:
    """A schedule that spans a run, in as many rows as a schedule may have."""
    hold = -(-schedule.spans // LONGEST_PERIOD)
    rows = np.arange(0, schedule.spans, hold) // schedule.hold
    factors = None if schedule.factors is None else schedule.factors[rows]
    return replace(schedule, table=schedule.table[rows], hold=hold, factors=factors)


def _share(inner: Schedule) -> Schedule:
    """Fair, with each layer's rate scaled to its mean rate in another schedule."""
    mean = inner.mean_rates[np.newaxis]
    return Schedule("", mean > 0, factors=mean, spans=inner.spans)


def specification(schedule: Union[Schedule, np.ndarray]) -> str:
    """The text from which :func:`parse` makes this schedule, but for its moments.

    Args:
        schedule: A schedule, or its table: bool ``[rows, layers]``.

    Raises:
        FieldError: If an array is not such a table, or has a row that updates no layer.
    """
    if not isinstance(schedule, Schedule):
        schedule = Schedule("", schedule)
    if _is_named(schedule):
        return schedule.name
    if schedule.spans_run:
        raise FieldError(
            "schedule",
            f"spans a run of {schedule.spans} iterations but is not what its name, "
            f"{shortened(schedule.name)!r}, stands for; give spans=0",
        )
    factors = np.ones(schedule.table.shape) if schedule.factors is None else schedule.factors
    rows = ";".join(_row_text(row, rates) for row, rates in zip(schedule.table, factors))
    return rows if schedule.hold == 1 else f"{rows}*{schedule.hold}"


def _is_named(schedule: Schedule) -> bool:
    """Whether its name stands for what it does."""
    length = schedule.spans or NOMINAL_RUN
    try:
        named = parse(schedule.name, schedule.table.shape[1], length)
    except FieldError:
        return False
    same = replace(named, moments=schedule.moments) == schedule
    return same and named.spans_run == schedule.spans_run


def _row_text(row: np.ndarray, rates: np.ndarray) -> str:
    """A row as it is typed, such as ``1,4-6@0.5`` for layer 1, and 4 to 6 at half the rate."""
    rates = np.where(row, rates, -1.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[-1.0], rates, [-1.0]])))
    items = []
    for first, end in zip(edges, edges[1:]):
        if row[first]:
            item = f"{first + 1}" if end == first + 1 else f"{first + 1}-{end}"
            items.append(item if rates[first] == 1 else f"{item}@{float(rates[first])!r}")
    return ",".join(items)


def catalogue() -> str:
    """Every name with its grammar, what it does, and who has proposed it."""
    lines = []
    for method in METHODS.values():
        lines += [method.grammar, f"    {method.meaning}", f"    {method.source}"]
    lines += [
        "rows, such as '9;8-9;7-9'",
        "    separated by ';', each a list of layers; 7@0.5 has half the learning rate",
        "SCHEDULE+LAYERS",
        "    these layers on every row, too, as badam+9",
        "SCHEDULE*H",
        "    each row lasts H iterations, as back*100; after +LAYERS, as single+9*100",
        "    (share: takes both from its schedule: share:single+9 has the mean rates of single+9)",
        "A draw follows its SEED, 0 by default, not that of the run. shuffled:multirate:9:5 takes",
        "5 for multirate's K; give all of a schedule's own arguments before SEED.",
    ]
    return "\n".join(lines)


def as_text(schedule: Schedule, layers: Sequence[LayerSpec]) -> str:
    """The matrix in characters, with the updates and the cost of each row and of the cycle."""
    fair_step, flops = fair_step_flops(layers), schedule.row_flops(layers)
    mean = schedule.relative_cost(layers)
    counts = " ".join(str(count) for count in schedule.updates(schedule.cycle))
    cycle = f"{schedule.cycle} iteration" + ("s" if schedule.cycle > 1 else "")
    held = f", {schedule.period} rows of {schedule.hold}" if schedule.hold > 1 else ""
    costs = f"{mean * schedule.cycle:.3f} per step"
    if schedule.cycle <= LONGEST_CYCLE:
        costs += f", {schedule.cycle_flops(layers) / fair_step:.3f} per batch"
    lines = [
        f"schedule {shortened(schedule.name)}: a cycle of {cycle}{held}",
        "",
        *_matrix(schedule, flops / fair_step),
        "",
        f"updates per cycle, layer 1..{len(layers)}: {counts}",
        f"mean FLOPs per iteration, relative to fair: {mean:.3f}",
        f"FLOPs of the cycle, in fair iterations: {costs}",
    ]
    if schedule.factors is not None:
        rates = " ".join(f"{rate:.3g}" for rate in schedule.mean_rates)
        lines.append(f"mean learning rate, relative to the case's, layer 1..{len(layers)}: {rates}")
    if schedule.moments != "keep":
        lines.append(f"moments: {schedule.moments}")
    return "\n".join(lines)


def _matrix(schedule: Schedule, costs: np.ndarray) -> List[str]:
    """The rows, each with its cost. Equal neighbours share a line; of too many a part is shown."""
    last, shown = schedule.period - 1, np.where(schedule.table, schedule.rates, -1.0)
    begins = [0, *(np.flatnonzero((shown[1:] != shown[:-1]).any(axis=1)) + 1)]
    ends = [r - 1 for r in begins[1:]] + [last]
    if len(begins) > LINES_SHOWN:
        begins = ends = sorted(set(np.linspace(0, last, LINES_SHOWN).astype(int)))
    cells = [_cells(schedule, first) for first in begins]
    width = max(len(cell) for row in [*cells, [str(len(cells[0]))]] for cell in row)
    numbers = " ".join(str(i + 1).rjust(width) for i in range(len(cells[0])))
    lines = [f"        row  layer {numbers}   FLOPs / fair"]
    for first, end, row in zip(begins, ends, cells):
        name = f"{first}" if first == end else f"{first}-{end}"
        marks = " ".join(cell.rjust(width) for cell in row)
        lines.append(f"  {name:>9s}        {marks}   {costs[first]:.3f}")
    if begins is ends:
        lines.append(f"  {len(begins)} of {schedule.period} rows are shown")
    return lines


def _cells(schedule: Schedule, row: int) -> List[str]:
    """What a row shows for each layer."""
    if schedule.factors is None:
        return ["#" if updated else "." for updated in schedule.table[row]]
    return [
        f"{rate:.2g}" if updated else "."
        for updated, rate in zip(schedule.table[row], schedule.factors[row])
    ]
