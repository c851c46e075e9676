"""The tables of differences: what is compared with the baseline, and what cannot be."""

from typing import Iterable, List, NamedTuple, Optional, Sequence

from unfair_bp.reporting.document import Block, Heading, Paragraph, Table
from unfair_bp.results import differences
from unfair_bp.results.budgets import BUDGETS, Budget
from unfair_bp.results.collection import Group
from unfair_bp.results.differences import BASELINE, Difference, Pair, Side
from unfair_bp.results.statistics import Statistic

NONE = "-"
SMALLEST_P = 0.0001  # a smaller one would be written as zero


class Wanted(NamedTuple):
    """Which differences the report is to show."""

    baseline: str = BASELINE  # a schedule
    budgets: Sequence[Budget] = BUDGETS  # what is equal


EVERYTHING = Wanted()


def baseline_of(groups: Sequence[Group], wanted: Wanted) -> str:
    """The name of the baseline in these groups."""
    return differences.baseline_of(groups, wanted.baseline)


def difference_blocks(groups: Sequence[Group], wanted: Wanted) -> List[Block]:
    """A table for each budget, and what could not be compared."""
    baseline = baseline_of(groups, wanted)
    pairs = differences.pairs(groups, baseline)
    matched = {match.pair for match in differences.matches(groups, baseline)}
    blocks: List[Block] = []
    for budget in wanted.budgets if matched else ():
        found = differences.differences(groups, budget, baseline)
        heading = f"Paired differences of test accuracy at equal {budget.words}"
        blocks += [Heading(3, heading), Paragraph(budget.note)]
        if found:
            blocks.append(_difference_table(budget, found))
        sensible = {pair for pair in matched if differences.comparable(pair, budget)}
        unknown = sensible - {difference.pair for difference in found}
        if unknown:
            names = _names(groups, [pair for pair in pairs if pair in unknown])
            spans = any(group.runs[0].running.spans_run for group in groups)
            cut = ", or a schedule that spans its run would be cut short" if spans else ""
            blocks.append(Paragraph(f"Not compared here, because {budget.missing}{cut}: {names}."))
    absent = [pair for pair in pairs if pair not in matched]
    if absent:
        names = _names(groups, absent)
        blocks.append(
            Paragraph(f"No two runs with the same seed, protocol and quirks for: {names}.")
        )
    return blocks + _without_baseline(groups, baseline)


def _without_baseline(groups: Sequence[Group], baseline: str) -> List[Block]:
    """Schedules that have nothing to be compared with, because nobody ran the baseline."""
    blocks: List[Block] = []
    for augment in (False, True):
        alike = [group.variant for group in groups if group.variant.augment == augment]
        schedules = {variant.schedule for variant in alike}
        if len(schedules) > 1 and baseline not in schedules:
            ending = " and augmentation" if augment else ""
            names = ", ".join(dict.fromkeys(variant.label for variant in alike))
            name = differences.Side(baseline, augment).words
            blocks.append(
                Paragraph(
                    f"No run with the schedule {name}{ending}, the baseline, to compare with: "
                    f"{names}. Train one with these options, or compare with another: "
                    "`--baseline SCHEDULE`."
                )
            )
    return blocks


def _names(groups: Sequence[Group], pairs: Iterable[Pair]) -> str:
    """Pairs by the names of what is compared."""

    def name(side: Side) -> str:
        return next(
            group.variant.label
            for group in groups
            if (group.variant.schedule, group.variant.augment) == side
        )

    return ", ".join(f"{name(pair.first)} - {name(pair.second)}" for pair in pairs)


def _difference_table(budget: Budget, found: Sequence[Difference]) -> Table:
    header = ["cases", "question", "protocol", budget.column, "pairs", "difference", "p (Holm)"]
    rows = [
        [
            difference.label,
            difference.pair.question,
            difference.mode,
            format(difference.at, budget.form),
            f"{difference.statistic.count}",
            with_interval("+.4f", difference.statistic),
            _p_text(difference.p),
        ]
        for difference in found
    ]
    return Table(header, rows, range(3, 7))


def _p_text(p: Optional[float]) -> str:
    if p is None:
        return NONE
    return f"{p:.4f}" if p >= SMALLEST_P else f"<{SMALLEST_P:.4f}"


def with_interval(form: str, value: Statistic) -> str:
    """A mean and, if there is one, its interval."""
    text = format(value.mean, form)
    if value.low is not None:
        text += f" [{format(value.low, form)}, {format(value.high, form)}]"
    return text
