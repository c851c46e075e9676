"""What the benchmark times: matrix products, steps of every schedule, and batches on their way."""

import contextlib
import itertools
from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from unfair_bp.backprop.fast.choice import forms_of, name_of_choice
from unfair_bp.backprop.graph import build_graph, starting_weights
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.data.batches import (
    AUGMENTED_TOGETHER,
    Batch,
    clean_per_batch,
    prefetch,
    training_batches,
)
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import LayerSpec, forward_flops
from unfair_bp.experiment.cases import Case, schedule_of
from unfair_bp.measuring.autodiff import build_autodiff_graph
from unfair_bp.measuring.timing import Subject
from unfair_bp.running import sessions

LAPS = 9  # fair steps in a row; of what costs less, more laps, until they cost about the same
MATRIX_SIZES = (1024, 2048)  # rows and columns; 2 and 17 GFLOP a product
UNFAIR = ("back", "front")
PRODUCT, FORWARD, FAIR, AUTODIFF = "matrix product", "forward", "fair", "autodiff"


class Work(NamedTuple):
    """A subject, and the floating-point operations of each of its laps.

    After every ``period`` laps it does the same again; laps that do the same are measured together.
    """

    subject: Subject
    flops: Sequence[int]
    period: int = 1


class Bench:
    """A case's graph in a session of its own, with one batch of noise to run it on."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.graph = build_graph(case)
        self.session = tf.Session(graph=self.graph.graph, config=sessions.config(case))
        weights = starting_weights(case)
        self.session.run(self.graph.initializer, self.graph.start(weights))
        images, labels = noise(case, case.batch_size)
        self._batch = (np.float32(images / 255.0), labels)
        inputs = [self.graph.images, self.graph.labels]
        self.step = self.session.make_callable(
            [self.graph.outputs.costs, self.graph.outputs.predictions, self.graph.train], inputs
        )
        self._forward = self.session.make_callable(
            [self.graph.outputs.costs, self.graph.outputs.predictions], inputs
        )

    def train(self) -> None:
        """One iteration."""
        self.step(*self._batch)

    def forward(self) -> None:
        """The forward pass alone."""
        self._forward(*self._batch)


def noise(case: Case, images: int) -> Tuple[np.ndarray, np.ndarray]:
    """Random images uint8 ``[N, H, W, C]`` and labels ``[N]`` that fit the case's network."""
    random = np.random.RandomState(case.seed)
    shape = [images, *case.architecture.image_shape]
    return random.randint(0, 256, shape, dtype=np.uint8), random.randint(0, case.classes, images)


@contextlib.contextmanager
def steps(case: Case) -> Iterator[Dict[str, Work]]:
    """Matrix products, and the iterations of a case under every schedule, by name.

    Args:
        case: Width, batch size, threads; schedule and protocol are those of the subjects.
    """
    layers = case.layers
    fair = replace(case, schedule="fair", protocol="per-step", quirks=(), augment=False)
    with contextlib.ExitStack() as opened:

        def bench(**changes: Any) -> Bench:
            made = Bench(replace(fair, **changes))
            opened.callback(made.session.close)
            return made

        def laps(name: str, call: Callable[[], object], *flops: int) -> Work:
            # The first lap is slower than the rest: it must not weigh more than in fair steps.
            periods = max(1, round(LAPS * fair_flops / sum(flops)))
            count = periods * len(flops)
            batches = [case.batch_size * one for one in flops]
            return Work(Subject(name, [call] * count), batches * periods, len(flops))

        fair_flops = schedules.fair_step_flops(layers)
        works = _products(fair, opened)
        made = bench()
        works[FORWARD] = laps(FORWARD, made.forward, forward_flops(layers))
        works[FAIR] = laps(FAIR, made.train, fair_flops)
        works[AUTODIFF] = laps(AUTODIFF, _autodiff_step(fair, opened), fair_flops)
        for name in UNFAIR:
            made = bench(schedule=name)
            schedule = schedule_of(made.case)
            works[name] = laps(name, made.train, *schedule.row_flops(layers).tolist())
            cycle = bench(schedule=name, protocol="per-batch").train
            works[cycle_of(name)] = laps(cycle_of(name), cycle, schedule.cycle_flops(layers))
        yield works


def cycle_of(schedule: str) -> str:
    """Name of the subject that runs a whole cycle of a schedule on one batch."""
    return f"{schedule}, per batch"


def product_of(size: int) -> str:
    """Name of the subject that multiplies matrices of a size."""
    return f"{PRODUCT}, {size}"


def _products(case: Case, opened: contextlib.ExitStack) -> Dict[str, Work]:
    """Products of square matrices in float32."""
    works = {}
    with tf.Graph().as_default() as graph:
        operations = {}
        for size in MATRIX_SIZES:
            factors = [
                tf.get_variable(
                    f"factor_{size}_{side}",
                    initializer=tf.random_uniform([size, size]),
                    use_resource=True,
                )
                for side in (0, 1)
            ]
            operations[size] = tf.matmul(*(factor.read_value() for factor in factors)).op
        initializer = tf.global_variables_initializer()
    session = opened.enter_context(contextlib.closing(_session(graph, case)))
    session.run(initializer)
    for size, operation in operations.items():
        product = session.make_callable(operation)
        works[product_of(size)] = Work(
            Subject(product_of(size), [product] * LAPS), [2 * size**3] * LAPS
        )
    return works


