"""What the picture of a comparison shows: groups as series of curves, settings as parts."""

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.naming import count_text
from unfair_bp.results import statistics
from unfair_bp.results.budgets import Budget
from unfair_bp.results.collection import Group
from unfair_bp.results.differences import Difference, differences
from unfair_bp.results.run import EITHER, LONGEST_LABEL, Variant
from unfair_bp.results.statistics import Curve, Statistic

LONGEST_TICK = 14  # letters of a schedule along an axis


class Series(NamedTuple):
    """The runs of one group."""

    name: str  # letter of the case; for any other case, its schedule
    letter: str  # whose colour it has: that of the post's case of this schedule, or none
    augmented: bool
    tick: str  # the name, and what else tells the group from others of the same name
    label: str  # for the legend
    curves: Sequence[Curve]  # one for each seed
    final: Statistic  # test accuracy
    published: Optional[Curve]  # of the post, if it ran this


class Part(NamedTuple):
    """What is drawn into one set of panels."""

    title: str
    series: Sequence[Series]
    differences: Mapping[Budget, Sequence[Difference]]


def parts(
    groups: Sequence[Group], title: str, baseline: str, budgets: Sequence[Budget]
) -> List[Part]:
    """One setting's groups as parts: those of one protocol and the same quirks share one.

    Args:
        groups: The groups of one setting.
        title: The setting in words.
        baseline: The schedule that others are compared with, as the groups have it.
        budgets: What is equal where differences are taken.
    """
    return [
        Part(
            title=f"{title}; {mode}",
            series=[_series(group, chosen) for group in chosen],
            differences={budget: differences(chosen, budget, baseline) for budget in budgets},
        )
        for mode, chosen in _by_mode(groups)
    ]


def _by_mode(groups: Sequence[Group]) -> List[Tuple[str, List[Group]]]:
    """Groups of one protocol and the same quirks, with both in words.

    A cycle of one row, the same under both protocols, stands beside the runs of either.
    """
    quirks: Dict[Tuple[str, ...], List[Group]] = {}
    for group in groups:
        quirks.setdefault(group.variant.quirks, []).append(group)
    modes = []
    for alike in quirks.values():
        protocols = {group.variant.protocol for group in alike}
        for protocol in sorted(protocols - {EITHER}) or [EITHER]:
            chosen = [group for group in alike if group.variant.protocol in (protocol, EITHER)]
            modes.append((chosen[0].variant._replace(protocol=protocol).mode, chosen))
    return modes


def _series(group: Group, others: Sequence[Group]) -> Series:
    """What is drawn of a group that shares a part with others, itself included."""
    variant, log = group.variant, statistics.published(group)
    label = variant.shortened(LONGEST_LABEL)
    tick = [variant.shortened(LONGEST_TICK).name]
    namesakes = [other.variant for other in others if other.variant.name == variant.name]
    if variant.augment and not all(other.augment for other in namesakes):
        tick.append("augm.")
    if len({other.epochs for other in namesakes}) > 1:
        tick.append(f"{variant.epochs} ep.")
    what = f"{label.name}: {label.training}" if variant.as_posted else label.training
    counts = f"{count_text(variant.epochs, 'epoch')}, {count_text(len(group.runs), 'seed')}"
    return Series(
        name=variant.name,
        letter=letter_of(variant),
        augmented=variant.augment,
        tick="\n".join(tick),
        label=f"{what}, {counts}",
        curves=[statistics.curve(run.metrics) for run in group.runs],
        final=statistics.summary(group)["test"],
        published=statistics.published_curve(variant.name, log) if log else None,
    )


def letter_of(variant: Variant) -> str:
    """The letter whose colour a variant has.

    It is its own, or that of the post's case with the same schedule and augmentation.
    """
    if variant.as_posted:
        return variant.name
    trained = (variant.schedule, variant.augment)
    alike = (case.name for case in CASES.values() if (case.schedule, case.augment) == trained)
    return next(alike, "")
