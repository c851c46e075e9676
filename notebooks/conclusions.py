"""What the stored runs of the study say of a case, in words and numbers taken from the runs."""

from pathlib import Path
from typing import List, Optional

from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.naming import count_text
from unfair_bp.reporting.budgets import COMPARISONS, with_interval
from unfair_bp.reporting.text import setting_text
from unfair_bp.results import differences, statistics
from unfair_bp.results.collection import Group, collect
from unfair_bp.results.selection import Choice, select
from unfair_bp.results.statistics import Statistic

STUDY = Path(__file__).resolve().parent.parent / "logs" / "study"
EQUAL = {
    "tflop": "operations",
    "updates": "layer updates",
    "epochs": "epochs",
    "train": "training accuracy",
}


def conclusion(letter: str) -> str:
    """A case's accuracy and differences from fair in the stored runs, as Markdown."""
    collection = select(collect(str(STUDY)), "learning_rate")
    for setting, groups in collection.settings.items():
        for group in groups:
            if group.variant.name == letter:
                name = group.variant.schedule
                choice = next(x for x in collection.choices if x.variant.schedule == name)
                return _text(group, groups, choice, setting_text(setting))
    return (
        f"None of the stored runs is of case {letter} at this size yet: "
        "[logs/README.md](../logs/README.md#what-is-missing) says what is missing."
    )


def _text(group: Group, groups: List[Group], choice: Choice, setting: str) -> str:
    """The paragraphs of a case that was run."""
    values = statistics.summary(group)
    lines = [
        f"{setting}; {count_text(len(group.seeds), 'seed')}, {group.variant.epochs} epochs, one "
        f"row of the schedule per batch. Learning rate {choice.value:g}, picked for this schedule "
        "on images held out of training. In brackets 95 % intervals of Student's t.",
        "",
        f"Test accuracy after the last epoch {with_interval('.4f', values['test'])}, training "
        f"accuracy {with_interval('.4f', values['train'])}.",
    ]
    rows = []
    for comparison in COMPARISONS:
        found = _difference(group, groups, comparison.cost)
        if found:
            cells = [EQUAL[comparison.cost], f"{found.count}", with_interval("+.4f", found)]
            rows.append(f"| {' | '.join([*cells, verdict(found)])} |")
    if rows:
        beside = "a" if not group.variant.augment else "b"
        lines += [
            "",
            f"Differences of test accuracy from case {beside} (fair), seed by seed:",
            "",
            f"| at equal | pairs | {group.variant.name} - {beside} | so {group.variant.name} is |",
            "|---|---|---|---|",
            *rows,
        ]
    return "\n".join(lines)


def _difference(group: Group, groups: List[Group], cost: str) -> Optional[Statistic]:
    """The difference between a group and fair at equal cost, if there is one."""
    fair = differences.Side(differences.BASELINE, group.variant.augment)
    for item in differences.differences(groups, cost):
        if item.first == group.variant and item.pair.second == fair:
            return item.statistic
    return None


def verdict(found: Statistic) -> str:
    """What an interval says."""
    if found.low is None:
        return "one pair: not known"
    if found.low > 0:
        return "better"
    return "worse" if found.high < 0 else "not to be told apart"


def beside(letter: str) -> str:
    """The case that a case is trained beside: fair with the same images, or c beside fair."""
    if letter in "ab":
        return {"a": "c", "b": "d"}[letter]
    return "b" if CASES[letter].augment else "a"