def _autodiff_step(case: Case, opened: contextlib.ExitStack) -> Callable[[], object]:
    """One iteration of the network that TensorFlow trains by itself."""
    built = build_autodiff_graph(case)
    session = opened.enter_context(contextlib.closing(_session(built.train.graph, case)))
    session.run(built.initializer, built.start)
    images, labels = noise(case, case.batch_size)
    batch = (np.float32(images / 255.0), labels)
    iterate = session.make_callable(
        [built.outputs.costs, built.outputs.predictions, built.train], [built.images, built.labels]
    )
    return lambda: iterate(*batch)


def _session(graph: tf.Graph, case: Case) -> tf.Session:
    return tf.Session(graph=graph, config=sessions.config(case))


READY, AUGMENTED = "ready-made batches", "augmented batches"


@contextlib.contextmanager
def inputs(case: Case) -> Iterator[List[Subject]]:
    """Fair iterations on batches that are ready, and on batches that are augmented meanwhile.

    A lap is as many iterations as :func:`iterations_per_lap` says. Augmentation goes on from lap to
    lap, as in an epoch, which has thousands of iterations: no lap waits for a first batch.
    """
    case = replace(case, schedule="fair", protocol="per-step", quirks=(), augment=True)
    count = iterations_per_lap(case)
    images, labels = noise(case, count * clean_per_batch(case))
    bench = Bench(case)
    ready = list(training_batches(images, labels, case, epoch=0))
    epochs = (training_batches(images, labels, case, epoch) for epoch in itertools.count(1))
    augmented = prefetch(itertools.chain.from_iterable(epochs))

    def run(batches: Iterable[Batch]) -> None:
        for batch in batches:
            bench.step(batch.images, batch.labels)

    with contextlib.closing(bench.session), contextlib.closing(augmented):
        yield [
            Subject(READY, [lambda: run(ready)]),
            Subject(AUGMENTED, [lambda: run(itertools.islice(augmented, count))]),
        ]


def iterations_per_lap(case: Case) -> int:
    """Iterations for which images are augmented together: what a lap of :func:`inputs` takes."""
    return max(1, AUGMENTED_TOGETHER // (case.batch_size // 2))


FORM_LAPS = 3


class Form(NamedTuple):
    """A layer's convolution, or a derivative of it, in one of its forms."""

    layer: int  # from 1
    name: str  # forward, input_grad or param_grad
    form: str  # plain, library or Winograd
    chosen: bool  # is it the form that training uses here?


@contextlib.contextmanager
def forms(case: Case) -> Iterator[Dict[Form, Work]]:
    """Every convolution and derivative of every layer in every form, each alone and on noise."""
    works: Dict[Form, Work] = {}
    with contextlib.ExitStack() as opened:
        for number, layer in enumerate(case.layers, start=1):
            # In a graph of its own, since TensorFlow goes through all of a graph before it first
            # runs an operation of it.
            with tf.Graph().as_default() as graph:
                noise_of = _NoiseVariables(case.seed)
                images = [case.batch_size, layer.size, layer.size]
                x, dz = noise_of([*images, layer.inputs]), noise_of([*images, layer.outputs])
                w = noise_of(layer.weight_shape)
                operations = dict(_forms_of_layer(number, layer, x, w, dz))
                initializer = tf.global_variables_initializer()
            session = opened.enter_context(contextlib.closing(_session(graph, case)))
            session.run(initializer, noise_of.values)
            flops = case.batch_size * layer.flops
            for form, operation in operations.items():
                laps = [session.make_callable(operation)] * FORM_LAPS
                works[form] = Work(
                    Subject(f"{form.layer} {form.name} {form.form}", laps), [flops] * FORM_LAPS
                )
        yield works


def _forms_of_layer(
    number: int, layer: LayerSpec, x: tf.Tensor, w: tf.Tensor, dz: tf.Tensor
) -> Iterator[Tuple[Form, tf.Operation]]:
    """A layer's convolution and derivatives in every form, and the operation that ends each."""
    used = name_of_choice(layer)
    for form, convolution in forms_of(layer).items():
        z, cache = convolution.forward(x, w)
        yield Form(number, "forward", form, form == used), z.op
        dz_prepared = convolution.prepare_grad(dz, cache)
        if number > 1:  # nothing is below layer 1
            dx = convolution.input_grad(dz_prepared, cache)
            yield Form(number, "input_grad", form, form == used), dx.op
        dw = convolution.param_grad(dz_prepared, cache)
        yield Form(number, "param_grad", form, form == used), dw.op


class _NoiseVariables:
    """Makes variables that start from noise; ``values`` is what to feed to their initializers."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)
        self.values: Dict[tf.Tensor, np.ndarray] = {}

    def __call__(self, shape: Sequence[int]) -> tf.Tensor:
        """The value of a new variable."""
        start = tf.placeholder(tf.float32, shape)
        self.values[start] = self._random.standard_normal(shape).astype(np.float32)
        return tf.Variable(start, trainable=False, use_resource=True).read_value()
