"""The same network trained by TensorFlow itself: what the hand-written step is compared with.

This is the one module in which TensorFlow derives anything; only the benchmark uses it.
"""

from typing import Any, Dict, NamedTuple

from unfair_bp.backprop.graph import Outputs, starting_weights
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.experiment.cases import Case


class AutodiffGraph(NamedTuple):
    """Tensors and operations; run them in a session on ``train.graph``."""

    images: tf.Tensor  # placeholder, [N, H, W, C], values 0..1
    labels: tf.Tensor  # placeholder, int64 [N]
    outputs: Outputs
    train: tf.Operation  # one iteration that updates every layer
    weights: Any  # variables, one for each layer
    initializer: tf.Operation
    start: Dict[tf.Tensor, Any]  # what to feed to the initializer


def build_autodiff_graph(case: Case, dtype: tf.DType = tf.float32) -> AutodiffGraph:
    """Build a fair step of a case with ``tf.gradients`` and TensorFlow's Adam.

    It uses TensorFlow's own layers, loss and optimizer throughout.

    Args:
        case: Width, optimizer's settings and seed; its schedule does not matter.
        dtype: float32, or float64 to check the mathematics.
    """
    specs = case.layers
    with tf.Graph().as_default():
        images = tf.placeholder(dtype, [None, *case.architecture.image_shape], "images")
        labels = tf.placeholder(tf.int64, [None], "labels")
        starts = [tf.placeholder(dtype, spec.weight_shape) for spec in specs]
        weights = [
            tf.get_variable(f"weight_{number}", initializer=start, use_resource=True)
            for number, start in enumerate(starts, start=1)
        ]
        y = images
        for spec, w in zip(specs, weights):
            y = tf.nn.elu(tf.nn.conv2d(y, w, strides=[1, 1, 1, 1], padding="SAME"))
            if spec.pool:
                y = tf.nn.avg_pool2d(y, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
        logits = tf.reduce_mean(y, axis=[1, 2])
        costs = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        adam = tf.train.AdamOptimizer(case.learning_rate, case.beta1, case.beta2, case.epsilon)
        gradients = tf.gradients(tf.reduce_mean(costs), weights)
        return AutodiffGraph(
            images=images,
            labels=labels,
            outputs=Outputs(logits, tf.argmax(logits, axis=1), costs),
            train=adam.apply_gradients(list(zip(gradients, weights))),
            weights=weights,
            initializer=tf.global_variables_initializer(),
            start=dict(zip(starts, starting_weights(case))),
        )
