"""Paired differences: which groups of runs answer a question, and by how much they differ.

Two groups are compared seed by seed, if they have the same protocol and the same quirks, at equal
cost. Every schedule is compared with a baseline; runs that nobody made are not mentioned.
"""

import contextlib
from itertools import product
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment.naming import short_name
from unfair_bp.experiment.schedules import parse
from unfair_bp.results.collection import Group
from unfair_bp.results.run import EITHER, Variant
from unfair_bp.results.statistics import Curve, Statistic, curve, holm, p_value, statistic

BASELINE = "fair"
WORDS = {"back": "from the back", "front": "from the front"}


class Side(NamedTuple):
    """One side of a comparison."""

    schedule: str
    augment: bool

    @property
    def words(self) -> str:
        """The schedule in words."""
        return WORDS.get(self.schedule, short_name(self.schedule, 40))


class Pair(NamedTuple):
    """Two sides, and the question that their difference answers."""

    first: Side
    second: Side
    question: str


class Match(NamedTuple):
    """Two groups that answer the question of a pair."""

    pair: Pair
    first: Group
    second: Group
    seeds: Tuple[int, ...]  # of both


class Difference(NamedTuple):
    """Test accuracy of one group minus another's at equal cost, over the seeds of both."""

    pair: Pair  # the question it answers
    first: Variant
    second: Variant
    at: float  # the cost, in the unit of the curves
    statistic: Statistic  # its count is the number of pairs
    p: Optional[float]  # of the paired t test, Holm's correction applied; None for one pair

    @property
    def mode(self) -> str:
        """Protocol and quirks in words."""
        return (self.second if self.first.protocol == EITHER else self.first).mode


def baseline_of(groups: Sequence[Group], text: str) -> str:
    """The name that a schedule has in these groups; the text itself if none of them runs it."""
    for group in groups:
        run = group.runs[0]
        with contextlib.suppress(FieldError):  # a schedule of another network
            if parse(text, len(run.case.layers), run.length) == run.schedule:
                return group.variant.schedule
    return text


def pairs(groups: Sequence[Group], baseline: str = BASELINE) -> List[Pair]:
    """The comparisons that there are runs for: every other schedule with the baseline.

    To fair as the baseline belongs the post's other question, from the back against from the
    front; and to every baseline that of augmentation.

    Args:
        groups: The groups of one setting.
        baseline: The name of a schedule, as the groups have it.
    """
    sides = list(dict.fromkeys(_side(group) for group in groups))
    found = []
    for augment in (False, True):
        ending = ", both augmented" if augment else ""
        alike = [side.schedule for side in sides if side.augment == augment]
        wanted = [(name, baseline) for name in alike if name != baseline]
        if baseline == BASELINE:
            wanted.append(("back", "front"))
        for names in wanted:
            if set(names) <= set(alike):
                first, second = (Side(name, augment) for name in names)
                found.append(Pair(first, second, f"{first.words} against {second.words}{ending}"))
    augmented, plain = Side(baseline, True), Side(baseline, False)
    if {augmented, plain} <= set(sides):
        found.append(Pair(augmented, plain, f"augmented against not, both {plain.words}"))
    return found


def _side(group: Group) -> Side:
    return Side(group.variant.schedule, group.variant.augment)


def matches(groups: Sequence[Group], baseline: str = BASELINE) -> List[Match]:
    """The groups that can be compared: same protocol, same quirks, and seeds in common."""
    return [
        Match(pair, first, second, tuple(sorted(set(first.seeds) & set(second.seeds))))
        for pair in pairs(groups, baseline)
        for first, second in product(groups, groups)
        if (_side(first), _side(second)) == (pair.first, pair.second)
        and _alike(first.variant, second.variant)
        and set(first.seeds) & set(second.seeds)
    ]


def differences(groups: Sequence[Group], cost: str, baseline: str = BASELINE) -> List[Difference]:
    """The differences between schedules and a baseline, in groups of one setting at equal cost.

    Compared are groups of the same protocol and the same quirks, seed by seed, at the cost of the
    cheaper run. Between two epochs of the other run, its accuracy is interpolated linearly; before
    its first epoch it is not known, and such groups are left out.

    Training accuracy is a cost, too: the run that reached less of it is the cheaper one, and the
    other is taken where it first reached as much.

    Args:
        groups: The groups of one setting.
        cost: The field of :class:`Curve` that is equal: ``tflop``, ``updates``, ``epochs`` or
            ``train``.
        baseline: The name of a schedule, as the groups have it.
    """
    alike = [match for match in matches(groups, baseline) if comparable(match.pair, cost)]
    found = [_difference(match, cost) for match in alike]
    known = [item for item in found if item is not None]
    tested = [item.p for item in known if item.p is not None]
    corrected = iter(holm(tested))
    return [item if item.p is None else item._replace(p=next(corrected)) for item in known]


def comparable(pair: Pair, cost: str) -> bool:
    """Whether a cost means the same on both sides: augmented images are harder to train on."""
    return cost != "train" or pair.first.augment == pair.second.augment


def _difference(match: Match, cost: str) -> Optional[Difference]:
    """One difference, its p not corrected; None if it is not known at this cost."""
    pair, first, second, seeds = match
    curves = list(zip(_curves(first, seeds), _curves(second, seeds)))
    reached = [_spent(curve, cost) for both in curves for curve in both]
    at = min(float(costs[-1]) for costs in reached)
    if at < max(float(costs[0]) for costs in reached):
        return None
    values = [
        np.interp(at, _spent(a, cost), a.accuracy) - np.interp(at, _spent(b, cost), b.accuracy)
        for a, b in curves
    ]
    p = p_value(values) if len(values) > 1 else None
    return Difference(pair, first.variant, second.variant, at, statistic(values), p)


def _spent(curve: Curve, cost: str) -> np.ndarray:
    """The cost after each epoch, ascending: training accuracy may fall, and then counts as kept."""
    return np.maximum.accumulate(getattr(curve, cost))


def _alike(first: Variant, second: Variant) -> bool:
    """Whether two groups have the same protocol and quirks."""
    protocols = {first.protocol, second.protocol} - {EITHER}
    return len(protocols) <= 1 and first.quirks == second.quirks


def _curves(group: Group, seeds: Sequence[int]) -> List[Curve]:
    """The curves of these seeds, in their order."""
    runs = {run.case.seed: run for run in group.runs}
    return [curve(runs[seed].metrics) for seed in seeds]
