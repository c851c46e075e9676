"""What is measured in an epoch: sums while it lasts, then a row of metrics.csv."""

import csv
import io
import math
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.experiment.cases import Case

LARGEST_COST = 1e39  # finite costs are float32
LARGEST_COUNT = 2**53  # up to which a checkpoint, which holds floats, counts exactly
PER_LAYER = "_layer_"  # between a field's name and a layer's number in the name of a column
# How the text of a column is read, by the type of its field.
READ = {int: int, float: float, Optional[float]: float, Tuple[int, ...]: int}


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


def _cells(row: EpochMetrics) -> Iterator[Tuple[str, str]]:
    """Name and text of each cell of a row; what was not measured, None, has no column."""
    for name, value in row._asdict().items():
        if isinstance(value, tuple):
            for number, item in enumerate(value, start=1):
                yield f"{name}{PER_LAYER}{number}", _text(item)
        elif value is not None:
            yield name, _text(value)


def _text(value: Any) -> str:
    """A number that reads back the same."""
    # NumPy's float64 is a float too, but its repr is not a number.
    return repr(float(value)) if isinstance(value, float) else str(value)


def as_csv(rows: Sequence[EpochMetrics]) -> str:
    """Return the content of metrics.csv: a header, then a row for each epoch, at least one.

    A field that has a value for each layer takes a column for each layer.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(name for name, _ in _cells(rows[0]))
    writer.writerows([text for _, text in _cells(row)] for row in rows)
    return table.getvalue()


def from_csv(text: str) -> List[EpochMetrics]:
    """Read what :func:`as_csv` wrote.

    Raises:
        ValueError, KeyError, TypeError, csv.Error: If the text is cut off, edited, or has numbers
            that a run cannot have.
    """
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    epochs = [_from_cells(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise ValueError("its epochs are not 1, 2, 3, ...")
    for epoch in epochs:
        if not epoch.possible:
            raise ValueError(f"impossible numbers in epoch {epoch.epoch}")
    return epochs


def check_fits(epochs: Sequence[EpochMetrics], case: Case) -> None:
    """Make sure that rows are those of a case.

    Raises:
        ValueError: If they have updates of another number of layers, or results on held-out images
            although the case holds none out, or the other way round.
    """
    layers, held_out = len(case.layers), case.validation_size or "no"
    for epoch in epochs:
        if len(epoch.updates) != layers:
            raise ValueError(f"it has updates of {len(epoch.updates)} layers, not {layers}")
        if ("validation" in epoch.results) != (case.validation_size is not None):
            raise ValueError(f"its columns are not those of a run with {held_out} images held out")


def _from_cells(cells: Dict[str, str]) -> EpochMetrics:
    """Read a row back, given the text of each column."""
    values: Dict[str, Any] = {}
    for column, text in cells.items():
        name, per_layer, _ = column.partition(PER_LAYER)
        value = READ[EpochMetrics.__annotations__[name]](text)
        values[name] = (*values.get(name, ()), value) if per_layer else value
    return EpochMetrics(**values)


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
