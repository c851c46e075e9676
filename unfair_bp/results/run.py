"""One run, read from its directory: what was run, what came out, its weights and example images.

Runs of one *setting* differ only in the seed and in what is compared: width, network, batch size,
learning rate, data and so on are the same. Within a setting, runs of one *variant* differ only in
the seed, and have finished the same number of epochs. The number of threads is left out of both:
it changes the last digits, not the experiment.
"""

from dataclasses import dataclass, replace
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger, naming
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL
from unfair_bp.experiment.cases import CASES, Case, intended_schedule, schedule_of
from unfair_bp.experiment.matrix import Schedule
from unfair_bp.running.directory import (
    EXAMPLES,
    FIGURES,
    LAYERS,
    WEIGHTS_AFTER,
    WEIGHTS_BEFORE,
    RunDirectory,
)
from unfair_bp.running.metrics import EpochMetrics, LayerMetrics

COMPARED = ("schedule", "moments", "protocol", "quirks", "augment", "epochs")
IN_DATA = ("data", "train_size", "test_size")  # the data set's name, sizes and sha256 say it all
NOT_SETTING = ("name", "question", "seed", "threads", *COMPARED, *IN_DATA)
EITHER = "either"  # protocol of a cycle of one iteration, which is the same per step and per batch
LONGEST_LABEL = 28  # letters
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

    name: str  # letter of the post's case that trains like this; else the schedule
    schedule: str  # its shortest name: runs with equal schedules have the same
    protocol: str  # EITHER if the cycle has one row
    quirks: Tuple[str, ...]  # in the order of the ledger
    augment: bool
    epochs: int  # finished; how many were asked for does not change them

    @property
    def as_posted(self) -> bool:
        """Whether schedule, protocol and augmentation are those of a case of the post."""
        return self.name in CASES

    def shortened(self, length: int = 60) -> "Variant":
        """The same in words for tables and pictures: typed schedules may be thousands of rows."""
        name, schedule = (naming.short_name(text, length) for text in (self.name, self.schedule))
        return self._replace(name=name, schedule=schedule)

    @property
    def title(self) -> str:
        """What was trained, as ``case c`` or ``schedule lisa:1:20``."""
        return f"{'case' if self.as_posted else 'schedule'} {self.label}"

    @property
    def label(self) -> str:
        """The name, short enough for a table."""
        augmented = self.augment and not self.as_posted
        return naming.short_name(self.name, LONGEST_LABEL) + (", augmented" if augmented else "")

    @property
    def rules(self) -> str:
        """The quirks in words, empty if there are none."""
        if self.quirks and self.as_posted and self.quirks == ledger.as_run(self.name):
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
    layers: Tuple[LayerMetrics, ...]  # empty if they were not logged

    @property
    def path(self) -> str:
        """The run directory."""
        return self.directory.path

    @property
    def schedule(self) -> Schedule:
        """The schedule that was asked for; a quirk may have another one run."""
        return intended_schedule(self.case, self.length)

    @property
    def running(self) -> Schedule:
        """The schedule that ran."""
        return schedule_of(self.case, self.length)

    @property
    def final_layers(self) -> Optional[LayerMetrics]:
        """What was measured of the layers after the last epoch; None if it was not logged."""
        return next((row for row in self.layers if row.epoch == self.metrics[-1].epoch), None)

    @property
    def in_part(self) -> bool:
        """Whether it is a part of a run that its schedule spans, which no shorter run is."""
        return self.running.spans_run and len(self.metrics) < self.case.epochs

    def under(self, schedule: str) -> "Run":
        """The run with another name for its schedule."""
        if self.in_part:
            schedule += f" of {self.case.epochs} epochs"
        name = self.variant.name if self.variant.as_posted else schedule
        return replace(self, variant=self.variant._replace(name=name, schedule=schedule))

    @property
    def figures(self) -> str:
        """The directory of the run's pictures; it need not exist."""
        return self.directory.file(FIGURES)

    @property
    def expected_updates(self) -> np.ndarray:
        """Updates of each layer so far, as the schedule has them: int ``[layers]``."""
        iterations = self.metrics[-1].iterations
        if self.case.protocol == "per-batch":
            return self.running.updates(self.running.cycle) * iterations
        return self.running.updates(iterations)

    @property
    def length(self) -> int:
        """Iterations of the whole run."""
        return _length(self.case, self.metrics)

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
    case, data = naming.named(Case(**config["case"])), config["data"]
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
    length = _length(case, metrics)
    schedule = naming.schedule_name(case, length)
    running = schedule_of(case, length)
    letter = naming.letter_of(case) if setting.posted_network else ""
    variant = Variant(
        name=letter or schedule,
        schedule=schedule,
        protocol=EITHER if running.cycle == 1 else case.protocol,
        quirks=tuple(name for name in ledger.ORDER if name in case.quirks),
        augment=case.augment,
        epochs=len(metrics),
    )
    run = Run(directory, case, setting, variant, metrics, tuple(directory.read_layers()))
    return run.under(schedule)


def _length(case: Case, metrics: Sequence[EpochMetrics]) -> int:
    return metrics[-1].iterations // len(metrics) * case.epochs


def _damaged(directory: RunDirectory, name: str, why: str) -> UsageError:
    return UsageError(
        f"{directory.file(name)} is damaged ({why}); remove it, or give another run directory"
    )
