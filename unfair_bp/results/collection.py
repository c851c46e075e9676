"""Runs below a directory, found and grouped so that only like is compared with like."""

import os
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from unfair_bp.errors import UsageError
from unfair_bp.experiment.matrix import Schedule
from unfair_bp.results.run import Run, Setting, Variant, read_run
from unfair_bp.running.directory import CONFIG

POSTED_DATA = "CIFAR-10"


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed, each seed once, ascending."""

    variant: Variant
    runs: Tuple[Run, ...]

    @property
    def seeds(self) -> Tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run.case.seed for run in self.runs)

    @property
    def as_posted(self) -> bool:
        """Whether the post has numbers to compare with: for its case, on its network and data."""
        setting = self.runs[0].setting
        images = setting.data.split(",")[0]  # "CIFAR-10, JPEG re-encoded" is close
        return images == POSTED_DATA and setting.posted_network and self.variant.as_posted


class Collection(NamedTuple):
    """Everything found below a directory."""

    settings: Dict[Setting, List[Group]]  # those with most runs first; groups in order of the case
    left_out: List[str]  # a line for each run that is not counted, and for what is unreadable
    unfinished: List[str]  # a line for each counted run that lacks epochs
    choices: Sequence[Any] = ()  # the values that were picked, see results.selection

    @property
    def run_count(self) -> int:
        """Number of runs that are counted."""
        return sum(len(group.runs) for groups in self.settings.values() for group in groups)


def collect(root: str, *others: str) -> Collection:
    """Read and group every run below some directories; links to directories are not followed.

    Of runs that are the same, seed included, the first in the order of their paths is counted.
    Damaged runs and runs without a finished epoch are not counted.

    Args:
        root: A directory with run directories in it.
        others: More of them; one may lie below another.

    Raises:
        UsageError: If there is no such directory, one holds no run, or none can be counted.
    """
    roots = (root, *others)
    paths, left_out = _run_paths(roots)
    found: List[Run] = []
    for path in paths:
        try:
            found.append(read_run(path))
        except UsageError as error:
            # The advice at the end is for someone who named the run, not the directory above it.
            left_out.append(str(error).rpartition("; ")[0])
    runs: Dict[Tuple[Setting, Variant, int], Run] = {}
    for run in _under_common_names(found):
        known = runs.setdefault((run.setting, run.variant, run.case.seed), run)
        if known is not run:
            name, seed = run.variant.title, run.case.seed
            left_out.append(
                f"{run.path}: {name} with seed {seed} again, settings and epochs as in "
                f"{known.path}, which is counted"
            )
    if not runs:
        raise _nothing_in(" ".join(roots), left_out)
    counted = list(runs.values())
    return Collection(grouped(counted), left_out, unfinished(counted))


def _run_paths(roots: Sequence[str]) -> Tuple[List[str], List[str]]:
    """Paths of the run directories, sorted, and a line for each directory that is unreadable."""
    problems: List[str] = []

    def unreadable(error: OSError) -> None:
        problems.append(f"{error.filename} cannot be read: {error.strerror}")

    found: Dict[str, str] = {}  # paths by where they really are
    for root in roots:
        if not os.path.isdir(root):
            raise UsageError(
                f"{root} is not a directory; give the directory that unfair_bp.train wrote to, "
                "such as logs"
            )
        tree = os.walk(root, onerror=unreadable)
        below = [directory for directory, _, names in tree if CONFIG in names]
        if not below:
            raise _nothing_in(root, problems)
        for directory in below:
            found.setdefault(os.path.realpath(directory), directory)
    return sorted(found.values()), list(dict.fromkeys(problems))


def _nothing_in(roots: str, left_out: Sequence[str]) -> UsageError:
    reason = "; ".join(left_out) or f"there is no directory with {CONFIG}"
    return UsageError(
        f"{roots} holds no run with a finished epoch ({reason}); give the directory that "
        "unfair_bp.train wrote to, such as logs"
    )


def _under_common_names(runs: Sequence[Run]) -> List[Run]:
    """The runs in their order, equal schedules under the same name: the shortest."""
    names: Dict[Schedule, str] = {}
    schedules = [run.schedule for run in runs]
    for run, schedule in zip(runs, schedules):
        if not run.in_part:
            known = names.get(schedule, run.variant.schedule)
            names[schedule] = min(run.variant.schedule, known, key=_typed_last)
    return [
        run if run.in_part else run.under(names[schedule]) for run, schedule in zip(runs, schedules)
    ]


def _typed_last(name: str) -> Tuple[bool, int, str]:
    """An order of names for one schedule, the best first."""
    return not name[:1].isalpha(), len(name), name


def unfinished(runs: Sequence[Run]) -> List[str]:
    """A line for each run that lacks epochs."""
    return [
        f"{run.path}: {run.variant.epochs} of {run.case.epochs} epochs"
        for run in runs
        if run.variant.epochs < run.case.epochs
    ]


def grouped(runs: Sequence[Run]) -> Dict[Setting, List[Group]]:
    """Runs by setting and variant, everything in a fixed order."""
    settings: Dict[Setting, Dict[Variant, List[Run]]] = {}
    for run in runs:
        settings.setdefault(run.setting, {}).setdefault(run.variant, []).append(run)

    def most_runs_first(setting: Setting) -> Tuple[int, str]:
        return -sum(len(group) for group in settings[setting].values()), repr(setting)

    def letters_first(variant: Variant) -> Tuple[bool, Variant]:
        return not variant.as_posted, variant

    return {
        setting: [
            Group(variant, tuple(sorted(settings[setting][variant], key=lambda run: run.case.seed)))
            for variant in sorted(settings[setting], key=letters_first)
        ]
        for setting in sorted(settings, key=most_runs_first)
    }
