"""Paired differences: which groups of runs answer a question, and by how much they differ.

Two groups are compared seed by seed, if they have the same protocol and the same quirks, at equal
budget. Every schedule is compared with a baseline, and a control with the schedule that it
controls; runs that nobody made are not mentioned.
"""

import contextlib
import re
from itertools import product
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment.naming import short_name
from unfair_bp.experiment.schedules import parse
from unfair_bp.results.budgets import TRAINING_ACCURACY, Budget
from unfair_bp.results.collection import Group
from unfair_bp.results.run import EITHER, Run, Variant
from unfair_bp.results.statistics import Statistic, curve, holm, p_value, statistic

BASELINE = "fair"
WORDS = {"back": "from the back", "front": "from the front"}
NEAR = 0.999  # of a run counts as all of it: stages are rounded to whole iterations
CONTROLS = ("share", "shuffled")  # methods that change one thing about another schedule


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

    @property
    def mode(self) -> str:
        """Protocol and quirks in words."""
        return mode_of(self.first.variant, self.second.variant)


class Difference(NamedTuple):
    """Test accuracy of one group minus another's at equal budget, over the seeds of both."""

    pair: Pair  # the question it answers
    first: Variant
    second: Variant
    label: str  # both by name
    at: float  # the budget, in the unit of the curves, mean over the pairs
    statistic: Statistic  # its count is the number of pairs
    p: Optional[float]  # of the paired t test, Holm's correction applied; None: cannot be had

    @property
    def mode(self) -> str:
        """Protocol and quirks in words."""
        return mode_of(self.first, self.second)


def mode_of(first: Variant, second: Variant) -> str:
    """The protocol and quirks of two groups that are compared, in words."""
    return (second if first.protocol == EITHER else first).mode


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
    front. A control, such as share:back, is also compared with its schedule, and augmented runs
    with those of the same schedule that are not.

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
        wanted += [(name, inner) for name in alike for inner in _controlled(name)]
        for names in dict.fromkeys(wanted):
            if set(names) <= set(alike):
                first, second = (Side(name, augment) for name in names)
                found.append(Pair(first, second, f"{first.words} against {second.words}{ending}"))
    for plain in (side for side in sides if not side.augment):
        augmented = plain._replace(augment=True)
        if augmented in sides:
            found.append(Pair(augmented, plain, f"augmented against not, both {plain.words}"))
    return found


def _controlled(name: str) -> List[str]:
    """The schedule that a control has changed one thing about, also if a seed ends its name."""
    method, _, inner = name.partition(":")
    if method not in CONTROLS:
        return []
    # A seed stands before what + and * add, as in shuffled:back:1*100; share has none.
    seeded = re.fullmatch(r"(.+):[0-9]+((?:\+[0-9,\s-]*)?(?:\*[0-9]+)?)", inner)
    if method == "shuffled" and seeded:
        return [inner, "".join(seeded.groups())]
    return [inner]


def _side(group: Group) -> Side:
    return Side(group.variant.schedule, group.variant.augment)


def matches(groups: Sequence[Group], baseline: str = BASELINE) -> List[Match]:
    """The groups that can be compared: same protocol, same quirks, and seeds in common."""
    return [
        Match(_asked(pair, first, second), first, second, tuple(sorted(seeds)))
        for pair in pairs(groups, baseline)
        for first, second in product(groups, groups)
        for seeds in [set(first.seeds) & set(second.seeds)]
        if (_side(first), _side(second)) == (pair.first, pair.second)
        and _alike(first.variant, second.variant)
        and seeds
    ]


def _asked(pair: Pair, first: Group, second: Group) -> Pair:
    """The pair; its question says so if a quirk made both sides train the same schedule."""
    same = pair.first.schedule != pair.second.schedule and (
        first.runs[0].running == second.runs[0].running
    )
    return pair._replace(question=f"{pair.question}, both trained alike") if same else pair


def differences(
    groups: Sequence[Group], budget: Budget, baseline: str = BASELINE
) -> List[Difference]:
    """The differences between schedules and a baseline, in groups of one setting at equal budget.

    Compared are groups of the same protocol and the same quirks, seed by seed, at what the cheaper
    run of the pair had spent in the end (for training accuracy, at the best that the worse run
    reached). Between two epochs of the other run, its accuracy is interpolated linearly; before its
    first epoch it is not known, and such groups are left out. So are those in which a schedule that
    spans its whole run would be cut short, because a shorter run of it would be another.

    Args:
        groups: The groups of one setting.
        budget: What is equal.
        baseline: The name of a schedule, as the groups have it.
    """
    alike = [match for match in matches(groups, baseline) if comparable(match.pair, budget)]
    names = _names(groups)
    found = [_difference(match, budget, names) for match in alike]
    known = [item for item in found if item is not None]
    tested = [item.p for item in known if item.p is not None]
    corrected = iter(holm(tested))
    return [item if item.p is None else item._replace(p=next(corrected)) for item in known]


def comparable(pair: Pair, budget: Budget) -> bool:
    """Whether a budget means the same on both sides: augmented images are harder to train on."""
    return budget is not TRAINING_ACCURACY or pair.first.augment == pair.second.augment


def _names(groups: Sequence[Group]) -> Dict[Variant, str]:
    """The groups' names, with the number of epochs where it tells two apart."""
    labels = [group.variant.label for group in groups]
    modes = [(group.variant.label, group.variant.mode) for group in groups]
    return {
        group.variant: label + (f", {group.variant.epochs} ep." if modes.count(mode) > 1 else "")
        for group, label, mode in zip(groups, labels, modes)
    }


def _difference(match: Match, budget: Budget, names: Dict[Variant, str]) -> Optional[Difference]:
    """One difference, its p not corrected; None if it is not known at this budget."""
    pair, first, second, seeds = match
    spent, values = [], []
    for both in zip(_runs(first, seeds), _runs(second, seeds)):
        points = [budget.points(curve(run.metrics)) for run in both]
        if not all(len(x) for x, _ in points):
            return None
        at = min(float(np.max(x)) for x, _ in points)
        if at < max(float(x[0]) for x, _ in points):
            return None
        if any(run.running.spans_run and _cut(x, at) for run, (x, _) in zip(both, points)):
            return None
        spent.append(at)
        one, other = (_accuracy_at(at, x, y) for x, y in points)
        values.append(one - other)
    label = f"{names[first.variant]} - {names[second.variant]}"
    at = float(np.mean(spent))
    return Difference(
        pair, first.variant, second.variant, label, at, statistic(values), p_value(values)
    )


def _cut(spent: np.ndarray, at: float) -> bool:
    """Whether a run has spent this before its end; training accuracy may be reached early."""
    return int(np.argmax(spent >= at)) < len(spent) - 1 or at < NEAR * spent[-1]


def _accuracy_at(at: float, spent: np.ndarray, accuracy: np.ndarray) -> float:
    """The accuracy where a run first reached this budget, linear between two epochs."""
    after = int(np.argmax(spent >= at))
    around = slice(max(after - 1, 0), after + 1)
    return float(np.interp(at, spent[around], accuracy[around]))


def _alike(first: Variant, second: Variant) -> bool:
    """Whether two groups have the same protocol and quirks."""
    protocols = {first.protocol, second.protocol} - {EITHER}
    return len(protocols) <= 1 and first.quirks == second.quirks


def _runs(group: Group, seeds: Sequence[int]) -> List[Run]:
    """The runs of these seeds, in their order."""
    runs = {run.case.seed: run for run in group.runs}
    return [runs[seed] for seed in seeds]
