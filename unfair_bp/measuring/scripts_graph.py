"""Graphs with the structure of the scripts of 2018, and this package's beside them.

:mod:`unfair_bp.collapse` says what that structure is.
"""

from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np

from unfair_bp.backprop.fast.library import LibraryConvolution
from unfair_bp.backprop.gates import gates_of
from unfair_bp.backprop.graph import build_graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.network import Network, Rules
from unfair_bp.backprop.scripts import rules_with
from unfair_bp.experiment import schedules
from unfair_bp.experiment.cases import Case


class Built(NamedTuple):
    """A graph to measure; ``train`` is to be run once for each batch."""

    images: Any  # placeholder
    labels: Any  # placeholder
    train: Any  # operation
    logits: Any  # [N, classes], of the first round
    weights: Sequence[Any]  # variables, one for each layer
    starts: Sequence[Any]  # placeholders of the initial weights
    initializer: Any  # operation
    first_feed: Dict[Any, float]  # to be fed along with the first batch


def countable_rules(case: Case) -> Rules:
    """The rules of the case's quirks, each convolution and derivative being one operation.

    The scripts, too, used the kernels of TensorFlow's library.
    """
    return rules_with(case.quirks, lambda layer: LibraryConvolution())


def scripts_graph(case: Case) -> Built:
    """The scripts' structure: every round of the schedule in one step, and no order among them.

    The layers' rules are those of the case's quirks; Adam is always the scripts'.

    Reads and assignments have no specified order. Usually a step is computed from the m and v that
    the last batch left. But it may also see a new m beside a v that is still zero, and then it is a
    million times too long. So the first batch is given a learning rate of 0, which in the usual
    order changes nothing.
    """
    specs = case.layers
    with tf.Graph().as_default():
        network = Network(specs, countable_rules(case))
        rate = tf.placeholder_with_default(case.learning_rate, [])
        images = tf.placeholder(tf.float32, [None, *case.architecture.image_shape])
        labels = tf.placeholder(tf.int64, [None])
        starts = [tf.placeholder(tf.float32, spec.weight_shape) for spec in specs]
        # Reference variables, TensorFlow's only kind in 2018.
        weights = [tf.Variable(start, use_resource=False) for start in starts]
        moments = [
            [tf.Variable(tf.zeros(spec.weight_shape), use_resource=False) for _ in "mv"]
            for spec in specs
        ]
        assigns: List[tf.Operation] = []

        def update(i: int, dw: tf.Tensor) -> tf.Operation:
            layer = _adam_assigns(case, rate, (weights[i], *moments[i]), dw)
            assigns.extend(layer)
            return tf.group(*layer)

        rounds = []
        table = schedules.parse(case.schedule, len(specs)).table
        for number, row in enumerate(table, start=1):
            with tf.name_scope(f"round_{number}"):
                logits, caches = network.forward(images, weights)
                rounds.append(logits)
                _, cache = network.loss.forward(logits, tf.one_hot(labels, case.classes))
                dlogits = network.loss.input_grad(cache)
                network.gated_backward(dlogits, caches, gates_of(row[np.newaxis]), update)
        return Built(
            images=images,
            labels=labels,
            train=tf.group(*assigns),
            logits=rounds[0],
            weights=weights,
            starts=starts,
            initializer=tf.global_variables_initializer(),
            first_feed={rate: 0.0},
        )


def _adam_assigns(case: Case, rate: Any, variables: Sequence[Any], dw: Any) -> List[tf.Operation]:
    """The scripts' Adam: constant corrections; whether a step sees the new m and v is undefined."""
    weight, m, v = variables
    step = rate * (m / (1 - case.beta1)) / ((v / (1 - case.beta2)) ** 0.5 + case.epsilon)
    return [
        m.assign(case.beta1 * m + (1 - case.beta1) * dw),
        v.assign(case.beta2 * v + (1 - case.beta2) * dw**2),
        weight.assign(weight - step),
    ]


def package_graph(case: Case) -> Built:
    """This package's graph of a whole cycle on one batch: a round sees the weights of the last."""
    built = build_graph(replace(case, protocol="per-batch"), countable_rules(case))
    return Built(
        images=built.images,
        labels=built.labels,
        train=built.train,
        logits=built.outputs.logits,
        weights=built.weights,
        starts=built.starts,
        initializer=built.initializer,
        first_feed={},
    )
