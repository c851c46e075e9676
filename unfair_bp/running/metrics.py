"""What is measured in an epoch: sums while it lasts, then a row of metrics.csv."""

import csv
import io
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

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
    seconds: float  # training time of this epoch, without the evaluation
    iterations: int  # so far
    updates: Tuple[int, ...]  # of each layer, so far
    flops: int  # floating-point operations of training, so far

    @property
    def possible(self) -> bool:
        """Whether a run can have these numbers; its costs may be infinite."""
        costs, counts = (self.train_cost, self.test_cost), (self.iterations, *self.updates)
        return (
            all(0.0 <= c < LARGEST_COST or not math.isfinite(c) for c in costs)
            and 0.0 <= self.train_accuracy <= 1.0
            and 0.0 <= self.test_accuracy <= 1.0
            and math.isfinite(self.seconds)
            and self.seconds >= 0.0
            and len(self.updates) > 0
            and 0 <= min(counts) <= max(counts) < LARGEST_COUNT
            and 0 <= self.flops < LARGEST_COUNT**2
        )

    @classmethod
    def columns(cls, layers: int) -> List[str]:
        """Return the names of the columns; ``updates`` has one for each layer."""
        names = list(cls._fields)
        at = names.index("updates")
        names[at : at + 1] = [f"updates_layer_{i}" for i in range(1, layers + 1)]
        return names

    def row(self) -> List[str]:
        """Return the values in the order of :meth:`columns`; floats read back the same."""
        values: List[Any] = []
        for value in self:
            values.extend(value if isinstance(value, tuple) else [value])
        # NumPy's float64 is a float too, but its repr is not a number.
        return [repr(float(value)) if isinstance(value, float) else str(value) for value in values]

    @classmethod
    def from_row(cls, row: Dict[str, str]) -> "EpochMetrics":
        """Read a row back."""
        values: Dict[str, Any] = {"updates": ()}
        for name, text in row.items():
            if name.startswith("updates_layer_"):
                values["updates"] += (int(text),)
            else:
                values[name] = cls.__annotations__[name](text)
        return cls(**values)


def as_csv(epochs: Sequence[EpochMetrics]) -> str:
    """Return the content of metrics.csv: a header, then a row for each epoch."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    layers = len(epochs[0].updates) if epochs else 0
    writer.writerow(EpochMetrics.columns(layers))
    writer.writerows(epoch.row() for epoch in epochs)
    return table.getvalue()


def from_csv(text: str) -> List[EpochMetrics]:
    """Read what :func:`as_csv` wrote.

    Raises:
        ValueError, KeyError, TypeError, csv.Error: If the text is cut off, edited, or has numbers
            that a run cannot have.
    """
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    epochs = [EpochMetrics.from_row(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise ValueError("its epochs are not 1, 2, 3, ...")
    for epoch in epochs:
        if not epoch.possible:
            raise ValueError(f"impossible numbers in epoch {epoch.epoch}")
    return epochs


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
