"""Adam, applied to one layer at a time."""

from typing import Any, NamedTuple, Sequence, Tuple

from unfair_bp.backprop.graph_mode import tf


class LayerState(NamedTuple):
    """What training changes of one layer: resource variables, or their values.

    A layer that is skipped keeps all of it, bit for bit.
    """

    w: Any  # weights, [k, k, C, D]
    m: Any  # decaying mean of the gradient, [k, k, C, D]
    v: Any  # decaying mean of its square, [k, k, C, D]
    count: Any  # how often this layer has been updated, int64 scalar


def create_variables(start: tf.Tensor) -> LayerState:
    """Create a layer's variables: weights from ``start``, no mean, no square, never updated."""
    zeros = tf.zeros_like(start)
    values = LayerState(w=start, m=zeros, v=zeros, count=tf.zeros([], tf.int64))
    names = LayerState(w="weight", m="m", v="v", count="count")
    return LayerState(
        *(
            tf.get_variable(name, initializer=value, trainable=name == "weight", use_resource=True)
            for name, value in zip(names, values)
        )
    )


class Adam:
    """Adam with bias correction from each layer's own update count.

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    t counts the updates of this layer, not the iterations: the powers measure how far m and v
    still are from their zero start, and they move only when the layer is updated. TensorFlow's
    own Adam adds epsilon before the correction of v instead ("epsilon hat").

    Args:
        learning_rate: Step size.
        beta1: Decay of m, 0 <= beta1 < 1.
        beta2: Decay of v, 0 <= beta2 < 1.
        epsilon: Guard against division by zero.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
    """

    moves_first = False  # whether an iteration computes with weights that are not stored yet

    def __init__(
        self,
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.9,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon

    def powers(self, t: tf.Tensor) -> Tuple[Any, Any]:
        """Return what the bias corrections lack to 1 at the layer's update t: beta1^t, beta2^t."""
        return self.beta1**t, self.beta2**t

    def begin(
        self,
        variables: Sequence[LayerState],
        weights: Sequence[tf.Tensor],
        updated: Sequence[Any],
    ) -> Tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        """Return the weights that an iteration computes with, and those that it updates.

        Both are the weights as they were read; :mod:`unfair_bp.backprop.scripts` has another rule.

        Args:
            variables: Those of all layers.
            weights: Their weights, as they were read.
            updated: For each layer, whether this iteration updates it, a gate of the schedule.
        """
        del variables, updated
        return weights, weights

    def update(self, variables: LayerState, w: tf.Tensor, dw: tf.Tensor) -> tf.Operation:
        """Update a layer's variables.

        By TensorFlow's own operation, which does all of it in one pass over the arrays. It adds
        its epsilon before the correction of v, and so is given another one for each t:

            sqrt(1 - beta2^t) m / (1 - beta1^t) / (sqrt(v) + sqrt(1 - beta2^t) epsilon)

        is the fraction above.

        Args:
            variables: The layer's.
            w: The weights to update, from :meth:`begin`.
            dw: Derivative of the cost by the weights.
        """
        del w  # still the variable's value: nothing else assigns it
        t = variables.count.read_value() + 1
        beta1_power, beta2_power = self.powers(tf.cast(t, dw.dtype))
        return tf.group(
            tf.raw_ops.ResourceApplyAdam(
                var=variables.w.handle,
                m=variables.m.handle,
                v=variables.v.handle,
                beta1_power=beta1_power,
                beta2_power=beta2_power,
                lr=tf.constant(self.learning_rate, dw.dtype),
                beta1=tf.constant(self.beta1, dw.dtype),
                beta2=tf.constant(self.beta2, dw.dtype),
                epsilon=self.epsilon * tf.sqrt(1 - beta2_power),
                grad=dw,
            ),
            variables.count.assign(t, read_value=False),
        )
