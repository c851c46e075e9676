"""The finished epochs of a run: evaluated, written as rows, and read again to go on from."""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.backprop.graph import Graph, starting_weights
from unfair_bp.console import progress_bar, warn
from unfair_bp.data.dataset import Dataset, Split
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case, iterations_per_epoch, schedule_of
from unfair_bp.running import directory
from unfair_bp.running.directory import RunDirectory
from unfair_bp.running.evaluation import Evaluation, batch_size, evaluate
from unfair_bp.running.metrics import EpochMetrics, LayerMetrics, Progress, layer_metrics

REMOVE = "remove it, and --resume makes it again, or give another run directory"


class FinishedEpochs:
    """What is known of a run's finished epochs.

    Args:
        case: What is run.
        dataset: What is trained and tested on.
        held_out: What is validated on, if images are held out.
        graph: The case's graph.
        run: Where to write.

    Attributes:
        metrics: A row for each finished epoch.
        layers: What was measured of the layers: before training, and after each epoch.
    """

    metrics: List[EpochMetrics]
    layers: List[LayerMetrics]

    def __init__(
        self,
        case: Case,
        dataset: Dataset,
        held_out: Optional[Split],
        graph: Graph,
        run: RunDirectory,
    ) -> None:
        self.case = case
        self.images = len(dataset.train_images)
        # What is evaluated after each epoch: images and labels.
        self.parts = {"test": Split(dataset.test_images, dataset.test_labels)}
        if held_out is not None:
            self.parts["validation"] = held_out
        self.graph = graph
        self.run = run

    def begin(self, start: List[np.ndarray]) -> None:
        """Start with no epoch, from these weights."""
        self.metrics, self.layers = [], [layer_metrics(0, start, start)]
        self._start = start

    def restore(self, count: int) -> None:
        """Read the first epochs of the run.

        Raises:
            UsageError: If a file is damaged, or has fewer.
        """
        # A row is written before the checkpoint that ends its epoch, so there may be one too many.
        self.metrics = self.run.read_metrics()[:count]
        if len(self.metrics) < count:
            raise UsageError(
                f"{self.run.file(directory.METRICS)} lacks some of the {count} finished epochs; "
                "train again with --overwrite"
            )
        self._start = start = self._starting_weights()
        read = [row for row in self.run.read_layers() if row.epoch <= count]
        self.layers = read or [layer_metrics(0, start, start)]
        lacking = count + 1 - len(self.layers)
        if lacking:
            warn(
                f"{self.run.file(directory.LAYERS)} lacks {lacking} of {count} finished epochs, as "
                f"in runs of an earlier version; it goes on with epoch {count + 1}"
            )

    def _starting_weights(self) -> List[np.ndarray]:
        """The weights that the run started from; if the file is gone, from the case once more."""
        expected = [weights.astype(np.float32) for weights in starting_weights(self.case)]
        path = self.run.file(directory.WEIGHTS_BEFORE)
        found = list(self.run.read_arrays(directory.WEIGHTS_BEFORE).values())
        if not found:
            warn(f"{path} is missing; it is made again from the case and its seed")
            self.run.write_weights(directory.WEIGHTS_BEFORE, expected)
            return expected
        for weights in found:
            if weights.dtype.kind != "f" or not np.isfinite(weights).all():
                raise UsageError(f"{path} is damaged (not finite numbers); {REMOVE}")
        if [weights.shape for weights in found] != [weights.shape for weights in expected]:
            raise UsageError(f"{path} is damaged (not the shapes of the layers); {REMOVE}")
        return found

    def evaluate(self, session: Any, check_signals: Callable[[], None]) -> Dict[str, Evaluation]:
        """Evaluate on the test set and on the images that are held out.

        Raises:
            Interrupted: If ``check_signals`` raises it.
        """
        found = {}
        for name, (images, labels) in self.parts.items():
            with progress_bar(total=len(images), unit="image", desc=name) as bar:

                def after_batch(done: int, bar: Any = bar) -> None:
                    bar.update(done)
                    check_signals()

                found[name] = evaluate(
                    session,
                    self.graph,
                    images,
                    labels,
                    batch=batch_size(self.case.layers),
                    after_batch=after_batch,
                )
        return found

    def add(
        self, session: Any, progress: Progress, evaluations: Dict[str, Evaluation]
    ) -> EpochMetrics:
        """Write the rows of an epoch that has just ended.

        Args:
            session: A TensorFlow session with the weights.
            progress: The sums over the epoch.
            evaluations: What :meth:`evaluate` found.

        Raises:
            UsageError: If a file cannot be written.
        """
        epoch = progress.epochs + 1
        train_cost, train_accuracy = progress.means()
        states = session.run(self.graph.layers)
        test, validation = evaluations["test"], evaluations.get("validation")
        row = EpochMetrics(
            epoch=epoch,
            train_cost=train_cost,
            train_accuracy=train_accuracy,
            test_cost=test.cost,
            test_accuracy=test.accuracy,
            seconds=round(progress.seconds, 3),
            iterations=int(session.run(self.graph.step)),
            updates=self._updates(states, epoch),
            flops=training_flops(self.case, self.images, epoch),
            validation_cost=validation.cost if validation else None,
            validation_accuracy=validation.accuracy if validation else None,
        )
        self.metrics.append(row)
        self.layers.append(layer_metrics(epoch, [layer.w for layer in states], self._start))
        self.run.write_metrics(self.metrics)
        self.run.write_layers(self.layers)
        return row

    def _updates(self, states: Sequence[Any], epoch: int) -> Tuple[int, ...]:
        """The optimizer's own counts; where the schedule resets them, what it says instead."""
        if schedule_of(self.case).moments == "keep":
            return tuple(int(layer.count) for layer in states)
        return training_updates(self.case, self.images, epoch)


def training_updates(case: Case, images: int, epochs: int) -> Tuple[int, ...]:
    """How often each layer has been updated in the first epochs.

    The optimizer's own counts begin anew where a schedule resets moments.

    Args:
        case: What is run.
        images: Number of images that are trained on, without augmented ones.
        epochs: Number of epochs.
    """
    iterations = iterations_per_epoch(case, images)
    schedule = schedule_of(case, case.epochs * iterations)
    rounds = schedule.cycle if case.protocol == "per-batch" else 1
    return tuple(schedule.updates(epochs * iterations * rounds).tolist())


def training_flops(case: Case, images: int, epochs: int) -> int:
    """Floating-point operations of the convolutions in the first epochs.

    The last batch of an epoch may be smaller.

    Args:
        case: What is run.
        images: Number of images that are trained on, without augmented ones.
        epochs: Number of epochs.
    """
    iterations = iterations_per_epoch(case, images)
    schedule, layers = schedule_of(case, case.epochs * iterations), case.layers
    seen = images * (2 if case.augment else 1)
    if case.protocol == "per-batch":
        return epochs * seen * schedule.cycle_flops(layers)
    flops = case.batch_size * schedule.flops(layers, epochs * iterations)
    lacking = case.batch_size * iterations - seen
    rows = schedule.row_flops(layers)
    for epoch in range(1, epochs + 1):
        last = epoch * iterations - 1
        flops -= lacking * int(rows[schedule.row_at(last)])
    return flops
