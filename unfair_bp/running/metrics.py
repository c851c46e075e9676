"""What is measured in an epoch: sums while it lasts, then rows of metrics.csv and layers.csv."""

import math
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

LARGEST_COST = 1e39  # finite costs are float32
LARGEST_COUNT = 2**53  # up to which a checkpoint, which holds floats, counts exactly


class Progress(NamedTuple):
    """How far training has come, and the sums over the current epoch.

    It is part of a checkpoint, so that an interrupted epoch is reported as a whole.
    """

    epochs: int = 0  # finished
    images: int = 0  # seen in the current epoch
    cost: float = 0.0  # summed over these images
    correct: int = 0  # of these images
    seconds: float = 0.0  # spent on them

    def after(self, costs: np.ndarray, correct: np.ndarray, seconds: float) -> "Progress":
        """Return the progress after one more batch."""
        return self._replace(
            images=self.images + len(costs),
            cost=self.cost + float(np.sum(costs, dtype=np.float64)),
            correct=self.correct + int(np.sum(correct)),
            seconds=self.seconds + seconds,
        )

    def means(self, before: Optional["Progress"] = None) -> Tuple[float, float]:
        """Return mean cost and accuracy of the epoch so far, or since an earlier point of it."""
        before = before or Progress()
        images = self.images - before.images
        return (self.cost - before.cost) / images, (self.correct - before.correct) / images

    def as_text(self) -> str:
        """Return mean cost and accuracy so far as text."""
        cost, accuracy = self.means()
        return f"cost {cost:.4f}, accuracy {accuracy:.4f}"


class EpochMetrics(NamedTuple):
    """One row of metrics.csv."""

    epoch: int  # epochs finished, from 1
    train_cost: float  # mean over the epoch's images, each before its batch's update
    train_accuracy: float  # the same, 0..1
    test_cost: float  # after the epoch, mean over the test set
    test_accuracy: float  # the same, 0..1
    seconds: float  # of this epoch's iterations and checkpoints, without the evaluation
    iterations: int  # so far
    updates: Tuple[int, ...]  # of each layer, so far
    flops: int  # floating-point operations of training, so far
    validation_cost: Optional[float] = None  # as test_cost; None if no images are held out
    validation_accuracy: Optional[float] = None  # the same, 0..1

    @property
    def results(self) -> Dict[str, Tuple[float, float]]:
        """Cost and accuracy on each part of the images."""
        results = {"train": (self.train_cost, self.train_accuracy)}
        if self.validation_cost is not None:
            results["validation"] = (self.validation_cost, self.validation_accuracy)
        results["test"] = (self.test_cost, self.test_accuracy)
        return results

    @property
    def possible(self) -> bool:
        """Whether a run can have these numbers; its costs may be infinite."""
        costs, accuracies = zip(*self.results.values())
        counts = (self.iterations, *self.updates)
        return (
            (self.validation_cost is None) == (self.validation_accuracy is None)
            and all(0.0 <= cost < LARGEST_COST or not math.isfinite(cost) for cost in costs)
            and all(0.0 <= accuracy <= 1.0 for accuracy in accuracies)
            and math.isfinite(self.seconds)
            and self.seconds >= 0.0
            and len(self.updates) > 0
            and 0 <= min(counts) <= max(counts) < LARGEST_COUNT
            and 0 <= self.flops < LARGEST_COUNT**2
        )

    def line(self, epochs: int) -> str:
        """Return the line that reports this epoch of ``epochs``."""
        parts = [
            f"{part} cost {cost:.5f}  accuracy {accuracy:.4f}"
            for part, (cost, accuracy) in self.results.items()
        ]
        return "   ".join([f"epoch {self.epoch:3d}/{epochs}", *parts, f"{self.seconds:.1f} s"])


class LayerMetrics(NamedTuple):
    """One row of layers.csv: the weights w of each layer, beside the w0 that training started from.

        rotation = 1 - w . w0 / (|w| |w0|)                       the cosine distance, 0 to 2
        norm     = |w|                                           Euclidean
        skewness = E[(w - mean)^3] / E[(w - mean)^2]^1.5         0 if symmetric

    Tuples are ``[layers]``. Source of the first: layer rotation, Carbonnelle and De Vleeschouwer,
    arXiv 1806.01603.
    """

    epoch: int  # epochs finished; 0 before training
    rotation: Tuple[float, ...]
    norm: Tuple[float, ...]
    skewness: Tuple[float, ...]

    @property
    def possible(self) -> bool:
        """Whether weights can have these numbers."""
        return (
            all(0.0 <= angle <= 2.0 or math.isnan(angle) for angle in self.rotation)
            and all(0.0 <= norm < math.inf for norm in self.norm)
            and all(map(math.isfinite, self.skewness))
        )


def layer_metrics(
    epoch: int, weights: Sequence[np.ndarray], start: Sequence[np.ndarray]
) -> LayerMetrics:
    """Measure the weights of each layer after an epoch, in float64.

    Args:
        epoch: Epochs finished.
        weights: Weights of each layer, first to last; finite.
        start: The same before training.
    """
    return LayerMetrics(
        epoch=epoch,
        rotation=tuple(rotation(w, w0) for w, w0 in zip(weights, start)),
        norm=tuple(_norm(w) for w in weights),
        skewness=tuple(skewness(w) for w in weights),
    )


def rotation(w: np.ndarray, w0: np.ndarray) -> float:
    """Cosine distance of two arrays of weights, 0 to 2; nan if one of them is all zeros."""
    norms = _norm(w), _norm(w0)
    if 0.0 in norms:
        return math.nan
    u, v = w.astype(np.float64) / norms[0], w0.astype(np.float64) / norms[1]
    # |u - v|^2 / 2 = 1 - u . v for unit vectors, without the rounding of 1 - 1 at small angles.
    return min(2.0, float(np.sum((u - v) ** 2)) / 2.0)


def _norm(values: np.ndarray) -> float:
    return float(np.linalg.norm(values.astype(np.float64).ravel()))


def skewness(values: np.ndarray) -> float:
    """How lopsided values are: E[(w - mean)^3] / std^3, 0 if symmetric or all the same.

    Negative where the tail to the left is the longer one.
    """
    centered = values.astype(np.float64) - np.mean(values, dtype=np.float64)
    variance = np.mean(centered**2)
    return float(np.mean(centered**3) / variance**1.5) if variance > 0 else 0.0


def author_summary(epoch: EpochMetrics, learning_rate: float) -> str:
    """Return one epoch in the layout of the author's logs.

    ``Using grad`` was 1 where his gradients were written by hand; here they always are.
    """
    return (
        f"---------- Learning Rate :  {learning_rate}\n"
        f" Using grad:  1 Train Current cost:  {epoch.train_cost:.6g}"
        f"  Current Acc:  {epoch.train_accuracy:.6g}\n"
        f"Test Current cost:  {epoch.test_cost:.6g}  Current Acc:  {epoch.test_accuracy:.6g}\n"
        "----------\n"
    )
