"""Runs below a directory: found, read, and grouped so that only like is compared with like.

Runs of one *setting* differ in the seed and in what is compared only: width, batch size, learning
rate, data and so on are the same. Within a setting, runs of one *group* differ in the seed only,
and have finished equally many epochs. The number of threads is left out of both: it changes the
last digits, not the experiment.
"""

import os
from dataclasses import dataclass, replace
from typing import Dict, List, NamedTuple, Sequence, Tuple

from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import CASES, Case
from unfair_bp.running.directory import CONFIG, RunDirectory
from unfair_bp.running.metrics import EpochMetrics

COMPARED = ("schedule", "protocol", "quirks", "augment", "epochs")
IN_DATA = ("data", "train_size", "test_size")  # the data set's name, sizes and sha256 say it all
NOT_SETTING = ("name", "question", "seed", "threads", *COMPARED, *IN_DATA)
POSTED_DATA = "CIFAR-10"


class Setting(NamedTuple):
    """What the runs of a table have in common."""

    case: Case  # what is no part of a setting has the value that case a has
    data: str  # name of the data set
    training_images: int
    test_images: int
    sha256: str  # of all images and labels


class Variant(NamedTuple):
    """What the runs of a group have in common besides the setting."""

    name: str  # letter of the case
    schedule: str
    protocol: str
    quirks: Tuple[str, ...]  # in the order of the ledger
    augment: bool
    epochs: int  # finished; how many were asked for does not change them

    @property
    def as_posted(self) -> bool:
        """Whether schedule and augmentation are those that the post has for the letter."""
        posted = CASES[self.name]
        return (self.schedule, self.augment) == (posted.schedule, posted.augment)

    @property
    def mode(self) -> str:
        """Protocol and quirks in words."""
        if self.quirks and self.quirks == ledger.as_run(self.name):
            return self.protocol + ", as run in 2018"
        return ", ".join([self.protocol, *self.quirks])

    @property
    def training(self) -> str:
        """Schedule and augmentation in words."""
        return self.schedule + (", augmented" if self.augment else "")


class Run(NamedTuple):
    """One run directory, read."""

    path: str
    setting: Setting
    variant: Variant
    seed: int
    asked: int  # epochs
    metrics: Tuple[EpochMetrics, ...]


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed, each seed once, ascending."""

    variant: Variant
    runs: Tuple[Run, ...]

    @property
    def seeds(self) -> Tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run.seed for run in self.runs)

    @property
    def as_posted(self) -> bool:
        """Whether the post has numbers to compare with: for its letter as it ran, on its data."""
        images = self.runs[0].setting.data.split(",")[0]  # "CIFAR-10, JPEG re-encoded" is close
        return images == POSTED_DATA and self.variant.as_posted


class Collection(NamedTuple):
    """Everything found below a directory."""

    settings: Dict[Setting, List[Group]]  # those with most runs first; groups in order of the case
    left_out: List[str]  # a line for each run that is not counted, and for what is unreadable
    unfinished: List[str]  # a line for each counted run that lacks epochs

    @property
    def run_count(self) -> int:
        """How many runs are counted."""
        return sum(len(group.runs) for groups in self.settings.values() for group in groups)


def collect(root: str) -> Collection:
    """Read and group every run below a directory; links to directories are not followed.

    Of runs that differ in nothing, not even the seed, the first in the order of their paths is
    counted. Damaged runs and runs without any finished epoch are not counted.

    Raises:
        UsageError: If there is no such directory, or no run in it can be counted.
    """
    paths, left_out = _run_paths(root)
    runs: Dict[Tuple[Setting, Variant, int], Run] = {}
    for path in paths:
        try:
            run = read_run(path)
        except UsageError as error:
            # The advice at the end is for whoever named the run, not the directory above it.
            left_out.append(str(error).rpartition("; ")[0])
            continue
        known = runs.setdefault((run.setting, run.variant, run.seed), run)
        if known is not run:
            left_out.append(
                "%s: case %s with seed %d again, settings and epochs as in %s, which is counted"
                % (path, run.variant.name, run.seed, known.path)
            )
    if not runs:
        found = "; ".join(left_out) or "there is no directory with %s" % CONFIG
        raise UsageError(
            "%s holds no run with a finished epoch (%s); give the directory that unfair_bp.train "
            "wrote to, such as logs" % (root, found)
        )
    unfinished = [
        "%s: %d of %d epochs" % (run.path, run.variant.epochs, run.asked)
        for run in runs.values()
        if run.variant.epochs < run.asked
    ]
    return Collection(_grouped(list(runs.values())), left_out, unfinished)


def _run_paths(root: str) -> Tuple[List[str], List[str]]:
    """Paths of the run directories, sorted, and a line for each directory that is unreadable."""
    if not os.path.isdir(root):
        raise UsageError(
            "%s is not a directory; give the directory that unfair_bp.train wrote to, such as logs"
            % root
        )
    problems: List[str] = []

    def unreadable(error: OSError) -> None:
        problems.append("%s cannot be read: %s" % (error.filename, error.strerror))

    tree = os.walk(root, onerror=unreadable)
    return sorted(directory for directory, _, names in tree if CONFIG in names), problems


def read_run(path: str) -> Run:
    """Read a run directory.

    Raises:
        UsageError: If it is damaged, or has no finished epoch.
    """
    directory = RunDirectory(path)
    config = directory.read_config()
    case, data = Case(**config["case"]), config["data"]
    _check_name(directory, case)
    metrics = tuple(directory.read_metrics())
    if not metrics:
        raise UsageError("%s has no finished epoch; let it train for one" % path)
    common = replace(case, **{name: getattr(CASES["a"], name) for name in NOT_SETTING})
    ordered = tuple(name for name in ledger.ORDER if name in case.quirks)
    return Run(
        path=path,
        setting=Setting(
            case=common,
            data=data["name"],
            training_images=data["training_images"],
            test_images=data["test_images"],
            sha256=data["sha256"],
        ),
        variant=Variant(
            name=case.name,
            schedule=case.schedule,
            protocol=case.protocol,
            quirks=ordered,
            augment=case.augment,
            epochs=len(metrics),
        ),
        seed=case.seed,
        asked=case.epochs,
        metrics=metrics,
    )


def _check_name(directory: RunDirectory, case: Case) -> None:
    """Refuse what the directory's own reading lets through but cannot be grouped."""
    if case.name not in list(CASES):
        raise UsageError(
            "%s is damaged (case %r); give another run directory"
            % (directory.file(CONFIG), case.name)
        )


def _grouped(runs: Sequence[Run]) -> Dict[Setting, List[Group]]:
    """Runs by setting and by what they differ in, everything in a fixed order."""
    settings: Dict[Setting, Dict[Variant, List[Run]]] = {}
    for run in runs:
        settings.setdefault(run.setting, {}).setdefault(run.variant, []).append(run)

    def most_runs_first(setting: Setting) -> Tuple[int, str]:
        return -sum(len(group) for group in settings[setting].values()), repr(setting)

    return {
        setting: [
            Group(variant, tuple(sorted(settings[setting][variant], key=lambda run: run.seed)))
            for variant in sorted(settings[setting])
        ]
        for setting in sorted(settings, key=most_runs_first)
    }
