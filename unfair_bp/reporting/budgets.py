"""The tables of differences: what is compared with the baseline, and what cannot be."""

from typing import Iterable, List, NamedTuple, Sequence, Tuple

from unfair_bp.reporting.document import Block, Heading, Paragraph, Table
from unfair_bp.results import differences
from unfair_bp.results.collection import Group
from unfair_bp.results.differences import BASELINE, Difference, Pair, Side
from unfair_bp.results.statistics import Statistic

NONE = "-"


class Comparison(NamedTuple):
    """One table of differences."""

    cost: str  # what is equal: a field of statistics.Curve
    heading: str
    column: str  # heading of the column that holds the cost
    form: str  # how the cost is written
    note: str
    early: str = "one run of the pair ended within the first epoch of the other"  # if unknown


COMPARISONS = (
    Comparison(
        cost="tflop",
        heading="Paired differences of test accuracy at equal operations",
        column="at TFLOP",
        form=".4g",
        note="Both runs of a pair at the operations of the whole cheaper run. Between two epochs "
        "of the other run, its test accuracy is interpolated linearly.",
    ),
    Comparison(
        cost="updates",
        heading="Paired differences of test accuracy at equal layer updates",
        column="at updates",
        form=".0f",
        note="Both runs of a pair at the layer updates, mean over the layers, of the run that made "
        "fewer, interpolated linearly.",
    ),
    Comparison(
        cost="epochs",
        heading="Paired differences of test accuracy at equal epochs",
        column="at epoch",
        form=".0f",
        note="Both runs after the last epoch of the shorter run.",
    ),
    Comparison(
        cost="train",
        heading="Paired differences of test accuracy at equal training accuracy",
        column="at train",
        form=".4f",
        note="Both runs where they first reached the training accuracy of the run that reached "
        "less, interpolated linearly. Who overfits less has the higher test accuracy there.",
        early="one run of the pair stayed below the other's training accuracy of its first epoch",
    ),
)
# Words of --at.
BUDGETS = {"flops": "tflop", "updates": "updates", "epochs": "epochs", "train-accuracy": "train"}


class Wanted(NamedTuple):
    """Which differences the report is to show."""

    baseline: str = BASELINE  # a schedule
    at: Tuple[str, ...] = tuple(BUDGETS)  # what is equal

    @property
    def costs(self) -> List[str]:
        """What is equal, as fields of statistics.Curve."""
        return [BUDGETS[name] for name in self.at]

    @property
    def comparisons(self) -> List[Comparison]:
        """The tables, in their order."""
        return [item for item in COMPARISONS if item.cost in self.costs]


ALL_BUDGETS = Wanted()


def baseline_of(groups: Sequence[Group], wanted: Wanted) -> str:
    """The name of the baseline in these groups."""
    return differences.baseline_of(groups, wanted.baseline)


def difference_blocks(groups: Sequence[Group], wanted: Wanted) -> List[Block]:
    """A table for each kind of equal cost, and what could not be compared."""
    baseline = baseline_of(groups, wanted)
    pairs = differences.pairs(groups, baseline)
    matched = {match.pair for match in differences.matches(groups, baseline)}
    blocks: List[Block] = []
    for item in wanted.comparisons if matched else ():
        found = differences.differences(groups, item.cost, baseline)
        blocks += [Heading(3, item.heading), Paragraph(item.note)]
        if found:
            blocks.append(_difference_table(item, found))
        wanted_here = {pair for pair in matched if differences.comparable(pair, item.cost)}
        early = wanted_here - {difference.pair for difference in found}
        if early:
            names = _names(groups, [pair for pair in pairs if pair in early])
            blocks.append(Paragraph(f"Not compared here, because {item.early}: {names}."))
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


def _difference_table(item: Comparison, found: Sequence[Difference]) -> Table:
    header = ["cases", "question", "protocol", item.column, "pairs", "difference", "p (Holm)"]
    rows = [
        [
            f"{difference.first.label} - {difference.second.label}",
            difference.pair.question,
            difference.mode,
            format(difference.at, item.form),
            f"{difference.statistic.count}",
            with_interval("+.4f", difference.statistic),
            NONE if difference.p is None else f"{difference.p:.4f}",
        ]
        for difference in found
    ]
    return Table(header, rows, range(3, 7))


def with_interval(form: str, value: Statistic) -> str:
    """A mean and, if there is one, its interval."""
    text = format(value.mean, form)
    if value.low is not None:
        text += f" [{format(value.low, form)}, {format(value.high, form)}]"
    return text
