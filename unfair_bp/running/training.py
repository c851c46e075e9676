"""The training loop: iterations, epochs, metrics and checkpoints of one run."""

import contextlib
import numbers
import os
import time
from typing import Any, Callable, Iterator, List, Optional

import numpy as np

from unfair_bp.backprop.graph import build_graph, starting_weights
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.console import load_bars, progress_bar
from unfair_bp.data import augment, sources
from unfair_bp.data.batches import examples, prefetch, training_batches
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import Case, iterations_per_epoch
from unfair_bp.running import configuration, directory, provenance, sessions, tidying
from unfair_bp.running.checkpoints import Checkpoints
from unfair_bp.running.directory import CHECKPOINT_MINUTES, RunDirectory
from unfair_bp.running.epochs import FinishedEpochs
from unfair_bp.running.events import EventWriter
from unfair_bp.running.metrics import EpochMetrics, Progress
from unfair_bp.running.signals import Interrupted, stopped_by_signals

EVENTS_EVERY = 50  # iterations between two points of TensorBoard's batch curves


def train(
    case: Case,
    data: Optional[Dataset],
    run_dir: str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    tensorboard: bool = False,
    report: Callable[[str], None] = print,
    command: str = "unfair_bp.train, called from Python",
) -> List[EpochMetrics]:
    """Train a case and write its run directory; an existing run is kept unless told otherwise.

    Args:
        case: What to run.
        data: What to train and test on, or its first images if the case has a ``train_size`` or
            ``test_size``; None loads the data set that the case names.
        run_dir: The run directory.
        resume: Go on with the run that is there.
        overwrite: Replace the run that is there.
        checkpoint_minutes: How often to save within an epoch.
        tensorboard: Write event files for TensorBoard, too.
        report: Called with one line after each epoch, and when a run goes on.
        command: What command.txt says of how the run was started.

    Returns:
        The metrics of each finished epoch, those before ``resume`` included.

    Raises:
        FieldError: If an argument is of another type or out of range.
        UsageError: If the directory is in use, or the run cannot be trained or written.
        Interrupted: After Ctrl-C, SIGTERM or SIGHUP, when the run is saved.
    """
    if resume and overwrite:
        raise UsageError("resume and overwrite exclude each other; give one of them")
    _check_arguments(case, data, run_dir, checkpoint_minutes, report)
    run = RunDirectory(os.fspath(run_dir))
    run.check_start(case, resume, overwrite)
    dataset = sources.load(case) if data is None else data.first(case.train_size, case.test_size)
    trainer = Trainer(case, dataset, run, checkpoint_minutes, tensorboard)
    trainer.train(command, report, resume=resume, overwrite=overwrite)
    return trainer.metrics


def _check_arguments(
    case: Any, data: Any, run_dir: Any, checkpoint_minutes: Any, report: Any
) -> None:
    """Refuse what would fail only after an earlier run was deleted.

    Raises:
        FieldError: If an argument is of another type or out of range.
    """
    expected = {
        "case": (case, Case, "a Case; give one, such as CASES['c']"),
        "data": (data, (Dataset, type(None)), "a Dataset; give one, or None for what case names"),
        "run_dir": (run_dir, (str, os.PathLike), "a path"),
        "checkpoint_minutes": (checkpoint_minutes, numbers.Real, "a number"),
        "report": (report, Callable, "a function; give one, such as print"),
    }
    for name, (value, kinds, words) in expected.items():
        if not isinstance(value, kinds):
            raise FieldError(name, f"is of type {type(value).__name__}, not {words}")
    if not os.fspath(run_dir):
        raise FieldError("run_dir", "is empty; give the path of a directory")
    if not checkpoint_minutes > 0:
        raise FieldError(
            "checkpoint_minutes", f"{checkpoint_minutes} is out of range; give a number above 0"
        )


