"""From a case to a TensorFlow graph: one iteration of training, and the forward pass alone."""

from typing import Dict, NamedTuple, Sequence, Tuple

import numpy as np

from unfair_bp import schedules
from unfair_bp.architecture import CLASSES, IMAGE_CHANNELS, IMAGE_SIZE, scaled
from unfair_bp.cases import Case
from unfair_bp.graph_mode import tf
from unfair_bp.network import Network, Rules
from unfair_bp.optimizers import Adam, AdamState


class Graph(NamedTuple):
    """Tensors and operations of a case; run them in a session on ``graph``."""

    graph: tf.Graph
    images: tf.Tensor  # placeholder, [N, 32, 32, 3], values 0..1
    labels: tf.Tensor  # placeholder, int64 [N], 0..9
    logits: tf.Tensor  # [N, 10]
    predictions: tf.Tensor  # int64 [N], the class with the largest logit
    costs: tf.Tensor  # [N], cross entropy of each image
    train: tf.Operation  # one iteration; costs fetched beside it are those before the update
    step: tf.Variable  # int64, iterations so far
    weights: Tuple[tf.Variable, ...]
    states: Tuple[AdamState, ...]
    starts: Tuple[tf.Tensor, ...]  # placeholders of the initial weights
    initializer: tf.Operation

    def start(self, weights: Sequence[np.ndarray]) -> Dict[tf.Tensor, np.ndarray]:
        """What to feed to ``initializer`` so that training starts from these weights."""
        return dict(zip(self.starts, weights))


def build_graph(case: Case, rules: Rules = Rules(), dtype: tf.DType = tf.float32) -> Graph:  # noqa: B008
    """Build the static graph of a case.

    An iteration reads every weight once, runs the forward pass, and lets the row
    ``floormod(step, period)`` of the schedule gate the backward chain and the updates. Every
    update hangs on the logits and so comes after every read; the step advances after all updates.

    Args:
        case: What to run.
        rules: The classes that the layers are made of.
        dtype: float32, or float64 to check the mathematics.
    """
    layers = scaled(case.width)
    schedule = schedules.parse(case.schedule, len(layers))
    network = Network(layers, rules)
    adam = Adam(case.learning_rate, case.beta1, case.beta2, case.epsilon)
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(dtype, [None, IMAGE_SIZE, IMAGE_SIZE, IMAGE_CHANNELS], "images")
        labels = tf.placeholder(tf.int64, [None], "labels")
        step = tf.get_variable(
            "step", [], tf.int64, tf.zeros_initializer(), trainable=False, use_resource=True
        )
        starts, weights, states = [], [], []
        for number, layer in enumerate(layers, start=1):
            with tf.variable_scope("layer_%d" % number):
                start = tf.placeholder(dtype, layer.weight_shape, "start")
                weight = tf.get_variable("weight", initializer=start, use_resource=True)
                starts.append(start)
                weights.append(weight)
                states.append(adam.create_state(weight))

        with tf.name_scope("forward"):
            reads = [weight.read_value() for weight in weights]
            logits, caches = network.forward(images, reads)
            with tf.name_scope("loss"):
                targets = tf.one_hot(labels, CLASSES, dtype=dtype)
                costs, loss_cache = network.loss.forward(logits, targets)

        def update(i: int, dw: tf.Tensor) -> tf.Operation:
            with tf.name_scope("update"):
                return adam.apply(weights[i], reads[i], states[i], dw)

        with tf.name_scope("schedule"):
            table = tf.constant(schedule.table, name="table")
            updated = tf.gather(table, tf.floormod(step.read_value(), schedule.period))
        with tf.name_scope("backward"):
            with tf.name_scope("loss"):
                dlogits = network.loss.input_grad(loss_cache)
            updates = network.gated_backward(dlogits, caches, updated, update)
        with tf.control_dependencies([updates]):
            train = step.assign_add(1, read_value=False)

        return Graph(
            graph=graph,
            images=images,
            labels=labels,
            logits=logits,
            predictions=tf.argmax(logits, axis=1),
            costs=costs,
            train=train,
            step=step,
            weights=tuple(weights),
            states=tuple(states),
            starts=tuple(starts),
            initializer=tf.global_variables_initializer(),
        )
