"""Statistics of groups of runs over their seeds, and curves to draw.

With n seeds, mean m and standard deviation s (that of n - 1), the 95 % interval of the mean is

    m - t s / sqrt(n)  to  m + t s / sqrt(n)

where t is the 0.975 quantile of Student's distribution with n - 1 degrees of freedom. One seed has
no interval. An interval covers the choice of seeds, not the size of the test set.
"""

import math
from dataclasses import replace
from types import ModuleType
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from unfair_bp.environment import library
from unfair_bp.experiment import ledger
from unfair_bp.experiment import published as published_log
from unfair_bp.experiment.cases import CASES, iterations_per_epoch, schedule_of
from unfair_bp.experiment.published import PublishedEpoch
from unfair_bp.results.collection import Group
from unfair_bp.running.metrics import EpochMetrics, LayerMetrics

CONFIDENCE = 0.95
LEAST_SPREAD = 1e-12  # of accuracies: less is rounding
POSTED_IMAGES = 50000  # the post's runs used all of CIFAR-10's training set


# Each from the finished epochs of a run. Accuracies are 0..1, after the last epoch. Runs that hold
# no images out have no validation accuracy.
QUANTITIES: Dict[str, Callable[[Sequence[EpochMetrics]], float]] = {
    "test": lambda epochs: epochs[-1].test_accuracy,
    "validation": lambda epochs: epochs[-1].validation_accuracy,
    "train": lambda epochs: epochs[-1].train_accuracy,
    "gap": lambda epochs: epochs[-1].train_accuracy - epochs[-1].test_accuracy,
    "seconds": lambda epochs: math.fsum(epoch.seconds for epoch in epochs),
    "tflop": lambda epochs: epochs[-1].flops / 1e12,
    "updates": lambda epochs: float(np.mean(epochs[-1].updates)),
    "updates_first": lambda epochs: float(epochs[-1].updates[0]),
    "updates_last": lambda epochs: float(epochs[-1].updates[-1]),
}

# Each from the weights after the last epoch of a run.
WEIGHT_QUANTITIES: Dict[str, Callable[[LayerMetrics], float]] = {
    "rotation_first": lambda layers: layers.rotation[0],
    "rotation_last": lambda layers: layers.rotation[-1],
    "skewness_first": lambda layers: layers.skewness[0],
    "skewness_last": lambda layers: layers.skewness[-1],
    "skewness": lambda layers: float(np.mean(np.abs(layers.skewness))),
}


class Statistic(NamedTuple):
    """A mean over seeds and its interval, which a single seed does not have."""

    mean: float
    low: Optional[float]
    high: Optional[float]
    count: int  # seeds


class Curve(NamedTuple):
    """Test accuracy after each epoch, and what it took: arrays ``[epochs]``."""

    epochs: np.ndarray  # finished
    updates: np.ndarray  # so far, mean over the layers
    tflop: np.ndarray  # so far, 1e12 floating-point operations
    train: np.ndarray  # training accuracy, 0..1
    accuracy: np.ndarray  # on test images, 0..1


def statistic(values: Sequence[float]) -> Statistic:
    """Mean and interval of one value for each seed, at least one."""
    sample = np.asarray(values, np.float64)
    mean, count = float(sample.mean()), len(sample)
    if count == 1:
        return Statistic(mean, None, None, 1)
    reach = float(_special().stdtrit(count - 1, (1.0 + CONFIDENCE) / 2.0)) * _standard_error(sample)
    return Statistic(mean, mean - reach, mean + reach, count)


def p_value(values: Sequence[float]) -> Optional[float]:
    """p of the two-sided t test that the mean of values is 0; None if they do not vary."""
    sample = np.asarray(values, np.float64)
    if np.ptp(sample) < LEAST_SPREAD:
        return None
    mean, error = float(sample.mean()), _standard_error(sample)
    return float(2.0 * _special().stdtr(len(sample) - 1, -abs(mean) / error))


