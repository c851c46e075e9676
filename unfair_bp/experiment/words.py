"""The words of a schedule's specification: numbers, choices and lists of layers, checked."""

import re
from typing import Tuple

import numpy as np

from unfair_bp.experiment.matrix import LONGEST_HOLD, shortened

LARGEST_SEED = 2**32 - 1


class WrongWordError(ValueError):
    """A word of a specification that its method cannot take; the message says why."""


def whole(word: str, name: str, least: int, most: int) -> int:
    """A whole number from a word."""
    if not re.match(r"^[0-9]{1,10}$", word) or not least <= int(word) <= most:
        raise WrongWordError(f"{name} {shortened(word)!r} is out of range; give {least} to {most}")
    return int(word)


def fraction(word: str, name: str) -> float:
    """A number from 0.01 to 1 from a word."""
    if not re.match(r"^([0-9]{1,9}(\.[0-9]{0,18})?|\.[0-9]{1,18})$", word) or not (
        0.01 <= float(word) <= 1
    ):
        raise WrongWordError(f"{name} {shortened(word)!r} is out of range; give 0.01 to 1")
    return float(word)


def choice(word: str, name: str, known: Tuple[str, ...]) -> str:
    """One of several words."""
    if word not in known:
        raise WrongWordError(f"{name} {shortened(word)!r} is not known; give {' or '.join(known)}")
    return word


def held(word: str, name: str = "K") -> int:
    """For how many iterations a row is held, from a word."""
    return whole(word, name, 1, LONGEST_HOLD)


def randomness(word: str) -> np.random.RandomState:
    """Random numbers that follow a seed."""
    return np.random.RandomState(whole(word, "SEED", 0, LARGEST_SEED))


def layers_of(text: str, layers: int) -> np.ndarray:
    """The layers that a list such as ``1,4-6`` names: bool ``[layers]``."""
    named = np.zeros(layers, bool)
    for item in text.split(","):
        match = re.match(r"^\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?$", item)
        if not match:
            raise WrongWordError(
                f"{shortened(item.strip())!r} is not a layer; a row lists layers such as 7 or 7-9, "
                "rows are separated by ';'"
            )
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if not 1 <= first <= last <= layers:
            raise WrongWordError(
                f"{shortened(item.strip())!r} is out of range; layers are 1 to {layers}, ranges go "
                "upwards"
            )
        named[first - 1 : last] = True
    return named


def factor_of(word: str) -> float:
    """A factor of the learning rate from a word."""
    if not re.match(r"^[0-9]{1,9}(\.[0-9]{0,30})?(e-[0-9]{1,3})?$", word):
        raise WrongWordError(
            f"{shortened(word)!r} is not a factor of the learning rate; give a number such as 0.5"
        )
    return float(word)
