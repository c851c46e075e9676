"""The six cases of the post: what to run, as plain values."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Optional, Tuple

import numpy as np

from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import checks, matrix, schedules
from unfair_bp.experiment.architecture import (
    ALL_CONVOLUTIONAL,
    Architecture,
    LayerSpec,
    as_python,
)

DATASETS = {"cifar10": 10, "cifar100": 100, "shapes": 10}  # and how many classes each has
TRAINING_IMAGES = {"cifar10": 50000, "cifar100": 50000, "shapes": 3000}  # of all
OWN_DATA = "own"  # passed in from Python; the number of classes is then the architecture's
PROTOCOLS = ("per-step", "per-batch")
OPTIMIZERS = ("adam", "sgd")  # backprop.graph has what each name stands for,
INITIAL_WEIGHTS = ("numpy", "2018")  # and for these, too
MOMENTS = ("own", *matrix.MOMENTS)
CHOICES = {
    "data": (*DATASETS, OWN_DATA),
    "protocol": PROTOCOLS,
    "moments": MOMENTS,
    "optimizer": OPTIMIZERS,
    "initial_weights": INITIAL_WEIGHTS,
}


def _option(default: object, meaning: str) -> object:
    """A field with a default; ``meaning`` gives its unit or reason and is the option's help."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Case:
    """One training run, resolved: everything that its result depends on.

    The command line is generated from these fields (``learning_rate`` is ``--learning-rate``).
    NumPy scalars and arrays of no dimension are accepted as numbers, and a boolean array
    ``[rows, layers]`` or a :class:`~unfair_bp.experiment.matrix.Schedule` as a schedule.

    Raises:
        FieldError: If a field has a value that cannot be run.
    """

    name: str = field(default="own", metadata={"meaning": "letter of the case"})
    question: str = field(default="", metadata={"meaning": "what the case is there to answer"})
    schedule: str = _option("fair", "which layers are updated when: " + schedules.GRAMMAR)
    moments: str = _option(
        "own",
        "optimizer state of a skipped layer. own: as in the schedule's method; keep: unchanged; "
        "reset: zero when the layer's turn comes again; reset-all: also whenever the row changes",
    )
    protocol: str = _option(
        "per-step",
        "per-step: one row of the schedule on each batch; "
        "per-batch: the whole cycle on each batch, the forward pass repeated after every row",
    )
    quirks: Tuple[str, ...] = _option((), "deviation of the scripts, see unfair_bp.quirks")
    augment: bool = _option(False, "half of every batch is augmented copies of the other half")
    epochs: int = _option(50, "passes over the training set")
    batch_size: int = _option(10, "images per iteration, augmented ones included")
    optimizer: str = _option("adam", "adam, or sgd: stochastic gradient descent with momentum")
    learning_rate: float = _option(1e-4, "step size of the optimizer")
    momentum: float = _option(0.9, "sgd: decay of the accumulated gradient")
    nesterov: bool = _option(False, "sgd: look ahead along the accumulated gradient")
    beta1: float = _option(0.9, "adam: decay of the mean of the gradient")
    beta2: float = _option(0.9, "adam: decay of the mean of its square; usually 0.999")
    epsilon: float = _option(1e-8, "adam: guard against division by zero")
    seed: int = _option(678, "initial weights, order of the images and augmentation follow it")
    initial_weights: str = _option(
        "numpy",
        "numpy: drawn from the seed; 2018: those of the scripts of c to f, whatever the seed",
    )
    width: float = _option(1.0, "scale of every channel count, except images and classes")
    data: str = _option("cifar10", f"data set: {', '.join(DATASETS)} (shapes is embedded)")
    train_size: Optional[int] = _option(None, "use the first N training images only")
    test_size: Optional[int] = _option(None, "use the first N test images only")
    validation_size: Optional[int] = _option(
        None,
        "hold out the last N training images (of the first --train-size, if given), and evaluate "
        "on them after each epoch",
    )
    threads: int = _option(
        0,
        "CPU threads TensorFlow may use; 0: all. The first session of a process fixes them",
    )
    architecture: Architecture = field(
        default=ALL_CONVOLUTIONAL, metadata={"meaning": "the network; the post's by default"}
    )

    def __post_init__(self) -> None:
        """Bring values into their stored form, and refuse those that cannot be run."""
        given = self.schedule
        for item in fields(self):
            object.__setattr__(self, item.name, _stored(item.name, getattr(self, item.name)))
        checks.check_types(self)
        checks.check_numbers(self)
        checks.check_choices(self, CHOICES)
        layers = self.layers  # raises if the width leaves a layer without a channel
        table = getattr(given, "table", given)
        if isinstance(table, np.ndarray) and table.ndim == 2 and table.shape[1] != len(layers):
            raise FieldError(
                "schedule",
                f"is a table of {table.shape[1]} layers, but the network has {len(layers)}; give a "
                "column for each layer",
            )
        if self.augment and self.batch_size % 2:
            raise FieldError(
                "batch_size",
                f"{self.batch_size} is odd; with augmentation half of a batch is augmented, "
                "so give an even number, or no augmentation",
            )
        schedule = schedules.parse(self.schedule, len(layers))
        if isinstance(given, matrix.Schedule) and self.moments == "own":
            own = given.moments == schedule.moments
            object.__setattr__(self, "moments", "own" if own else given.moments)
        if self.protocol == "per-batch":
            checks.check_rounds(self, schedule)
        if "update-first" in self.quirks:
            checks.check_moves_first(self, schedule_of(self))

    @property
    def layers(self) -> Tuple[LayerSpec, ...]:
        """The network's layers at this width, with an output for each class of the data set."""
        classes = DATASETS.get(self.data, self.architecture.classes)
        return self.architecture.with_classes(classes).scaled(self.width)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.layers[-1].outputs


