"""Show why the published unfair runs were not unfair: their graphs collapsed into fair ones.

The scripts of 2018 put all nine rounds of a schedule into one graph that takes one batch: each
round has its own forward pass, its own backward chain and its own updates, but nothing says that
a round comes after the one before. All rounds read the same variables, so TensorFlow sees the same
expressions nine times, merges them, and computes one round.

This builds such graphs and runs them as they were run and again with TensorFlow's graph
optimisations switched off; beside them this package's ordered per-batch graphs. For each it counts
the convolutions that are executed, times a batch, and measures how far every layer has moved. A
collapsed graph does what the fair one does, at the fair one's cost.

Reads and assignments of the scripts' variables have no specified order. Usually every step is made
of the m and v that the last batch left: so the first batch moves nothing, and without optimisations
a layer takes the same step once for each of its updates, not a better one after each round. But a
step may also see a new m beside a v that is still zero, and be a million times too long. The first
batch is therefore given a learning rate of 0, which in the usual order changes nothing.

For example:

    python -m unfair_bp.collapse
    python -m unfair_bp.collapse --repeats 30 --png collapse.png
"""

import re
import sys
import time
from dataclasses import replace
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from unfair_bp import commandline, schedules
from unfair_bp.architecture import (
    CLASSES,
    IMAGE_CHANNELS,
    IMAGE_SIZE,
    LayerSpec,
    initial_weights,
    scaled,
)
from unfair_bp.cases import Case
from unfair_bp.data import shapes
from unfair_bp.data.batches import Batch, training_batches
from unfair_bp.errors import UsageError

# Operations that are convolutions, or matrix products in their place, under any of their names:
# optimised kernels for processors have a prefix, fused ones too.
CONVOLUTION = re.compile(r" = \w*(?:Conv2D|MatMul)\w*\(")


class Built(NamedTuple):
    """A graph to measure; ``train`` is to be run once for each batch."""

    images: Any  # placeholder
    labels: Any  # placeholder
    train: Any  # operation
    weights: Sequence[Any]  # variables, one for each layer
    starts: Sequence[Any]  # placeholders of the initial weights
    initializer: Any  # operation
    first_feed: Dict[Any, float]  # what to feed besides, with the first batch


class Subject(NamedTuple):
    """What is measured: a graph of a case, and how TensorFlow is to run it."""

    name: str
    schedule: str
    build: Callable[[Case], Built]
    optimised: bool = True


class Measurement(NamedTuple):
    """What one subject did."""

    subject: Subject
    seconds: float  # median time of a batch
    convolutions: int  # executed for a batch
    movement: Tuple[float, ...]  # mean |change| of each layer's weights, in learning rates
    apart: float  # from the first subject's weights, relative to how far those moved


def countable_rules(case: Case) -> Any:
    """The rules of the case's quirks, each convolution and derivative being one operation.

    That is also how the scripts had them: as the kernels of TensorFlow's library.
    """
    from unfair_bp.convolution import LibraryConvolution  # noqa: PLC0415 - --help answers at once
    from unfair_bp.network import rules_with  # noqa: PLC0415

    return rules_with(case.quirks)._replace(convolution=lambda layer: LibraryConvolution)


def scripts_graph(case: Case) -> Built:
    """The scripts' structure: every round of the schedule in one step, and no order among them.

    The layers' rules are those of the case's quirks; the scripts' Adam is always theirs.
    """
    from unfair_bp.graph_mode import tf  # noqa: PLC0415 - --help answers at once

    specs, rules = scaled(case.width), countable_rules(case)
    with tf.Graph().as_default():
        rate = tf.placeholder_with_default(case.learning_rate, [])
        images = tf.placeholder(tf.float32, [None, IMAGE_SIZE, IMAGE_SIZE, IMAGE_CHANNELS])
        labels = tf.placeholder(tf.int64, [None])
        starts = [tf.placeholder(tf.float32, spec.weight_shape) for spec in specs]
        # Reference variables, TensorFlow's only kind in 2018.
        weights = [tf.Variable(start, use_resource=False) for start in starts]
        moments = [
            [tf.Variable(tf.zeros(spec.weight_shape), use_resource=False) for _ in "mv"]
            for spec in specs
        ]
        assigns = []
        for number, row in enumerate(schedules.parse(case.schedule).table, start=1):
            with tf.name_scope("round_%d" % number):
                y, caches = _forward(rules, specs, images, weights)
                _, cache = rules.loss.forward(y, tf.one_hot(labels, CLASSES))
                dy = rules.loss.input_grad(cache)
                for i, dw in _weight_gradients(dy, caches, row):
                    assigns += _adam_assigns(case, rate, (weights[i], *moments[i]), dw)
        return Built(
            *(images, labels, tf.group(*assigns)),
            *(weights, starts, tf.global_variables_initializer(), {rate: 0.0}),
        )


def _forward(
    rules: Any, specs: Sequence[LayerSpec], y: Any, weights: Sequence[Any]
) -> Tuple[Any, List[Any]]:
    """One round's forward pass: the logits, and each layer's rules with their caches."""
    pools = {3: [rules.pool], 6: [rules.pool], 9: [rules.global_pool]}
    caches = []
    for number, (spec, w) in enumerate(zip(specs, weights), start=1):
        convolution = rules.convolution(spec)
        y, convolution_cache = convolution.forward(y, w)
        used = []
        for step in [rules.activation, *pools.get(number, [])]:
            y, cache = step.forward(y)
            used.append((step, cache))
        caches.append((convolution, convolution_cache, used))
    return y, caches