def _special() -> ModuleType:
    """Return scipy.special for Student's t; scipy.stats takes a second to import."""
    with library("SciPy", "scipy"):
        from scipy import special  # noqa: PLC0415 - only several seeds need it
    return special


def holm(values: Sequence[float]) -> List[float]:
    """Correct p values for their number: Holm's step-down method, in the order of the values.

    The k-th smallest of m, k from 0, becomes the largest (m - j) p_j with j <= k, at most 1.
    """
    order = np.argsort(values, kind="stable")
    steps = (len(values) - np.arange(len(values))) * np.asarray(values, np.float64)[order]
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()


def _standard_error(sample: np.ndarray) -> float:
    """Of the mean of at least two values."""
    return float(sample.std(ddof=1)) / math.sqrt(len(sample))


def summary(group: Group) -> Dict[str, Statistic]:
    """Every one of QUANTITIES that the runs have, over the seeds of a group."""
    validated = group.runs[0].case.validation_size is not None
    return {
        name: statistic([quantity(run.metrics) for run in group.runs])
        for name, quantity in QUANTITIES.items()
        if validated or name != "validation"
    }


def weight_summary(group: Group) -> Dict[str, Statistic]:
    """Every one of WEIGHT_QUANTITIES over the seeds of a group; empty if a run did not log them."""
    if not all(run.final_layers for run in group.runs):
        return {}
    return {
        name: statistic([quantity(run.final_layers) for run in group.runs])
        for name, quantity in WEIGHT_QUANTITIES.items()
    }


def curve(metrics: Sequence[EpochMetrics]) -> Curve:
    """The curve of a run."""
    return Curve(
        epochs=np.array([epoch.epoch for epoch in metrics]),
        updates=np.array([np.mean(epoch.updates) for epoch in metrics]),
        tflop=np.array([epoch.flops / 1e12 for epoch in metrics]),
        train=np.array([epoch.train_accuracy for epoch in metrics]),
        accuracy=np.array([epoch.test_accuracy for epoch in metrics]),
    )


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of curves with the same number of epochs."""
    return Curve(*(np.mean(arrays, axis=0) for arrays in zip(*curves)))


def published(group: Group) -> List[PublishedEpoch]:
    """The post's epochs of a group's case; empty if the post did not run it."""
    return published_log.load()[group.variant.name] if group.as_posted else []


def published_twins(group: Group) -> Dict[str, List[PublishedEpoch]]:
    """The published logs, by case, of scripts that trained as a group did, at the post's size."""
    run, posted = group.runs[0], CASES["a"]
    alike = replace(run.setting.case, initial_weights=posted.initial_weights) == posted
    field = run.setting.selected  # which the setting leaves open
    alike = alike and (not field or getattr(run.case, field) == getattr(posted, field))
    if not (alike and group.as_posted and run.setting.training_images == POSTED_IMAGES):
        return {}
    trained = (run.running, run.variant.quirks, run.case.augment)
    logs = published_log.load()
    scripts = (replace(CASES[name], quirks=ledger.as_run(name)) for name in logs)
    return {
        case.name: logs[case.name]
        for case in scripts
        if (schedule_of(case), case.quirks, case.augment) == trained
    }


def published_curve(name: str, epochs: Sequence[PublishedEpoch]) -> Curve:
    """The curve of a published run, which trained as its script did: see unfair_bp.collapse.

    Its log has no updates and no operations; they follow from the schedule that really ran, on
    the post's network and all training images.
    """
    case = replace(CASES[name], quirks=ledger.as_run(name))
    schedule, layers = schedule_of(case), case.layers
    iterations = [epoch.epoch * iterations_per_epoch(case, POSTED_IMAGES) for epoch in epochs]
    return Curve(
        epochs=np.array([epoch.epoch for epoch in epochs]),
        updates=np.array([schedule.updates(count).mean() for count in iterations]),
        tflop=np.array(
            [case.batch_size * schedule.flops(layers, count) / 1e12 for count in iterations]
        ),
        train=np.array([epoch.train_accuracy for epoch in epochs]),
        accuracy=np.array([epoch.test_accuracy for epoch in epochs]),
    )
