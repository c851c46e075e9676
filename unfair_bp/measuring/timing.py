"""Timing by alternating repetitions: a disturbance meets all subjects alike."""

import time
from typing import Callable, Dict, NamedTuple, Sequence

import numpy as np

MOST_REPEATS = 100000


class Subject(NamedTuple):
    """What is timed: a few calls, one after the other; each is a lap."""

    name: str
    laps: Sequence[Callable[[], object]]


def alternate(
    subjects: Sequence[Subject],
    repeats: int,
    warmups: int = 1,
    after_run: Callable[[], None] = lambda: None,
) -> Dict[str, np.ndarray]:
    """Run subjects in turn, in a new random order each time.

    Args:
        subjects: What to time; the names differ.
        repeats: Timed runs of each.
        warmups: Runs before that.
        after_run: Called after each run of a subject.

    Returns:
        Seconds of every lap by the subject's name: ``[repeats, laps]``.
    """
    random = np.random.RandomState(0)
    seconds = {subject.name: np.zeros([repeats, len(subject.laps)]) for subject in subjects}
    for repeat in range(-warmups, repeats):
        for number in random.permutation(len(subjects)):
            subject = subjects[number]
            for lap, call in enumerate(subject.laps):
                started = time.perf_counter()
                call()
                finished = time.perf_counter()
                if repeat >= 0:
                    seconds[subject.name][repeat, lap] = finished - started
            after_run()
    return seconds


class Quartiles(NamedTuple):
    """A distribution in three numbers."""

    low: float
    median: float
    high: float


def quartiles(values: Sequence[float]) -> Quartiles:
    """The quartiles of the values."""
    return Quartiles(*(float(value) for value in np.percentile(values, [25, 50, 75])))
