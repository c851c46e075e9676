"""Groups of runs compared: statistics over seeds, paired differences, and curves to draw.

An interval is the 95 % percentile bootstrap interval of a mean over seeds: from 10,000 samples of
as many seeds, drawn with replacement by NumPy's legacy generator with seed 0, so that the same
runs always give the same interval. It says how far the mean depends on the seeds that happened to
be chosen; it knows nothing of the test set's size.
"""

import math
from dataclasses import replace
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.data.batches import iterations_per_epoch
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import CASES, schedule_of
from unfair_bp.experiment.published import PublishedEpoch
from unfair_bp.results.collection import Group, Variant
from unfair_bp.running.metrics import EpochMetrics

ENOUGH_SEEDS = 5  # with fewer, resampling knows too few values to say how far others may be
RESAMPLES = 10000
BOOTSTRAP_SEED = 0
PERCENTILES = (2.5, 97.5)
POSTED_IMAGES = 50000  # the post's runs used all of CIFAR-10's training set

# First minus second, and what the difference answers.
PAIRS = (
    ("c", "a", "from the back against fair"),
    ("e", "a", "from the front against fair"),
    ("c", "e", "from the back against from the front"),
    ("d", "b", "from the back against fair, both augmented"),
    ("f", "b", "from the front against fair, both augmented"),
    ("d", "f", "from the back against from the front, both augmented"),
    ("b", "a", "augmented against not, both fair"),
)

# Each from the finished epochs of a run. Accuracies are 0..1.
QUANTITIES: Dict[str, Callable[[Sequence[EpochMetrics]], float]] = {
    "test_final": lambda epochs: epochs[-1].test_accuracy,
    "test_best": lambda epochs: max(epoch.test_accuracy for epoch in epochs),
    "train_final": lambda epochs: epochs[-1].train_accuracy,
    "gap": lambda epochs: epochs[-1].train_accuracy - epochs[-1].test_accuracy,
    "seconds": lambda epochs: math.fsum(epoch.seconds for epoch in epochs),
    "tflop": lambda epochs: epochs[-1].flops / 1e12,
    "updates_first": lambda epochs: float(epochs[-1].updates[0]),
    "updates_last": lambda epochs: float(epochs[-1].updates[-1]),
}


class Statistic(NamedTuple):
    """A mean over seeds with its interval, which a single seed does not have."""

    mean: float
    low: Optional[float]
    high: Optional[float]
    count: int  # seeds


class Difference(NamedTuple):
    """Final test accuracy of one group minus another's, over the seeds that both have."""

    first: Variant
    second: Variant
    question: str
    seeds: Tuple[int, ...]
    statistic: Statistic


class Curve(NamedTuple):
    """Test accuracy after each epoch, and what it took: arrays ``[epochs]``."""

    epochs: np.ndarray  # finished
    updates: np.ndarray  # so far, mean over the layers
    tflop: np.ndarray  # so far, 1e12 floating-point operations
    accuracy: np.ndarray  # 0..1


class Series(NamedTuple):
    """The runs of one group."""

    name: str  # letter of the case
    tick: str  # the letter, and what else tells the group from others of the same letter
    label: str  # for the legend
    curves: Sequence[Curve]  # one for each seed
    final: Statistic  # test accuracy
    published: Optional[Curve]  # of the post, if it ran this


class Part(NamedTuple):
    """What is drawn into one set of panels."""

    title: str
    series: Sequence[Series]


def statistic(values: Sequence[float]) -> Statistic:
    """Mean and bootstrap interval of one value for each seed, at least one."""
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) == 1:
        return Statistic(mean, None, None, 1)
    random = np.random.RandomState(BOOTSTRAP_SEED)
    chosen = random.randint(0, len(sample), [RESAMPLES, len(sample)])
    low, high = np.percentile(sample[chosen].mean(axis=1), PERCENTILES)
    return Statistic(mean, float(low), float(high), len(sample))


def trust(seeds: int) -> str:
    """A note on an interval over so many seeds, empty if they are enough."""
    if seeds == 1:
        return "no interval"
    return "few seeds" if seeds < ENOUGH_SEEDS else ""


def summary(group: Group) -> Dict[str, Statistic]:
    """Every one of QUANTITIES over the seeds of a group."""
    return {
        name: statistic([quantity(run.metrics) for run in group.runs])
        for name, quantity in QUANTITIES.items()
    }


def differences(groups: Sequence[Group]) -> List[Difference]:
    """The differences that the post is about, between groups of one setting.

    Compared are runs with the schedule and augmentation of their letter, the same protocol, quirks
    and number of epochs, seed by seed.
    """
    found = []
    for first_name, second_name, question in PAIRS:
        for first in groups:
            for second in groups:
                names = (first.variant.name, second.variant.name)
                seeds = tuple(seed for seed in first.seeds if seed in second.seeds)
                if names == (first_name, second_name) and seeds and _comparable(first, second):
                    over = statistic(_final(first, seeds) - _final(second, seeds))
                    found.append(Difference(first.variant, second.variant, question, seeds, over))
    return found


def _comparable(first: Group, second: Group) -> bool:
    """Whether two groups run as the post describes their letters, and otherwise alike."""
    a, b = first.variant, second.variant
    alike = (a.protocol, a.quirks, a.epochs) == (b.protocol, b.quirks, b.epochs)
    return alike and a.as_posted and b.as_posted


def _final(group: Group, seeds: Sequence[int]) -> np.ndarray:
    """Final test accuracies of these seeds, in their order."""
    runs = {run.seed: run.metrics for run in group.runs}
    return np.array([QUANTITIES["test_final"](runs[seed]) for seed in seeds])


def curve(metrics: Sequence[EpochMetrics]) -> Curve:
    """The curve of a run."""
    return Curve(
        epochs=np.array([epoch.epoch for epoch in metrics]),
        updates=np.array([np.mean(epoch.updates) for epoch in metrics]),
        tflop=np.array([epoch.flops / 1e12 for epoch in metrics]),
        accuracy=np.array([epoch.test_accuracy for epoch in metrics]),
    )


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of curves of equally many epochs."""
    return Curve(*(np.mean(arrays, axis=0) for arrays in zip(*curves)))


def published_curve(name: str, published: Sequence[PublishedEpoch]) -> Curve:
    """The curve of a published run, which trained as its script did: see unfair_bp.collapse.

    Its log has no updates and no operations; they follow from the schedule that really ran, on
    the post's network and all training images.
    """
    case = replace(CASES[name], quirks=ledger.as_run(name))
    schedule, layers = schedule_of(case), case.layers
    iterations = [epoch.epoch * iterations_per_epoch(case, POSTED_IMAGES) for epoch in published]
    return Curve(
        epochs=np.array([epoch.epoch for epoch in published]),
        updates=np.array([schedule.updates(count).mean() for count in iterations]),
        tflop=np.array(
            [case.batch_size * schedule.flops(layers, count) / 1e12 for count in iterations]
        ),
        accuracy=np.array([epoch.test_accuracy for epoch in published]),
    )
