"""What a case refuses: values of the wrong type, out of range, unknown, or not to be combined."""

from dataclasses import fields
from typing import Any, Collection, Mapping, Optional, Tuple

from unfair_bp.errors import FieldError
from unfair_bp.experiment import ledger, matrix
from unfair_bp.experiment.matrix import shortened

LARGEST = 2**31 - 1  # of counts
ADAM_QUIRKS = {"adam-constant", "update-first"}


def check_types(case: Any) -> None:
    """Refuse what the command line never gives, but Python or an edited configuration may."""
    wider = {float: (int, float), Optional[int]: (int, type(None)), Tuple[str, ...]: (tuple,)}
    for item in fields(case):
        value = getattr(case, item.name)
        if type(value) not in wider.get(item.type, (item.type,)):
            kinds = wider.get(item.type, (item.type,))
            names = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
            raise FieldError(item.name, f"{value!r} is of the wrong type; give {names}")


def check_numbers(case: Any) -> None:
    """Refuse numbers that are out of range."""
    for name, least, most in (
        ("epochs", 1, LARGEST),
        ("batch_size", 1, LARGEST),
        ("seed", 0, 2**32 - 1),
        ("threads", 0, 1024),
        ("train_size", 1, LARGEST),
        ("test_size", 1, LARGEST),
        ("validation_size", 1, LARGEST),
    ):
        value = getattr(case, name)
        if value is not None and not least <= value <= most:
            limit = f"at least {least}" if value < least else f"{least} to {most}"
            raise FieldError(name, f"{_shown(value)} is out of range; give {limit}")
    for name, most in (("learning_rate", 1.0), ("epsilon", 1.0), ("width", 16.0)):
        value = getattr(case, name)
        if not 0.0 < value <= most:
            raise FieldError(
                name,
                f"{_shown(value)} is out of range; give a number above 0 and at most {most:g}",
            )
    for name in ("momentum", "beta1", "beta2"):
        value = getattr(case, name)
        if not 0.0 <= value < 1.0:
            raise FieldError(
                name, f"{_shown(value)} is out of range; give 0 or more and less than 1"
            )


def _shown(value: float) -> str:
    """A number in a few letters; one of Python's integers may be too large for a float."""
    return f"{value:g}" if isinstance(value, float) else shortened(str(value))


def check_choices(case: Any, choices: Mapping[str, Collection[str]]) -> None:
    """Refuse words that are not known."""
    for name, known in choices.items():
        value = getattr(case, name)
        if value not in known:
            raise FieldError(name, f"{value!r} is not known; give {' or '.join(known)}")
    ledger.check(case.quirks)
    of_adam = ADAM_QUIRKS.intersection(case.quirks)
    if of_adam and case.optimizer != "adam":
        raise FieldError(
            "quirks", f"{sorted(of_adam)[0]} is a deviation of Adam; give optimizer adam"
        )


def check_rounds(case: Any, schedule: matrix.Schedule) -> None:
    """Refuse a cycle that cannot be run on one batch."""
    text = shortened(case.schedule)
    if schedule.spans_run:
        raise FieldError(
            "schedule", f"{text!r} spans the whole run, not a batch; give protocol per-step"
        )
    if schedule.cycle > matrix.LONGEST_CYCLE:
        raise FieldError(
            "schedule",
            f"{text!r} has a cycle of {schedule.cycle} iterations, too many for the protocol "
            f"per-batch, which takes at most {matrix.LONGEST_CYCLE}",
        )


def check_moves_first(case: Any, schedule: matrix.Schedule) -> None:
    """Refuse with ``update-first`` what the scripts never had."""
    if case.protocol == "per-batch" and schedule.cycle > 1:
        raise FieldError(
            "quirks",
            f"update-first cannot be run on the {schedule.cycle} rounds of a batch, which the "
            "scripts never had; add collapsed-rounds, or give protocol per-step",
        )
    if schedule.factors is not None or schedule.moments != "keep":
        raise FieldError(
            "quirks",
            "update-first cannot be run with a schedule that scales the learning rate or resets "
            f"moments, as {shortened(case.schedule)!r}; leave one of the two out",
        )
