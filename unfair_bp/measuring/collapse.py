"""What :mod:`unfair_bp.collapse` measures: whole graphs, and what an iteration of them reads."""

import re
import time
from dataclasses import replace
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from unfair_bp.backprop.graph import starting_weights
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.console import progress_bar
from unfair_bp.data import shapes
from unfair_bp.data.batches import Batch, training_batches
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import Case
from unfair_bp.measuring.scripts_graph import Built, package_graph, scripts_graph
from unfair_bp.running import sessions

# Convolutions, or matrix products in their place, under any of their names: those of optimised and
# of fused kernels have a prefix.
CONVOLUTION = re.compile(r" = \w*(?:Conv2D|MatMul)\w*\(")


class Subject(NamedTuple):
    """What is measured: a graph of a case, and whether TensorFlow may optimise it."""

    name: str
    schedule: str
    build: Callable[[Case], Built]
    optimised: bool = True


class Measurement(NamedTuple):
    """What was measured of one subject."""

    subject: Subject
    seconds: float  # median time of a batch
    convolutions: int  # executed for a batch
    movement: Tuple[float, ...]  # mean |change| of each layer's weights, in learning rates
    apart: float  # from the first subject's weights, relative to how far those moved


NAMES = ("fair", "back", "front")
SUBJECTS = (
    *(Subject("scripts", name, scripts_graph) for name in NAMES),
    *(Subject("scripts, optimisations off", name, scripts_graph, False) for name in NAMES),
    *(Subject("ordered", name, package_graph) for name in NAMES[1:]),
)


class Bench:
    """A subject in a session of its own."""

    def __init__(self, subject: Subject, case: Case) -> None:
        case = replace(case, schedule=subject.schedule)
        self.subject = subject
        self.built = subject.build(case)
        settings = sessions.config(case)
        if not subject.optimised:
            settings.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
            settings.graph_options.rewrite_options.disable_meta_optimizer = True
        self.session = tf.Session(graph=self.built.train.graph, config=settings)
        start = starting_weights(case)
        self.session.run(self.built.initializer, dict(zip(self.built.starts, start)))

    def train(self, batch: Batch, first: bool = False) -> float:
        """Train on a batch; returns the seconds."""
        feed = {self.built.images: batch.images, self.built.labels: batch.labels}
        feed.update(self.built.first_feed if first else {})
        started = time.perf_counter()
        self.session.run(self.built.train, feed)
        return time.perf_counter() - started

    def count_convolutions(self, batch: Batch) -> int:
        """Train on a batch and count the convolutions that are executed."""
        feed = {self.built.images: batch.images, self.built.labels: batch.labels}
        traced, metadata = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), tf.RunMetadata()
        self.session.run(self.built.train, feed, traced, metadata)
        nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
        return len({node.node_name for node in nodes if CONVOLUTION.search(node.timeline_label)})


def mean_changes(after: Sequence[np.ndarray], before: Sequence[np.ndarray]) -> np.ndarray:
    """Mean absolute difference of each layer's weights."""
    return np.array([np.mean(np.abs(w - start)) for w, start in zip(after, before)])


def measure(
    case: Case, iterations: int, repeats: int, subjects: Sequence[Subject] = SUBJECTS
) -> List[Measurement]:
    """Measure subjects against the first of them, with a progress bar.

    Args:
        case: Width, batch size and settings; the subjects say which schedule.
        iterations: Batches after which the movement is measured.
        repeats: Further batches whose time is taken, the subjects taking turns.
        subjects: What to measure.
    """
    data = shapes.load(iterations * case.batch_size, 1)
    batches = list(training_batches(data.train_images, data.train_labels, case, epoch=0))
    benches, weights, convolutions = [], [], []
    seconds = np.zeros([len(subjects), repeats])
    total = len(subjects) * (iterations + repeats)
    with progress_bar(total=total, unit="batch") as bar:
        for subject in subjects:
            bench = Bench(subject, case)
            for number, batch in enumerate(batches):
                bench.train(batch, first=number == 0)
                bar.update()
            benches.append(bench)
            weights.append(bench.session.run(list(bench.built.weights)))
            convolutions.append(bench.count_convolutions(batches[0]))
        for repeat in range(repeats):
            for i, bench in enumerate(benches):
                seconds[i, repeat] = bench.train(batches[repeat % len(batches)])
                bar.update()
    start = starting_weights(case)
    results = []
    for i, bench in enumerate(benches):
        bench.session.close()
        movement = tuple(mean_changes(weights[i], start) / case.learning_rate)
        apart = max(mean_changes(weights[i], weights[0]) / mean_changes(weights[0], start))
        median = float(np.median(seconds[i]))
        results.append(Measurement(bench.subject, median, convolutions[i], movement, float(apart)))
    return results


