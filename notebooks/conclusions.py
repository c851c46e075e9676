"""What the stored runs of the study say of a case, in words and numbers taken from the runs."""

from pathlib import Path
from typing import List

from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.naming import count_text
from unfair_bp.reporting.differences import with_interval
from unfair_bp.reporting.text import setting_text
from unfair_bp.results import statistics
from unfair_bp.results.budgets import BUDGETS
from unfair_bp.results.collection import Group, collect
from unfair_bp.results.differences import Difference, differences
from unfair_bp.results.run import EITHER
from unfair_bp.results.selection import Choice, select

STUDY = Path(__file__).resolve().parent.parent / "logs" / "study"
SMALLEST_P = 0.01  # a smaller one is not written out
LEVEL = 0.05  # of p after Holm's correction, below which a difference is taken for one


def conclusion(letter: str) -> str:
    """A case's accuracy and its differences from other cases in the stored runs, as Markdown."""
    collection = select(collect(str(STUDY)), "learning_rate")
    stored = [
        (setting, group)
        for setting, groups in collection.settings.items()
        for group in groups
        if group.variant.name == letter and not group.variant.quirks
    ]
    if not stored:
        return (
            f"There are no runs of case {letter} at a tuned learning rate yet: "
            "[what is missing](../logs/README.md#what-is-missing)."
        )
    setting, group = max(stored, key=lambda x: (len(x[1].runs), x[1].variant.epochs))
    tuned = group.variant._replace(epochs=0)
    choice = next(x for x in collection.choices if (x.setting, x.variant) == (setting, tuned))
    return _text(group, collection.settings[setting], choice)


def _text(group: Group, groups: List[Group], choice: Choice) -> str:
    """The paragraphs of a case that was run."""
    values = statistics.summary(group)
    lines = [
        f"{setting_text(choice.setting)}; {count_text(len(group.seeds), 'seed')}, "
        f"{group.variant.epochs} epochs, {_mode(group)}. Learning rate "
        f"{choice.value:g}, picked for this schedule by the accuracy on images held out of "
        f"training ({count_text(choice.seeds, 'seed')}, epoch {choice.epoch}). Brackets: 95 % "
        "intervals of Student's t, uncorrected. p: Holm's correction for all pairs at a budget. "
        "Not all were planned; [these were](../logs/README.md#the-answer-so-far).",
        "",
        f"Test accuracy after the last epoch: {with_interval('.4f', values['test'])}; training "
        f"accuracy: {with_interval('.4f', values['train'])}.",
    ]
    rows = []
    for budget in BUDGETS:
        for found in differences(groups, budget):
            if group.variant in (found.first, found.second):
                cells = [budget.words, found.label, f"{found.statistic.count}"]
                cells += [with_interval("+.4f", found.statistic), verdict(found)]
                rows.append(f"| {' | '.join(cells)} |")
    if rows:
        lines += ["", "Differences of test accuracy, seed by seed:", ""]
        lines += ["| at equal | cases | pairs | difference | verdict |", "|---|---|---|---|---|"]
        lines += rows
    return "\n".join(lines)


def verdict(found: Difference) -> str:
    """What a difference says, if anything, after Holm's correction."""
    if found.p is None:
        return "unknown: there is no p"
    first, second = found.label.split(" - ")
    better = f"{first} is {'better' if found.statistic.mean > 0 else 'worse'} than {second}"
    shown = f"p = {found.p:.2f}" if found.p >= SMALLEST_P else f"p < {SMALLEST_P}"
    return f"{better if found.p < LEVEL else 'no clear difference'} ({shown})"


def _mode(group: Group) -> str:
    """The protocol and quirks of a group in words."""
    mode = group.variant.mode
    return "one row, so both protocols agree" if mode == EITHER else f"protocol: {mode}"


def beside(letter: str) -> str:
    """The case trained for comparison: fair for c to f, from the back for a and b."""
    if letter in "ab":
        return {"a": "c", "b": "d"}[letter]
    return "b" if CASES[letter].augment else "a"
