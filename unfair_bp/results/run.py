"""One run, read from its directory: what was run, what came out, its weights and example images.

Runs of one *setting* differ only in the seed and in what is compared: width, network, batch size,
learning rate, data and so on are the same. Within a setting, runs of one *variant* differ only in
the seed, and have finished the same number of epochs. The number of threads is left out of both:
it changes the last digits, not the experiment.
"""

from dataclasses import dataclass, replace
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger, schedules
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL
from unfair_bp.experiment.cases import CASES, Case, schedule_of
from unfair_bp.running.directory import (
    EXAMPLES,
    FIGURES,
    LAYERS,
    WEIGHTS_AFTER,
    WEIGHTS_BEFORE,
    RunDirectory,
)
from unfair_bp.running.metrics import EpochMetrics

COMPARED = ("schedule", "protocol", "quirks", "augment", "epochs")
IN_DATA = ("data", "train_size", "test_size")  # the data set's name, sizes and sha256 say it all
NOT_SETTING = ("name", "question", "seed", "threads", *COMPARED, *IN_DATA)
EITHER = "either"  # protocol of a cycle of one row, which is the same per step and per batch
NEEDED_FILES = {
    "layers": (LAYERS,),
    "weights": (WEIGHTS_BEFORE, WEIGHTS_AFTER),
    "images": (EXAMPLES,),
}


class Setting(NamedTuple):
    """What the runs of a table have in common."""

    case: Case  # fields outside the setting have the values of case a
    data: str  # name of the data set
    training_images: int
    test_images: int
    sha256: str  # of all images and labels
    selected: str = ""  # a field whose value was picked for each schedule; see results.selection

    @property
    def posted_network(self) -> bool:
        """Whether the network is the post's, at any width."""
        return self.case.architecture == ALL_CONVOLUTIONAL


class Variant(NamedTuple):
    """What the runs of a group have in common besides the setting."""

    name: str  # letter of the post's case; for any other case, its schedule
    schedule: str
    protocol: str  # EITHER if the cycle has one row
    quirks: Tuple[str, ...]  # in the order of the ledger
    augment: bool
    epochs: int  # finished; how many were asked for does not change them

    def plays(self, letter: str) -> bool:
        """Whether this is a case of the post, or a case of the user's own that trains like it."""
        posted = CASES[letter]
        alike = (self.schedule, self.augment) == (posted.schedule, posted.augment)
        return alike and self.name in (letter, posted.schedule)

    @property
    def as_posted(self) -> bool:
        """Whether schedule and augmentation are those that the post has for the letter."""
        return self.name in CASES and self.plays(self.name)

    def shortened(self, length: int = 60) -> "Variant":
        """The same in words for tables and pictures: typed schedules may be thousands of rows."""
        name, schedule = (schedules.shortened(text, length) for text in (self.name, self.schedule))
        return self._replace(name=name, schedule=schedule)

    @property
    def rules(self) -> str:
        """The quirks in words, empty if there are none."""
        if self.quirks and self.name in CASES and self.quirks == ledger.as_run(self.name):
            return "as run in 2018"
        return ", ".join(self.quirks)

    @property
    def mode(self) -> str:
        """Protocol and quirks in words."""
        return ", ".join(filter(None, [self.protocol, self.rules]))

    @property
    def training(self) -> str:
        """Schedule and augmentation in words."""
        return self.schedule + (", augmented" if self.augment else "")


@dataclass(frozen=True)
class Run:
    """One run with at least one finished epoch."""

    directory: RunDirectory
    case: Case
    setting: Setting
    variant: Variant
    metrics: Tuple[EpochMetrics, ...]

    @property
    def path(self) -> str:
        """The run directory."""
        return self.directory.path

    @property
    def figures(self) -> str:
        """The directory of the run's pictures; it need not exist."""
        return self.directory.file(FIGURES)

    @property
    def expected_updates(self) -> np.ndarray:
        """Updates of each layer so far, as the schedule has them: int ``[layers]``."""
        done, iterations = len(self.metrics), self.metrics[-1].iterations
        schedule = schedule_of(self.case, iterations // done * self.case.epochs)
        if self.case.protocol == "per-batch":
            return schedule.updates(schedule.cycle) * iterations
        return schedule.updates(iterations)

    def weights(self, name: str) -> List[np.ndarray]:
        """The weights of each layer, first to last; empty if there is no such file.

        Args:
            name: WEIGHTS_BEFORE or WEIGHTS_AFTER.

        Raises:
            UsageError: If the file is damaged.
        """
        weights = list(self.directory.read_arrays(name).values())
        layers = len(self.case.layers)
        if weights and len(weights) != layers:
            raise _damaged(self.directory, name, f"it has {len(weights)} arrays, not {layers}")
        for array in weights:
            if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
                raise _damaged(self.directory, name, "it has weights that are not finite numbers")
        return weights

    def examples(self) -> Dict[str, np.ndarray]:
        """The example images: ``images``, ``augmented`` and ``names``; empty if there is no file.

        Raises:
            UsageError: If the file is damaged.
        """
        arrays = self.directory.read_arrays(EXAMPLES)
        if not arrays:
            return {}
        try:
            images, augmented, names = (arrays[name] for name in ("images", "augmented", "names"))
        except KeyError as error:
            raise _damaged(self.directory, EXAMPLES, f"it has no {error}") from error
        shape = (len(names), *self.case.architecture.image_shape) if names.ndim == 1 else None
        if images.shape != shape or augmented.shape[1:] != shape or not len(names):
            raise _damaged(self.directory, EXAMPLES, "its arrays do not belong together")
        if images.dtype != np.uint8 or augmented.dtype != np.uint8 or names.dtype.kind != "U":
            raise _damaged(self.directory, EXAMPLES, "it has more than images and names")
        return arrays


def read_run(path: str) -> Run:
    """Read a run directory.

    Raises:
        UsageError: If it is damaged, or has no finished epoch.
    """
    directory = RunDirectory(path)
    config = directory.read_config()
    case, data = Case(**config["case"]), config["data"]
    metrics = tuple(directory.read_metrics())
    if not metrics:
        raise UsageError(f"{path} has no finished epoch; let it train for one")
    setting = Setting(
        case=replace(case, **{name: getattr(CASES["a"], name) for name in NOT_SETTING}),
        data=data["name"],
        training_images=data["training_images"],
        test_images=data["test_images"],
        sha256=data["sha256"],
    )
    variant = Variant(
        name=case.name if case.name in CASES else case.schedule,
        schedule=case.schedule,
        protocol=EITHER if schedule_of(case).period == 1 else case.protocol,
        quirks=tuple(name for name in ledger.ORDER if name in case.quirks),
        augment=case.augment,
        epochs=len(metrics),
    )
    return Run(directory, case, setting, variant, metrics)


def _damaged(directory: RunDirectory, name: str, why: str) -> UsageError:
    return UsageError(
        f"{directory.file(name)} is damaged ({why}); remove it, or give another run directory"
    )
