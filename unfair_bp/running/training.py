"""The training loop: iterations, epochs, metrics and checkpoints of one run."""

import contextlib
import signal
import threading
import time
from typing import Callable, Iterator, List, Optional

import numpy as np

from unfair_bp.backprop.graph import build_graph, starting_weights
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.console import progress_bar
from unfair_bp.data.batches import examples, iterations_per_epoch, prefetch, training_batches
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import Case, schedule_of
from unfair_bp.running import directory, provenance, sessions
from unfair_bp.running.checkpoints import Checkpoints
from unfair_bp.running.directory import RunDirectory
from unfair_bp.running.evaluation import batch_size, evaluate
from unfair_bp.running.events import EventWriter
from unfair_bp.running.metrics import EpochMetrics, Progress

EVENTS_EVERY = 50  # iterations between two points of TensorBoard's batch curves


class Interrupted(Exception):
    """The user asked to stop; everything up to the last iteration is saved."""


class Trainer:
    """Trains a case and writes its run directory.

    Args:
        case: What to run.
        dataset: What to train and test on.
        run: Where to write.
        checkpoint_minutes: How often to save within an epoch.
        tensorboard: Write event files for TensorBoard, too.
    """

    def __init__(
        self,
        case: Case,
        dataset: Dataset,
        run: RunDirectory,
        checkpoint_minutes: float = 10.0,
        tensorboard: bool = False,
    ) -> None:
        ledger.check_runnable(case.quirks)
        self.case = case
        self.dataset = dataset
        self.run = run
        self.checkpoint_seconds = 60 * checkpoint_minutes
        self.layers = case.layers
        self.schedule = schedule_of(case)
        self.iterations_per_epoch = iterations_per_epoch(case, len(dataset.train_images))
        self.images_per_epoch = len(dataset.train_images) * (2 if case.augment else 1)
        self.graph = build_graph(case)
        with self.graph.graph.as_default(), tf.variable_scope("checkpoint"):
            # One float64 for each field of Progress: exact for counts up to 2^53.
            zeros = np.zeros(len(Progress._fields))
            self._saved = tf.get_variable("progress", initializer=zeros, use_resource=True)
            self._progress_feed = tf.placeholder(tf.float64, self._saved.shape)
            self._save_progress = self._saved.assign(self._progress_feed, read_value=False)
            self._checkpoints = Checkpoints(run)
            self._initialize = tf.global_variables_initializer()
        self._events = EventWriter(self.graph) if tensorboard else None
        self.graph.graph.finalize()
        self.progress = Progress()
        self.metrics: List[EpochMetrics] = []

    def train(self, command: List[str], resume: bool, report: Callable[[str], None]) -> None:
        """Train until the case's epochs are done.

        Args:
            command: The command's words, for the record.
            resume: Go on with the run in the directory instead of starting one.
            report: Called with one line after each epoch.

        Raises:
            Interrupted: On Ctrl-C, after saving.
            UsageError: If the run to resume is damaged, a file cannot be written, or training
                diverges; what was saved before stays.
        """
        config = sessions.config(self.case)
        with tf.Session(graph=self.graph.graph, config=config) as session:
            record = provenance.record(command, self.dataset, sessions.accelerators(session))
            settings = directory.configuration(self.case, self.dataset)
            if resume and self.run.saved_steps():
                self._restore(session)
                self.run.reopen(settings, record)
            else:
                self.run.create(settings, record)
                session.run(self._initialize, self.graph.start(starting_weights(self.case)))
                start = session.run(list(self.graph.weights))
                self.run.write_weights(directory.WEIGHTS_BEFORE, start)
                self.run.write_arrays(directory.EXAMPLES, examples(self.dataset, self.case))
                self._save(session)
            with self._open_events(session), _stop_on_interrupt() as check_interrupt:
                try:
                    while self.progress.epochs < self.case.epochs:
                        self._train_epoch(session, check_interrupt)
                        report(self._finish_epoch(session, check_interrupt))
                except Interrupted:
                    self._save(session)
                    raise
            self.run.write_weights(directory.WEIGHTS_AFTER, session.run(list(self.graph.weights)))

    @contextlib.contextmanager
    def _open_events(self, session: tf.Session) -> Iterator[None]:
        """Write event files, if asked for, until the context ends."""
        if self._events is None:
            yield
            return
        step = int(session.run(self.graph.step))
        self._events.open(self.run.file(directory.TENSORBOARD), step)
        with contextlib.closing(self._events):
            self._events.weights(session, step)
            yield

    def _train_epoch(self, session: tf.Session, check_interrupt: Callable[[], None]) -> None:
        """Run the iterations that the current epoch still lacks."""
        epoch = self.progress.epochs
        done = int(session.run(self.graph.step)) - epoch * self.iterations_per_epoch
        batches = prefetch(
            training_batches(
                self.dataset.train_images, self.dataset.train_labels, self.case, epoch, done
            )
        )
        bar = progress_bar(
            total=self.iterations_per_epoch,
            initial=done,
            desc="epoch %d/%d" % (epoch + 1, self.case.epochs),
            unit="it",
        )
        # Unlike session.run, this looks the names up once, not on every iteration.
        iterate = session.make_callable(
            [self.graph.costs, self.graph.predictions, self.graph.train],
            [self.graph.images, self.graph.labels],
        )
        reported = self.progress
        with contextlib.closing(batches), bar:
            started = saved = time.monotonic()
            for iteration, batch in enumerate(batches, start=done + 1):
                costs, predictions, _ = iterate(batch.images, batch.labels)
                if not np.all(np.isfinite(costs)):
                    self._check_finite(session, float(np.mean(costs)))
                finished = time.monotonic()
                correct = predictions == batch.labels
                self.progress = self.progress.after(costs, correct, finished - started)
                started = finished
                bar.set_postfix_str(self.progress.as_text(), refresh=False)
                bar.update()
                if self._events and iteration % EVENTS_EVERY == 0:
                    step = epoch * self.iterations_per_epoch + iteration
                    self._events.batches(*self.progress.means(reported), step)
                    reported = self.progress
                check_interrupt()
                if finished - saved > self.checkpoint_seconds:
                    self._save(session)
                    saved = finished

    def _finish_epoch(self, session: tf.Session, check_interrupt: Callable[[], None]) -> str:
        """Evaluate, write the epoch's row, save; returns the line that reports it."""
        images = self.dataset.test_images
        with progress_bar(total=len(images), unit="image", desc="test") as bar:

            def after_batch(done: int) -> None:
                bar.update(done)
                check_interrupt()

            test = evaluate(
                session,
                self.graph,
                images,
                self.dataset.test_labels,
                batch=batch_size(self.layers),
                after_batch=after_batch,
            )
        self._check_finite(session, test.cost)
        progress = self.progress
        train_cost, train_accuracy = progress.means()
        iterations = int(session.run(self.graph.step))
        row = EpochMetrics(
            epoch=progress.epochs + 1,
            train_cost=train_cost,
            train_accuracy=train_accuracy,
            test_cost=test.cost,
            test_accuracy=test.accuracy,
            seconds=round(progress.seconds, 3),
            iterations=iterations,
            updates=tuple(int(layer.count) for layer in session.run(self.graph.layers)),
            flops=self._flops(progress.epochs + 1),
        )
        self.metrics.append(row)
        self.run.write_metrics(self.metrics)
        if self._events:
            self._events.epoch(row)
            self._events.weights(session, iterations)
        self.progress = Progress(epochs=row.epoch)
        self._save(session)
        return (
            "epoch %3d/%d   train cost %.5f  accuracy %.4f   test cost %.5f  accuracy %.4f   %.1f s"
            % (
                row.epoch,
                self.case.epochs,
                row.train_cost,
                row.train_accuracy,
                row.test_cost,
                row.test_accuracy,
                row.seconds,
            )
        )

    def _flops(self, epochs: int) -> int:
        """Floating-point operations of the convolutions in the first epochs.

        The last batch of an epoch may lack some images.
        """
        if self.case.protocol == "per-batch":
            return epochs * self.images_per_epoch * self.schedule.cycle_flops(self.layers)
        iterations = epochs * self.iterations_per_epoch
        flops = self.case.batch_size * self.schedule.flops(self.layers, iterations)
        lacking = self.case.batch_size * self.iterations_per_epoch - self.images_per_epoch
        rows = self.schedule.row_flops(self.layers)
        for epoch in range(1, epochs + 1):
            last = epoch * self.iterations_per_epoch - 1
            flops -= lacking * int(rows[last % self.schedule.period])
        return flops

    def _check_finite(self, session: tf.Session, cost: float = 0.0) -> None:
        """Stop if the cost, or a weight or moment of a layer, is no number or infinite."""
        layers = session.run(self.graph.layers)
        broken = [
            "%d" % number
            for number, layer in enumerate(layers, start=1)
            if not all(np.all(np.isfinite(values)) for values in layer)
        ]
        if np.isfinite(cost) and not broken:
            return
        raise UsageError(
            "training diverged in iteration %d: cost %g, layers with weights or moments that are "
            "not finite: %s; the last good checkpoint is that of iteration %d in %s; lower "
            "--learning-rate %g, with --overwrite or another --run-dir"
            % (
                session.run(self.graph.step),
                cost,
                ", ".join(broken) or "none",
                self.run.saved_steps()[0],
                self.run.path,
                self.case.learning_rate,
            )
        )

    def _save(self, session: tf.Session) -> None:
        self._check_finite(session)
        session.run(self._save_progress, {self._progress_feed: np.array(self.progress)})
        self._checkpoints.save(session, int(session.run(self.graph.step)))

    def _restore(self, session: tf.Session) -> None:
        """Go back to the newest checkpoint that is whole."""
        self._checkpoints.restore(session)
        self._checkpoints.remove_unfinished()
        epochs, images, cost, correct, seconds = session.run(self._saved).tolist()
        self.progress = Progress(int(epochs), int(images), cost, int(correct), seconds)
        # A row is written before the checkpoint that ends its epoch, so there may be one too many.
        self.metrics = self.run.read_metrics()[: self.progress.epochs]
        if len(self.metrics) < self.progress.epochs:
            raise UsageError(
                "%s lacks some of the %d finished epochs; train again with --overwrite"
                % (self.run.file(directory.METRICS), self.progress.epochs)
            )


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], None]]:
    """Turn Ctrl-C into Interrupted at the next call of what this gives; a second one is immediate.

    Raised in the middle of an iteration, KeyboardInterrupt would lose the iteration's cost.
    """
    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise Interrupted

    if threading.current_thread() is not threading.main_thread():
        yield check  # only the main thread may handle signals
        return

    def handle(number: int, frame: Optional[object]) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
