"""The six cases of the post: what to run, as plain values."""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Optional, Tuple

from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger, schedules
from unfair_bp.experiment.architecture import scaled

DATASETS = ("cifar10", "shapes")
PROTOCOLS = ("per-step", "per-batch")
INITIAL_WEIGHTS = ("numpy", "2018")
LONGEST_CYCLE = 36  # rounds of a per-batch cycle, each of which is built into the graph


def _option(default: object, meaning: str) -> object:
    """A field with a default; ``meaning`` gives its unit or reason and is the option's help."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Case:
    """One training run, resolved: everything that its result depends on.

    The command line is generated from these fields (``learning_rate`` is ``--learning-rate``).

    Raises:
        UsageError: If a field has a value that cannot be run; the message names the option.
    """

    name: str = field(metadata={"meaning": "letter of the case"})
    question: str = field(metadata={"meaning": "what the case is there to answer"})
    schedule: str = _option("fair", "which layers are updated when: " + schedules.GRAMMAR)
    protocol: str = _option(
        "per-step",
        "per-step: one row of the schedule on each batch; "
        "per-batch: the whole cycle on each batch, the forward pass repeated after every row",
    )
    quirks: Tuple[str, ...] = _option((), "deviation of the scripts, see unfair_bp.quirks")
    augment: bool = _option(False, "half of every batch is augmented copies of the other half")
    epochs: int = _option(50, "passes over the training set")
    batch_size: int = _option(10, "images per iteration, augmented ones included")
    learning_rate: float = _option(1e-4, "Adam's step size")
    beta1: float = _option(0.9, "Adam's decay of the mean of the gradient")
    beta2: float = _option(0.9, "Adam's decay of the mean of its square (0.9 in the post)")
    epsilon: float = _option(1e-8, "Adam's guard against division by zero")
    seed: int = _option(678, "initial weights, order of the images and augmentation follow it")
    initial_weights: str = _option(
        "numpy",
        "numpy: drawn from the seed; 2018: those of the scripts of c to f, whatever the seed",
    )
    width: float = _option(1.0, "scale of every channel count but the image's 3 and the 10 outputs")
    data: str = _option("cifar10", "data set: %s (shapes is embedded)" % " or ".join(DATASETS))
    train_size: Optional[int] = _option(None, "use the first N training images only")
    test_size: Optional[int] = _option(None, "use the first N test images only")
    threads: int = _option(0, "processor threads TensorFlow may use; 0: all there are")

    def __post_init__(self) -> None:
        """Refuse values that cannot be run."""
        _check_types(self)
        _check_count("--epochs", self.epochs, 1)
        _check_count("--batch-size", self.batch_size, 1)
        _check_count("--seed", self.seed, 0, 2**32 - 1)
        _check_count("--threads", self.threads, 0, 1024)
        for option, size in (("--train-size", self.train_size), ("--test-size", self.test_size)):
            if size is not None:
                _check_count(option, size, 1)
        if self.augment and self.batch_size % 2:
            raise UsageError(
                "--batch-size %d is odd; with augmentation half of a batch is augmented, "
                "so give an even number (or --no-augment)" % self.batch_size
            )
        _check_number("--learning-rate", self.learning_rate, 0.0, 1.0)
        _check_number("--epsilon", self.epsilon, 0.0, 1.0)
        _check_number("--width", self.width, 0.0, 16.0)
        for option, beta in (("--beta1", self.beta1), ("--beta2", self.beta2)):
            if not 0.0 <= beta < 1.0:
                raise UsageError("%s %g is out of range; give 0 <= beta < 1" % (option, beta))
        if self.data not in DATASETS:
            raise UsageError("--data %r is not known; give %s" % (self.data, " or ".join(DATASETS)))
        scaled(self.width)
        object.__setattr__(self, "quirks", tuple(self.quirks))  # JSON has lists only
        ledger.check(self.quirks)
        for option, value, known in (
            ("--protocol", self.protocol, PROTOCOLS),
            ("--initial-weights", self.initial_weights, INITIAL_WEIGHTS),
        ):
            if value not in known:
                raise UsageError(
                    "%s %r is not known; give %s" % (option, value, " or ".join(known))
                )
        _check_rounds(self)


def option_of(field_name: str) -> str:
    """The option that sets a field of the case, ``--learning-rate`` for ``learning_rate``."""
    special = {"name": "--case", "quirks": "--quirk"}
    return special.get(field_name, "--" + field_name.replace("_", "-"))


def schedule_of(case: Case) -> schedules.Schedule:
    """The schedule that a case really runs: the quirk ``collapsed-rounds`` makes all of them fair.

    scripts:  each batch updates every layer once
    intent:   the rows of the schedule, each seeing the weights that the last one left
    """
    if "collapsed-rounds" in case.quirks:
        return schedules.parse("fair")
    return schedules.parse(case.schedule)


def idle_quirks(case: Case) -> Tuple[str, ...]:
    """Those of a case's quirks that change nothing in it.

    Without augmentation no image is cast, and in a cycle of one fair round nothing can be merged.
    """
    schedule = schedules.parse(case.schedule)
    idle = {
        "imgaug-uint8": not case.augment,
        "collapsed-rounds": schedule.period == 1 and schedule.table.all(),
    }
    return tuple(name for name in case.quirks if idle.get(name))


def _check_types(case: Case) -> None:
    """Refuse what the command line never gives, but an edited configuration may hold."""
    wider = {float: (int, float), Optional[int]: (int, type(None)), Tuple[str, ...]: (tuple, list)}
    for item in fields(case):
        value = getattr(case, item.name)
        if type(value) not in wider.get(item.type, (item.type,)):
            raise UsageError("%s %r is of the wrong type" % (option_of(item.name), value))


def _check_rounds(case: Case) -> None:
    """Refuse a schedule that is none, or whose cycle cannot be run on one batch."""
    period, rounds = schedules.parse(case.schedule).period, schedule_of(case).period
    if case.protocol != "per-batch":
        return
    if period > LONGEST_CYCLE:
        raise UsageError(
            "--schedule %r has %d rows, too many for --protocol per-batch, which takes at "
            "most %d" % (case.schedule, period, LONGEST_CYCLE)
        )
    if rounds > 1 and "update-first" in case.quirks:
        raise UsageError(
            "--quirk update-first cannot be run on the %d rounds of a batch, which the scripts "
            "never had; add --quirk collapsed-rounds, or give --protocol per-step" % rounds
        )


def _check_count(option: str, value: int, least: int, most: Optional[int] = None) -> None:
    if value < least or (most is not None and value > most):
        limit = "at least %d" % least if most is None else "%d to %d" % (least, most)
        raise UsageError("%s %d is out of range; give %s" % (option, value, limit))


def _check_number(option: str, value: float, above: float, most: float) -> None:
    if not (math.isfinite(value) and above < value <= most):
        raise UsageError(
            "%s %g is out of range; give a number above %g and at most %g"
            % (option, value, above, most)
        )


A = Case(
    name="a",
    question="How does ordinary back propagation do on this network?",
    schedule="fair",
    augment=False,
    epochs=50,
    batch_size=10,
    learning_rate=1e-4,
    beta1=0.9,
    beta2=0.9,
    epsilon=1e-8,
    seed=678,
    width=1.0,
    data="cifar10",
)
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
# would not suffice at the post's learning rate of 1e-4.
QUICK = {"data": "shapes", "width": 0.25, "epochs": 4, "learning_rate": 2e-3}


def case_named(name: str) -> Case:
    """The case with this letter.

    Raises:
        UsageError: If there is none.
    """
    if name not in CASES:
        raise UsageError("--case %r is not known; give one of %s" % (name, ", ".join(CASES)))
    return CASES[name]


def as_text(case: Case) -> str:
    """The resolved case, one field a line."""
    rows = [(item.name, _shown(getattr(case, item.name))) for item in fields(case)]
    return "\n".join("  %-14s %s" % row for row in rows)


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "all" if value is None else value
