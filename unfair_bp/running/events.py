"""What TensorBoard shows of a run: scalars, histograms of the weights, and the graph.

Open it with ``tensorboard --logdir RUN_DIR``. An event file is a file of records, each an event.
TensorFlow's own writer works in a thread. On a full disk that thread prints tracebacks, and the run
learns of the failure an epoch later or never.
"""

import os
import time
from typing import Any, Dict

from unfair_bp.backprop.graph import Graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import UsageError
from unfair_bp.running.checkpoints import reason
from unfair_bp.running.metrics import EpochMetrics


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
                    tf.summary.histogram(f"layer_{number}", weights)
                    for number, weights in enumerate(graph.weights, start=1)
                ]
            )

    def open(self, directory: str, step: int) -> None:
        """Start an event file; TensorBoard drops what earlier files have from this step on.

        Raises:
            UsageError: If it cannot be written. The methods below raise the same.
        """
        try:
            os.makedirs(directory, exist_ok=True)
            # The count keeps a second file of the same second from replacing the first.
            name = f"events.out.tfevents.{int(time.time()):010d}.{len(os.listdir(directory))}"
            self._path = os.path.join(directory, name)
            self._writer = tf.io.TFRecordWriter(self._path)
        except (OSError, tf.errors.OpError) as error:
            raise _cannot_write(directory, error) from error
        self._write(file_version="brain.Event:2")
        self._write(graph_def=self._graph.as_graph_def(add_shapes=True).SerializeToString())
        self._write(session_log=tf.SessionLog(status=tf.SessionLog.START), step=step)

    def weights(self, session: tf.Session, step: int) -> None:
        """Write the histograms of the weights."""
        self._write(summary=tf.Summary.FromString(session.run(self._histograms)), step=step)

    def batches(self, cost: float, accuracy: float, step: int) -> None:
        """Write the means over the last few batches."""
        self._scalars({"batches/cost": cost, "batches/accuracy": accuracy}, step)

    def epoch(self, row: EpochMetrics) -> None:
        """Write an epoch's row of metrics.csv."""
        scalars: Dict[str, float] = {}
        for part, (cost, accuracy) in row.results.items():
            scalars.update({f"cost/{part}": cost, f"accuracy/{part}": accuracy})
        for number, count in enumerate(row.updates, start=1):
            scalars[f"updates/layer_{number}"] = count
        self._scalars(scalars, row.iterations)

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()

    def _scalars(self, values: Dict[str, float], step: int) -> None:
        summary = tf.Summary(
            value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._write(summary=summary, step=step)

    def _write(self, **event: Any) -> None:
        """Write an event in one go, so that a reader sees all of it."""
        try:
            self._writer.write(tf.Event(wall_time=time.time(), **event).SerializeToString())
            self._writer.flush()
        except tf.errors.OpError as error:
            raise _cannot_write(self._path, error) from error


def _cannot_write(path: str, error: Exception) -> UsageError:
    return UsageError(
        f"cannot write TensorBoard's events into {path} ({reason(error)}); what was saved is "
        "intact: make room, then go on with --resume, or without --tensorboard"
    )