class Trainer:
    """Trains a case and writes its run directory.

    Args:
        case: What to run.
        dataset: What to train and test on, and the images that the case holds out.
        run: Where to write.
        checkpoint_minutes: How often to save within an epoch.
        tensorboard: Write event files for TensorBoard, too.

    Raises:
        UsageError: If the data set does not fit the case, or a library that training needs
            cannot be loaded.
    """

    def __init__(
        self,
        case: Case,
        dataset: Dataset,
        run: RunDirectory,
        checkpoint_minutes: float = CHECKPOINT_MINUTES,
        tensorboard: bool = False,
    ) -> None:
        ledger.check_runnable(case.quirks)
        dataset.check_fits(case)
        load_bars()
        if case.augment:
            augment.check_available()
        self.case = case
        self.dataset = dataset
        self.run = run
        self.checkpoint_seconds = 60 * checkpoint_minutes
        self.training, held_out = dataset.hold_out(case.validation_size)
        self.iterations_per_epoch = iterations_per_epoch(case, len(self.training.train_images))
        self.graph = build_graph(case, iterations=case.epochs * self.iterations_per_epoch)
        with self.graph.graph.as_default(), tf.name_scope("checkpoint/"):
            # One float64 for each field of Progress: exact for counts up to 2^53.
            zeros = np.zeros(len(Progress._fields))
            self._saved = tf.get_variable(
                "checkpoint/progress", initializer=zeros, use_resource=True
            )
            self._progress_feed = tf.placeholder(tf.float64, self._saved.shape)
            self._save_progress = self._saved.assign(self._progress_feed, read_value=False)
            self._checkpoints = Checkpoints(run)
            self._initialize = tf.global_variables_initializer()
        self._events = EventWriter(self.graph) if tensorboard else None
        self.graph.graph.finalize()
        self.epochs = FinishedEpochs(case, self.training, held_out, self.graph, run)

    @property
    def metrics(self) -> List[EpochMetrics]:
        """A row for each finished epoch."""
        return self.epochs.metrics

    def train(
        self,
        command: str,
        report: Callable[[str], None],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Train until the case's epochs are done.

        Args:
            command: The command, for the record.
            report: Called with one line after each epoch, and when a run goes on.
            resume: Go on with the run in the directory.
            overwrite: Replace the run in the directory.

        Raises:
            Interrupted: After Ctrl-C, SIGTERM or SIGHUP, when the run is saved.
            UsageError: If the directory holds a run and neither ``resume`` nor ``overwrite`` is
                set, the run to resume is another one or damaged, a file cannot be written, or
                training diverges; what was saved before stays.
        """
        too_large = sessions.too_large(self.case, "; checkpoints are intact")
        # The session is not entered, or what the caller does in ``report`` would be in graph mode.
        with sessions.enough_memory(too_large), self.run.lock(), contextlib.closing(
            tf.Session(graph=self.graph.graph, config=sessions.config(self.case))
        ) as session, stopped_by_signals() as check_signals:
            # Under the lock, because another process may have begun a run while data was loaded.
            self.run.check_free(resume, overwrite)
            self._begin(session, command, resume)
            if resume:
                report(self._where(session))
            with self._open_events(session):
                try:
                    while self.progress.epochs < self.case.epochs:
                        self._train_epoch(session, check_signals)
                        report(self._finish_epoch(session, check_signals))
                except Interrupted:
                    self._save(session)
                    raise
                weights = session.run(list(self.graph.weights))
                self.run.write_weights(directory.WEIGHTS_AFTER, weights)
                check_signals()  # one that came while the last epoch was saved

    def _begin(self, session: tf.Session, command: str, resume: bool) -> None:
        """Restore the run's newest checkpoint, or start a new run."""
        record = provenance.record(command, self.dataset, sessions.accelerators(session))
        settings = configuration.configuration(self.case, self.dataset)
        if resume:
            self.run.check_same(settings)
        if resume and self.run.saved_steps():
            self._restore(session)
            self.run.reopen(settings, record)
            return
        self.progress = Progress()
        shown = examples(self.training, self.case)  # may fail, so before anything is written
        self.run.create(settings, record)
        session.run(self._initialize, self.graph.start(starting_weights(self.case)))
        start = session.run(list(self.graph.weights))
        self.epochs.begin(start)
        self.run.write_weights(directory.WEIGHTS_BEFORE, start)
        self.run.write_arrays(directory.EXAMPLES, shown)
        self._save(session)

    def _where(self, session: tf.Session) -> str:
        """Say from where a run goes on."""
        done, step = self.progress.epochs, int(session.run(self.graph.step))
        total = self.case.epochs * self.iterations_per_epoch
        return (
            f"going on after {done} of {self.case.epochs} epochs, after iteration {step} of {total}"
        )

    @contextlib.contextmanager
    def _open_events(self, session: tf.Session) -> Iterator[None]:
        """Write event files, if asked for, until the context ends."""
        if self._events is None:
            yield
            return
        step = int(session.run(self.graph.step))
        self._events.open(self.run.file(tidying.TENSORBOARD), step)
        with contextlib.closing(self._events):
            self._events.weights(session, step)
            yield

    def _train_epoch(self, session: tf.Session, check_signals: Callable[[], None]) -> None:
        """Run the iterations that the current epoch still lacks."""
        epoch = self.progress.epochs
        done = int(session.run(self.graph.step)) - epoch * self.iterations_per_epoch
        batches = prefetch(
            training_batches(
                self.training.train_images, self.training.train_labels, self.case, epoch, done
            )
        )
        bar = progress_bar(
            total=self.iterations_per_epoch,
            initial=done,
            desc=f"epoch {epoch + 1}/{self.case.epochs}",
            unit="it",
        )
        graph = self.graph
        fetches = [graph.outputs.costs, graph.outputs.predictions, graph.train]
        reported = self.progress
        with contextlib.closing(batches), bar:
            started = saved = time.monotonic()
            for iteration, batch in enumerate(batches, start=done + 1):
                feed = {graph.images: batch.images, graph.labels: batch.labels}
                costs, predictions, _ = session.run(fetches, feed)
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
                check_signals()
                if finished - saved > self.checkpoint_seconds:
                    self._save(session)
                    saved = finished

    def _finish_epoch(self, session: tf.Session, check_signals: Callable[[], None]) -> str:
        """Evaluate, write the epoch's rows, save; returns the line that reports it."""
        evaluations = self.epochs.evaluate(session, check_signals)
        for evaluation in evaluations.values():
            self._check_finite(session, evaluation.cost)
        row = self.epochs.add(session, self.progress, evaluations)
        if self._events:
            self._events.epoch(row)
            self._events.weights(session, row.iterations)
        self.progress = Progress(epochs=row.epoch)
        self._save(session)
        return row.line(self.case.epochs)

    def _check_finite(self, session: tf.Session, cost: float = 0.0) -> None:
        """Stop if the cost, or a variable of a layer, is infinite or not a number."""
        layers = session.run(self.graph.layers)
        broken = [
            str(number)
            for number, layer in enumerate(layers, start=1)
            if not all(np.all(np.isfinite(values)) for values in layer)
        ]
        if np.isfinite(cost) and not broken:
            return
        good = "".join(f" is that of iteration {step}" for step in self.run.saved_steps()[:1])
        raise UsageError(
            f"training diverged in iteration {session.run(self.graph.step)}: cost {cost:g}, layers "
            f"with weights or moments that are not finite: {', '.join(broken) or 'none'}; the last "
            f"good checkpoint{good or ': none'} in {self.run.path}; "
            f"lower --learning-rate {self.case.learning_rate:g}, with --overwrite or another "
            "--run-dir"
        )

    def _save(self, session: tf.Session) -> None:
        self._check_finite(session)
        session.run(self._save_progress, {self._progress_feed: np.array(self.progress)})
        self._checkpoints.save(session, int(session.run(self.graph.step)))

    def _restore(self, session: tf.Session) -> None:
        """Go back to the newest checkpoint that is whole."""
        self._checkpoints.restore(session)
        kinds = Progress.__annotations__.values()
        saved = session.run(self._saved).tolist()
        self.progress = Progress(*(kind(value) for kind, value in zip(kinds, saved)))
        self.epochs.restore(self.progress.epochs)