# Which weights the forward pass of an iteration may have read.
CANDIDATES: Dict[str, Callable[[Sequence, Sequence], List]] = {
    "old": lambda old, new: list(old),
    "new": lambda old, new: list(new),
    "layer 1 old": lambda old, new: [old[0], *new[1:]],
}


class Reading(NamedTuple):
    """How far the logits of one iteration are from forward passes through its weights."""

    schedule: str
    iteration: int  # counted from 1; the first moves nothing
    apart: Dict[str, float]  # for each candidate, the largest |difference| / change: see `readings`


def readings(case: Case, iterations: int) -> List[Reading]:
    """Compare the logits of unordered iterations with forward passes through each candidate.

    The differences are relative to the largest change of a logit between a forward pass through
    the weights before the iteration and one through those after it.

    Args:
        case: Width, batch size and settings; the quirks and initial weights are the scripts'.
        iterations: Iterations to compare, the first one, which moves nothing, not counted.
    """
    case = replace(case, quirks=ledger.as_run("c"), initial_weights="2018")
    data = shapes.load((iterations + 1) * case.batch_size, 1)
    batches = list(training_batches(data.train_images, data.train_labels, case, epoch=0))
    found, unfair = [], NAMES[1:]
    with progress_bar(total=len(unfair) * len(batches), unit="batch") as bar:
        for name in unfair:
            bench = Bench(Subject("scripts", name, scripts_graph), case)
            built, session = bench.built, bench.session
            values = [weight.value() for weight in built.weights]
            for number, batch in enumerate(batches, start=1):
                feed = {built.images: batch.images, built.labels: batch.labels}
                first = built.first_feed if number == 1 else {}
                old = session.run(list(built.weights))
                logits, _ = session.run([built.logits, built.train], {**feed, **first})
                new = session.run(list(built.weights))
                bar.update()
                if number == 1:
                    continue
                through = {
                    which: session.run(
                        built.logits, {**feed, **dict(zip(values, choose(old, new)))}
                    )
                    for which, choose in CANDIDATES.items()
                }
                change = np.max(np.abs(through["new"] - through["old"]))
                apart = {
                    which: float(np.max(np.abs(logits - other)) / change)
                    for which, other in through.items()
                }
                found.append(Reading(name, number, apart))
            session.close()
    return found


def as_text(results: Sequence[Measurement]) -> str:
    """One line for each subject: time, convolutions, and the movement of each layer."""
    numbers = "".join(f"{i + 1:6}" for i in range(len(results[0].movement)))
    lines = [
        f"{'one batch':>49}       mean |change of the weights| / learning rate, in layer",
        f"  graph                                 ms  convolutions{numbers}     apart",
    ]
    for result in results:
        name = f"{result.subject.schedule:<5}  {result.subject.name}"
        movement = "".join(f"{value:6.1f}" for value in result.movement)
        head = f"  {name:<33} {1e3 * result.seconds:7.0f}  {result.convolutions:12}"
        lines.append(f"{head}{movement}  {result.apart:8.1e}")
    lines += [
        "",
        "apart: mean |difference| from the first line's weights, relative to their change, in the",
        "layer where it is largest. Rounding differs from run to run, and Adam enlarges it where",
        "gradients are small: two runs of the same graph differ by hundredths. In the scripts'",
        "graphs without optimisations the order of reads and assignments may differ, too, and with",
        "it how far a layer moves.",
    ]
    return "\n".join(lines)


def readings_as_text(found: Sequence[Reading], width: float) -> str:
    """One line for each iteration, and one for the worst of each candidate."""
    lines = [
        f"At width {width:g}: the logits of an iteration of the scripts' graph, against those of a",
        "forward pass through its weights; largest |difference|, relative to what the iteration's",
        "move of the weights changes in them.",
        "",
        "  graph  iteration   weights before   after   layer 1 before, others after",
    ]
    worst = {which: max(reading.apart[which] for reading in found) for which in CANDIDATES}
    rows = [(reading.schedule, str(reading.iteration), reading.apart) for reading in found]
    for schedule, iteration, apart in [*rows, ("all", "worst", worst)]:
        old, new, mixed = (apart[which] for which in CANDIDATES)
        lines.append(f"  {schedule:<5}  {iteration:>9}         {old:8.1e} {new:7.1e} {mixed:8.1e}")
    return "\n".join(lines)