def _stored(name: str, value: Any) -> Any:
    """A field's value as it is stored: JSON has lists and mappings, NumPy its own scalars."""
    value = as_python(value)
    if name == "quirks" and isinstance(value, (list, tuple, np.ndarray)):
        return tuple(as_python(quirk) for quirk in value)
    if name == "architecture" and isinstance(value, dict):
        try:
            return Architecture(**value)
        except TypeError as error:
            raise FieldError(
                "architecture", f"{value!r} is not an architecture: {error}"
            ) from error
    if name == "schedule" and isinstance(value, (np.ndarray, schedules.Schedule)):
        return schedules.specification(value)
    return value


def clean_per_batch(case: Case) -> int:
    """Number of different images in a batch: all of them, or half with augmentation."""
    return case.batch_size // 2 if case.augment else case.batch_size


def iterations_per_epoch(case: Case, images: int) -> int:
    """Number of batches that show each training image once; the last may be smaller."""
    return -(-images // clean_per_batch(case))


def run_length(case: Case) -> Optional[int]:
    """Iterations of a whole run; None if only a data set of one's own tells."""
    images = case.train_size or TRAINING_IMAGES.get(case.data)
    if images is None:
        return None
    left = max(0, images - (case.validation_size or 0))  # too many held out is said with the data
    return case.epochs * iterations_per_epoch(case, left)


def intended_schedule(case: Case, iterations: Optional[int] = None) -> matrix.Schedule:
    """The schedule that a case describes, with its policy for the moments.

    Args:
        case: The case.
        iterations: Length of the whole run, for a schedule that spans it; by default that of the
            case.
    """
    length = iterations or run_length(case) or schedules.NOMINAL_RUN
    schedule = schedules.parse(case.schedule, len(case.architecture.layers), length)
    return schedule if case.moments == "own" else replace(schedule, moments=case.moments)


def schedule_of(case: Case, iterations: Optional[int] = None) -> matrix.Schedule:
    """The schedule that a case really runs: the quirk ``collapsed-rounds`` makes all of them fair.

    scripts:  each batch updates every layer once
    intent:   the rows of the schedule, each seeing the weights that the last one left

    Args:
        case: The case.
        iterations: As for :func:`intended_schedule`.
    """
    if "collapsed-rounds" in case.quirks:
        return schedules.parse("fair", len(case.architecture.layers))
    return intended_schedule(case, iterations)


def schedule_of_run(case: Case, iterations: Optional[int]) -> matrix.Schedule:
    """The schedule that a case really runs, for a run whose length must be known if it spans it.

    Raises:
        FieldError: If the schedule spans the run, and neither the case nor ``iterations`` says how
            long that is.
    """
    schedule = schedule_of(case, iterations)
    if schedule.spans_run and iterations is None and run_length(case) is None:
        raise FieldError(
            "schedule",
            f"{schedules.shortened(case.schedule)!r} spans the whole run; give its number of "
            "iterations, or a train_size",
        )
    return schedule


def idle_quirks(case: Case) -> Tuple[str, ...]:
    """Those of a case's quirks that change nothing in it.

    Without augmentation no image is cast, and in a cycle of one fair round nothing can be merged.
    """
    fair = schedules.parse("fair", len(case.architecture.layers))
    idle = {
        "imgaug-uint8": not case.augment,
        "collapsed-rounds": intended_schedule(case) == fair,
    }
    return tuple(name for name in case.quirks if idle.get(name))


A = Case(name="a", question="How does ordinary back propagation do on this network?")
B = replace(
    A, name="b", augment=True, epochs=10, question="Does augmentation stop a's overfitting?"
)
C = replace(
    A,
    name="c",
    schedule="back",
    epochs=10,
    question="What if the last layers are updated more often than the first?",
)
D = replace(C, name="d", augment=True, question="And with augmentation: better than b?")
E = replace(
    C, name="e", schedule="front", question="What if the first layers are updated more often?"
)
F = replace(E, name="f", augment=True, question="And with augmentation: better than b and d?")

CASES = {case.name: case for case in (A, B, C, D, E, F)}

# What --quick changes: embedded data, a quarter of the width, a few epochs. Its 1200 iterations
# would not suffice at the post's learning rate of 1e-4. One thread: it takes no longer, and with
# more, rounding moved the last accuracy of case e by five points from run to run.
QUICK = {"data": "shapes", "width": 0.25, "epochs": 4, "learning_rate": 2e-3, "threads": 1}


def case_named(name: str) -> Case:
    """The case with this letter.

    Raises:
        UsageError: If there is none.
    """
    if name not in CASES:
        raise UsageError(f"--case {name!r} is not known; give one of {', '.join(CASES)}")
    return CASES[name]


def as_text(case: Case) -> str:
    """The resolved case, one field a line."""
    schedule = intended_schedule(case)
    shown = {item.name: _shown(getattr(case, item.name)) for item in fields(case)}
    shown["schedule"] = _schedule_shown(schedule)
    if case.moments == "own":
        shown["moments"] = f"{schedule.moments}, as the schedule has it"
    shown["validation_size"] = case.validation_size or "none"
    width = max(map(len, shown))
    return "\n".join(f"  {name:{width}s} {value}" for name, value in shown.items())


def _schedule_shown(schedule: matrix.Schedule) -> str:
    """A schedule's name, rows, hold and factors."""
    facts = [f"{schedule.period} rows" if schedule.period > 1 else "1 row"]
    if schedule.hold > 1:
        facts[0] += f" of {schedule.hold} iterations"
    if schedule.factors is not None:
        rates = schedule.factors[schedule.table]
        facts.append(f"learning rate x {rates.min():.3g} to {rates.max():.3g}")
    return f"{schedules.shortened(schedule.name)} ({', '.join(facts)})"


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, Architecture):
        size, channels = value.image_size, value.image_channels
        layers = "the post's" if value == ALL_CONVOLUTIONAL else f"{len(value.layers)} layers"
        return f"{layers}, {size}x{size} images with {channels} channels"
    return "all" if value is None else value
