"""Names of runs: what a case is called, and the directory that it is written to by default.

A letter of the post's stands for its schedule, protocol and augmentation. A case that differs in
one of these is called by its schedule.
"""

import contextlib
import hashlib
import json
import os
import re
from dataclasses import asdict, fields, replace
from typing import Iterable, List, Optional

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment import ledger, schedules
from unfair_bp.experiment.cases import CASES, QUICK, Case, intended_schedule, schedule_of
from unfair_bp.experiment.methods import METHODS

# Not in a directory's name: the first two change nothing, the seed has a level of its own, the
# number of threads changes the last digits only, and a run of more epochs is the same one, longer.
UNNAMED = ("name", "question", "seed", "threads", "epochs")
LONGEST_VALUE = 40  # letters of a value in a directory's name
LONGEST_NAME = 120  # of the name; file systems allow 255
# In a schedule: lisa:1:20, 9;8-9, clock:1,2, back*100, badam+9, 7@0.5.
REPLACED = {":": "-", ";": "_", ",": "+", "*": "x", "+": "-plus-", "@": "-at-"}
SMALLEST_DECIMAL = 0.01  # below it 3e-4 is easier to read than 0.0003


def named(case: Case) -> Case:
    """The case under a name that fits: a letter only as long as it trains like the letter's case.

    Whatever else has been changed, such as the learning rate, does not change the name.
    """
    if case.name not in CASES or trains_like(case, case.name):
        return case
    return replace(case, name=short_name(case.schedule), question="")


def trains_like(case: Case, letter: str) -> bool:
    """Whether a case has the schedule, the protocol and the augmentation of one of the post's.

    A cycle of one iteration is the same under both protocols. Schedules are compared by what they
    do, not by how they are written.
    """
    posted, layers = CASES[letter], len(case.architecture.layers)
    return (
        case.augment == posted.augment
        and (case.protocol == posted.protocol or schedule_of(case).cycle == 1)
        and intended_schedule(case) == schedules.parse(posted.schedule, layers)
    )


def letter_of(case: Case) -> str:
    """The letter of the post's case that trains like a case; empty if there is none."""
    return next((letter for letter in CASES if trains_like(case, letter)), "")


def schedule_name(case: Case, iterations: Optional[int] = None) -> str:
    """The name of a case's schedule, which may be typed: ``back`` for the rows of ``back``.

    Args:
        case: The case.
        iterations: Length of the whole run; by default that of the case.

    Returns:
        The name without arguments that stands for an equal schedule; if there is none, what was
        typed, and what becomes of the moments if that is not the schedule's own.
    """
    schedule = intended_schedule(case, iterations)
    for name in METHODS:
        with contextlib.suppress(FieldError):  # it needs arguments, or does not fit the network
            known = schedule_of(replace(case, schedule=name, moments="own", quirks=()), iterations)
            if known == schedule and known.spans == schedule.spans:
                return name
    return case.schedule + _moments(case)


def _moments(case: Case) -> str:
    own = schedules.parse(case.schedule, len(case.layers)).moments
    return "" if case.moments in ("own", own) else f", moments {case.moments}"


def title(case: Case) -> str:
    """A case in a few words: ``case d: back, augmented``, or ``schedule lisa:1:20``."""
    training = short_name(case.schedule) + _moments(case) + (", augmented" if case.augment else "")
    if case.name in CASES:
        return f"case {case.name}: {training}"
    if case.name in ("own", short_name(case.schedule)):
        return f"schedule {training}"
    return f"{short_name(case.name)}: {training}"


def idle_layers(case: Case) -> str:
    """The layers that the schedule never updates, as ``1-6,8``; empty if there are none."""
    idle = ~schedule_of(case).rates.any(axis=0, keepdims=True)
    return schedules.specification(idle) if idle.any() else ""


def spans_run(case: Case) -> bool:
    """Whether the schedule depends on the number of iterations: then a longer run is another."""
    return schedule_of(case).spans_run


def short_name(text: str, length: int = 60) -> str:
    """A specification for titles and tables; a short hash tells apart those that begin alike."""
    return text if len(text) <= length else f"{text[: length - 5]}~{_hash(text, 4)}"


def default_path(case: Case, quick: bool = False) -> str:
    """Where a run goes unless the user says otherwise; quick tries have their own place.

    ``logs/case_c/seed678`` for a case of the post, ``logs/lisa-1-20/seed678`` for a schedule, each
    with the fields that are not the case's own: ``logs/case_c_learning-rate_3e-4/seed678``. Runs
    that differ in more than threads and epochs never share a directory.
    """
    case = named(case)
    base = CASES.get(case.name, CASES["a"])
    if quick:
        base = replace(base, **QUICK)
    changed = [name for name in changed_fields(case, base) if name not in UNNAMED]
    if spans_run(case):
        changed.append("epochs")
    if case.name in CASES:
        first = f"case_{case.name}"
    else:
        first, changed = _word(case.schedule), [name for name in changed if name != "schedule"]
    logs = os.path.join("logs", "quick") if quick else "logs"
    return os.path.join(logs, _joined([first, *_words(case, changed)]), f"seed{case.seed}")


def changed_fields(case: Case, base: Case) -> List[str]:
    """The names of the fields in which a case differs from another, in the order of the fields."""
    names = [item.name for item in fields(Case)]
    return [name for name in names if getattr(case, name) != getattr(base, name)]


def _words(case: Case, names: Iterable[str]) -> List[str]:
    words = []
    for name in names:
        value = getattr(case, name)
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(option if value else f"no-{option}")
        elif name == "quirks" and value and value == ledger.as_run(case.name):
            words.append("as-run")
        elif name == "architecture":
            words.append(f"{option}_{_hash(json.dumps(asdict(value), sort_keys=True))}")
        else:
            words.append(f"{option}_{_word(_text(value))}")
    return words


def _text(value: object) -> str:
    """A value in the fewest letters from which it can be read back."""
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if isinstance(value, float):
        if 0.0 < value < SMALLEST_DECIMAL:
            return np.format_float_scientific(value, trim="-", exp_digits=1)
        return np.format_float_positional(value, trim="-")
    return "all" if value is None else str(value)


def _word(text: str) -> str:
    """A text as a part of a file's name; a hash is added where letters had to be left out."""
    text = "".join(text.split())
    word = text
    if ":" in text:  # which becomes a hyphen, as ranges of layers have it
        word = re.sub("(?<=[0-9])-(?=[0-9])", "to", text)
    word = word.translate(str.maketrans(REPLACED))
    if len(word) <= LONGEST_VALUE and re.fullmatch(r"[a-z0-9]([a-z0-9._+-]*[a-z0-9])?", word):
        return word
    kept = re.sub(r"[^a-z0-9._+]+", "-", word.lower())[:LONGEST_VALUE].strip("-._+")
    return f"{kept or 'own'}~{_hash(text)}"


def _joined(words: Iterable[str]) -> str:
    name = "_".join(words)
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}~{_hash(name)}"


def _hash(text: str, digits: int = 8) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]


def count_text(number: int, noun: str) -> str:
    """A number of things in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
