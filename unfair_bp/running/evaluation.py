"""How a network does on the test set: cost, accuracy, accuracy of each class, confusion matrix."""

from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from unfair_bp.data.batches import scale
from unfair_bp.experiment.architecture import LayerSpec

ACTIVATION_BYTES = 64 * 2**20  # of the widest layer: large batches, small enough for any machine


class Evaluation(NamedTuple):
    """How a network does on a set of images."""

    cost: float  # mean cross entropy
    confusion: np.ndarray  # int [K, K]: row is the label, column the prediction

    @property
    def accuracy(self) -> float:
        """Fraction of the images whose prediction is the label."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    def class_accuracies(self) -> np.ndarray:
        """The same among the images of each label, nan where there is none: ``[K]``."""
        images = self.confusion.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.diag(self.confusion) / images


def batch_size(layers: Sequence[LayerSpec]) -> int:
    """Images in a batch of an evaluation, so that one activation stays within its bytes."""
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
        images: uint8 ``[N, 32, 32, 3]``.
        labels: ``[N]``.
        batch: Images at a time.
        after_batch: Called with the number of images done; may raise to stop.
    """
    classes = graph.logits.shape.as_list()[1]
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
    """The evaluation as a table: one row for each class."""
    width = max(len(name) for name in classes)
    shown = [name[:5] for name in classes]
    lines = [
        "images    %d" % evaluation.confusion.sum(),
        "cost      %.5f" % evaluation.cost,
        "accuracy  %.4f" % evaluation.accuracy,
        "",
        "%-*s  accuracy   predicted as %s"
        % (width, "class", " ".join("%5s" % name for name in shown)),
    ]
    for name, accuracy, row in zip(classes, evaluation.class_accuracies(), evaluation.confusion):
        lines.append(
            "%-*s  %8.4f                %s"
            % (width, name, accuracy, " ".join("%5d" % count for count in row))
        )
    return "\n".join(lines)
