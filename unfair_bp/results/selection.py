"""A value picked for each schedule on runs that hold images out, and the other runs at it."""

from dataclasses import dataclass, replace
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.naming import count_text
from unfair_bp.results.collection import Collection, grouped, unfinished
from unfair_bp.results.run import Run, Setting, Variant

# Numbers that the runs of a setting have in common, so that one of them can be picked.
SELECTABLE = ("learning_rate", "batch_size", "momentum", "beta1", "beta2", "epsilon")


@dataclass(frozen=True)
class Choice:
    """The value that was picked for one schedule in one setting."""

    setting: Setting  # that of the report, in which the field's value is left open
    variant: Variant  # with no epochs: the tuning runs' may differ from the others'
    tried: Tuple[Tuple[float, float], ...]  # values, ascending, with their validation accuracies
    value: float
    epoch: int  # after which the accuracies are, the last that all tuning runs have finished
    seeds: int  # of the tuning runs at the value with fewest
    others: int  # runs at the value that hold no images out

    @property
    def at_edge(self) -> bool:
        """Whether no value was tried on one side of the one that was picked."""
        return self.value in (self.tried[0][0], self.tried[-1][0])


def select(collection: Collection, field: str) -> Collection:
    """Keep of each schedule the runs at the value that does best on images held out of training.

    Runs with a ``validation_size`` are for tuning. The value with the best validation accuracy,
    mean over the tuning runs' seeds, after the last epoch that all of them have finished, is
    picked; of equal ones, the smallest value. Of the other runs those at that value are kept; all
    schedules then stand in one table.

    Args:
        collection: All runs.
        field: The field of the case to pick, one of SELECTABLE.

    Returns:
        The runs that are kept, none if only tuning has run so far, with a choice for each schedule
        that was tuned.

    Raises:
        UsageError: If no run was for tuning.
    """
    tuning: Dict[Tuple[Setting, Variant], List[Run]] = {}
    others: Dict[Tuple[Setting, Variant], List[Run]] = {}
    groups = [group for alike in collection.settings.values() for group in alike]
    for run in (run for group in groups for run in group.runs):
        split = others if run.case.validation_size is None else tuning
        key = _left_open(run, field), run.variant._replace(epochs=0)
        split.setdefault(key, []).append(run)
    option = "--select " + field.replace("_", "-")
    if not tuning:
        raise UsageError(
            f"{option} has nothing to pick from: no run holds images out; train some with "
            "--validation-size"
        )
    kept: List[Run] = []
    choices: List[Choice] = []
    for key, tuned in tuning.items():
        tried, epoch, seeds = _validation(tuned, field)
        value = max(tried, key=tried.get)
        chosen = [run for run in others.get(key, ()) if getattr(run.case, field) == value]
        kept += [replace(run, setting=key[0]) for run in chosen]
        choices.append(Choice(*key, tuple(sorted(tried.items())), value, epoch, seeds, len(chosen)))
    runs = [*kept, *(run for tuned in tuning.values() for run in tuned)]
    left_out = [*collection.left_out, *_not_tuned(tuning, others, field)]
    return Collection(grouped(kept), left_out, unfinished(runs), tuple(choices))


def _not_tuned(
    tuning: Mapping[Tuple[Setting, Variant], Sequence[Run]],
    others: Mapping[Tuple[Setting, Variant], Sequence[Run]],
    field: str,
) -> List[str]:
    """A line for each schedule whose runs are not counted because it was not tuned."""
    words = field.replace("_", " ")
    return [
        f"{variant.title}, {variant.mode}: {count_text(len(runs), 'run')}, because there are no "
        f"tuning runs to pick a {words} by"
        for (setting, variant), runs in others.items()
        if (setting, variant) not in tuning
    ]


def _left_open(run: Run, field: str) -> Setting:
    """The run's setting without the value of the field, and without the split."""
    neutral = {name: getattr(CASES["a"], name) for name in (field, "validation_size")}
    return run.setting._replace(case=replace(run.setting.case, **neutral), selected=field)


def _validation(runs: Sequence[Run], field: str) -> Tuple[Dict[float, float], int, int]:
    """The mean validation accuracy of each value, the epoch, and the fewest seeds of a value."""
    epoch = min(len(run.metrics) for run in runs)
    found: Dict[float, Dict[int, float]] = {}  # by value and seed: a seed may have been run twice
    for run in runs:
        accuracy = run.metrics[epoch - 1].validation_accuracy
        found.setdefault(getattr(run.case, field), {})[run.case.seed] = accuracy
    means = {value: float(np.mean(list(seeds.values()))) for value, seeds in sorted(found.items())}
    return means, epoch, min(map(len, found.values()))