def _weight_gradients(dy: Any, caches: Sequence[Any], row: Sequence[bool]) -> List[Tuple[int, Any]]:
    """One round's backward chain, down to the lowest layer that the row updates."""
    gradients = []
    for i in range(len(caches) - 1, int(np.argmax(row)) - 1, -1):
        convolution, convolution_cache, used = caches[i]
        for step, cache in reversed(used):
            dy = step.input_grad(dy, cache)
        if row[i]:
            gradients.append((i, convolution.param_grad(dy, convolution_cache)))
        dy = convolution.input_grad(dy, convolution_cache)
    return gradients


def _adam_assigns(case: Case, rate: Any, variables: Sequence[Any], dw: Any) -> List[Any]:
    """The scripts' Adam: constant corrections, and nothing says whose m and v the weights see."""
    weight, m, v = variables
    step = rate * (m / (1 - case.beta1)) / ((v / (1 - case.beta2)) ** 0.5 + case.epsilon)
    return [
        m.assign(case.beta1 * m + (1 - case.beta1) * dw),
        v.assign(case.beta2 * v + (1 - case.beta2) * dw**2),
        weight.assign(weight - step),
    ]


def package_graph(case: Case) -> Built:
    """This package's graph of a whole cycle on one batch, each round seeing the last one's."""
    from unfair_bp.graph import build_graph  # noqa: PLC0415 - --help answers at once

    built = build_graph(replace(case, protocol="per-batch"), countable_rules(case))
    return Built(
        *(built.images, built.labels, built.train),
        *(built.weights, built.starts, built.initializer, {}),
    )


NAMES = ("fair", "back", "front")
SUBJECTS = (
    *(Subject("scripts", name, scripts_graph) for name in NAMES),
    *(Subject("scripts, optimisations off", name, scripts_graph, False) for name in NAMES),
    *(Subject("ordered", name, package_graph) for name in NAMES[1:]),
)


class Bench:
    """A subject in a session of its own."""

    def __init__(self, subject: Subject, case: Case) -> None:
        from unfair_bp import sessions  # noqa: PLC0415 - --help answers at once
        from unfair_bp.graph_mode import tf  # noqa: PLC0415

        case = replace(case, schedule=subject.schedule)
        self.subject = subject
        self.built = subject.build(case)
        self.traced = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        self.new_metadata = tf.RunMetadata
        settings = sessions.config(case)
        if not subject.optimised:
            settings.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
            settings.graph_options.rewrite_options.disable_meta_optimizer = True
        self.session = tf.Session(graph=self.built.train.graph, config=settings)
        start = initial_weights(scaled(case.width), case.seed)
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
        metadata = self.new_metadata()
        self.session.run(self.built.train, feed, self.traced, metadata)
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
    from unfair_bp.progress import progress_bar  # noqa: PLC0415 - --help answers at once

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
    start = initial_weights(scaled(case.width), case.seed)
    results = []
    for i, bench in enumerate(benches):
        bench.session.close()
        movement = tuple(mean_changes(weights[i], start) / case.learning_rate)
        apart = max(mean_changes(weights[i], weights[0]) / mean_changes(weights[0], start))
        median = float(np.median(seconds[i]))
        results.append(Measurement(bench.subject, median, convolutions[i], movement, float(apart)))
    return results


def as_text(results: Sequence[Measurement]) -> str:
    """One line for each subject: time, convolutions, and movement of layers 1 to 9."""
    numbers = "".join("%6d" % (i + 1) for i in range(len(results[0].movement)))
    lines = [
        "%49s       mean |change of the weights| / learning rate, in layer" % "one batch",
        "  graph                                 ms  convolutions" + numbers + "     apart",
    ]
    for result in results:
        name = "%-5s  %s" % (result.subject.schedule, result.subject.name)
        movement = "".join("%6.1f" % value for value in result.movement)
        head = "  %-33s %7.0f  %12d" % (name, 1e3 * result.seconds, result.convolutions)
        lines.append("%s%s  %8.1e" % (head, movement, result.apart))
    lines += [
        "",
        "apart: mean |difference| from the first line's weights, relative to their change, in the",
        "layer where it is largest. Rounding differs from run to run, and Adam enlarges it where",
        "gradients are small: two runs of one graph are hundredths apart.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table and, if asked, draw it; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.collapse", description=__doc__)
    parser.set_defaults(case="a", width=0.25)
    commandline.add_fields(parser, ["width", "batch_size"])
    parser.add_argument("--iterations", type=int, default=6, metavar="INT", help="batches (6)")
    parser.add_argument("--repeats", type=int, default=10, metavar="INT", help="timed batches (10)")
    parser.add_argument(
        "--png",
        type=commandline.path,
        metavar="FILE",
        help="also draw the result into this new file",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    options = parser.parse_args(arguments)
    for option, value in (("--iterations", options.iterations), ("--repeats", options.repeats)):
        if value < 1:
            raise UsageError("%s %d is out of range; give at least 1" % (option, value))
    case = commandline.resolve_case(options)

    from unfair_bp.figures import style  # noqa: PLC0415 - --help answers at once
    from unfair_bp.figures.collapse import collapse_figure  # noqa: PLC0415
    from unfair_bp.graph_mode import tf  # noqa: PLC0415

    if options.png is not None:
        style.check_picture(options.png, options.overwrite)  # before minutes of work

    results = measure(case, options.iterations, options.repeats)
    settings = (tf.version.VERSION, case.width, case.batch_size, options.iterations)
    heading = "TensorFlow %s, width %g, batches of %d, change after %d of them" % settings
    print("%s\n\n%s" % (heading, as_text(results)))
    if options.png is not None:
        figure = collapse_figure(results, heading)
        style.save(figure, options.png, options.overwrite)
        print("wrote %s" % options.png)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
