"""What TensorBoard shows of a run: scalars, histograms of the weights, and the graph.

Open it with ``tensorboard --logdir RUN_DIR``.
"""

from typing import Dict, Sequence

from unfair_bp.graph import Graph
from unfair_bp.graph_mode import tf
from unfair_bp.metrics import EpochMetrics


class EventWriter:
    """Writes event files. Create it before the graph is finalized.

    Args:
        graph: The graph whose weights are watched.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph.graph
        with self._graph.as_default(), tf.name_scope("weights"):
            self._histograms = tf.summary.merge(
                [
                    tf.summary.histogram("layer_%d" % number, weights)
                    for number, weights in enumerate(graph.weights, start=1)
                ]
            )

    def open(self, directory: str, step: int) -> None:
        """Start an event file; what earlier files hold of this step and later is void."""
        self._writer = tf.summary.FileWriter(directory, self._graph)
        self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step)

    def weights(self, session: tf.Session, step: int) -> None:
        """Write the histograms of the weights."""
        self._writer.add_summary(session.run(self._histograms), step)

    def batches(self, cost: float, accuracy: float, step: int) -> None:
        """Write the means over the last few batches."""
        self._scalars({"batches/cost": cost, "batches/accuracy": accuracy}, step)

    def epoch(self, row: EpochMetrics) -> None:
        """Write what metrics.csv has of an epoch."""
        scalars = {
            "cost/train": row.train_cost,
            "cost/test": row.test_cost,
            "accuracy/train": row.train_accuracy,
            "accuracy/test": row.test_accuracy,
        }
        scalars.update(_numbered("updates/layer_%d", row.updates))
        self._scalars(scalars, row.iterations)
        self._writer.flush()

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()

    def _scalars(self, values: Dict[str, float], step: int) -> None:
        summary = tf.Summary(
            value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._writer.add_summary(summary, step)


def _numbered(tag: str, values: Sequence[float]) -> Dict[str, float]:
    return {tag % number: value for number, value in enumerate(values, start=1)}
