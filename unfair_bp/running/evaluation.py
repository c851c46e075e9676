"""Evaluation on the test set: cost, accuracy, accuracy of each class, confusion matrix."""

from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from unfair_bp.data.batches import scale
from unfair_bp.experiment.architecture import LayerSpec

ACTIVATION_BYTES = 64 * 2**20  # of the widest layer: large batches that fit into any memory


class Evaluation(NamedTuple):
    """The result of an evaluation on a set of images."""

    cost: float  # mean cross entropy
    confusion: np.ndarray  # int [K, K]: row is the label, column the prediction

    @property
    def accuracy(self) -> float:
        """Fraction of the images whose prediction is the label."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    def class_accuracies(self) -> np.ndarray:
        """Return the accuracy among the images of each label, nan where there are none: ``[K]``."""
        images = self.confusion.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.diag(self.confusion) / images


def batch_size(layers: Sequence[LayerSpec]) -> int:
    """Return the images in a batch: one activation takes at most ACTIVATION_BYTES."""
    widest = max(4 * layer.size**2 * max(layer.inputs, layer.outputs) for layer in layers)
    return max(1, ACTIVATION_BYTES // widest)


def evaluate(
    session: Any,
    graph: Any,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch: int,
    after_batch: Callable[[int], None],
) -> Evaluation:
    """Run the forward pass over images in batches; updates nothing.

    Args:
        session: A TensorFlow session with the weights.
        graph: The :class:`unfair_bp.backprop.graph.Graph`.
        images: uint8 ``[N, H, W, C]``.
        labels: ``[N]``.
        batch: Images in a batch.
        after_batch: Called with the number of images done; may raise to stop.
    """
    classes = graph.evaluation.logits.shape.as_list()[1]
    confusion = np.zeros([classes, classes], np.int64)
    total = 0.0
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        costs, predictions = session.run(
            (graph.evaluation.costs, graph.evaluation.predictions),
            {graph.images: scale(images[part]), graph.labels: labels[part]},
        )
        total += float(np.sum(costs, dtype=np.float64))
        np.add.at(confusion, (labels[part], predictions), 1)
        after_batch(len(predictions))
    return Evaluation(total / len(images), confusion)


def as_text(evaluation: Evaluation, classes: Sequence[str]) -> str:
    """Return the evaluation as a table with a row for each class."""
    width = max(len(name) for name in ("class", *classes))
    columns = " ".join(f"{name[:5]:>5}" for name in classes)
    lines = [
        f"images    {evaluation.confusion.sum()}",
        f"cost      {evaluation.cost:.5f}",
        f"accuracy  {evaluation.accuracy:.4f}",
        "",
        f"{'class':{width}}  accuracy   predicted as {columns}",
    ]
    for name, accuracy, row in zip(classes, evaluation.class_accuracies(), evaluation.confusion):
        counts = " ".join(f"{count:5d}" for count in row)
        lines.append(f"{name:{width}}  {accuracy:8.4f}                {counts}")
    return "\n".join(lines)
