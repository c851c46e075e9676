"""Adam, applied to one layer at a time."""

from typing import NamedTuple

from unfair_bp.graph_mode import tf


class AdamState(NamedTuple):
    """What Adam remembers of one layer, as resource variables.

    A layer that is skipped keeps all of it, bit for bit.
    """

    m: tf.Variable  # decaying mean of the gradient, shape of the weights
    v: tf.Variable  # decaying mean of its square, shape of the weights
    count: tf.Variable  # how often this layer has been updated, int64 scalar


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

    def __init__(
        self, learning_rate: float, beta1: float = 0.9, beta2: float = 0.9, epsilon: float = 1e-8
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon

    @staticmethod
    def create_state(weight: tf.Variable) -> AdamState:
        """Create the variables for a layer: no mean, no square, never updated."""
        shape, dtype = weight.shape, weight.dtype.base_dtype
        zeros = tf.zeros_initializer()
        return AdamState(
            m=tf.get_variable("m", shape, dtype, zeros, trainable=False, use_resource=True),
            v=tf.get_variable("v", shape, dtype, zeros, trainable=False, use_resource=True),
            count=tf.get_variable("count", [], tf.int64, zeros, trainable=False, use_resource=True),
        )

    def apply(
        self, weight: tf.Variable, w: tf.Tensor, state: AdamState, dw: tf.Tensor
    ) -> tf.Operation:
        """Update one layer.

        Args:
            weight: The layer's variable.
            w: Its value, as read at the start of the iteration.
            state: The layer's state.
            dw: Derivative of the cost by w.

        Returns:
            The operation that assigns the weights, m, v and the count.
        """
        count = state.count.read_value() + 1
        t = tf.cast(count, w.dtype)
        m = self.beta1 * state.m.read_value() + (1 - self.beta1) * dw
        v = self.beta2 * state.v.read_value() + (1 - self.beta2) * tf.square(dw)
        m_corrected = m / (1 - self.beta1**t)
        v_corrected = v / (1 - self.beta2**t)
        step = self.learning_rate * m_corrected / (tf.sqrt(v_corrected) + self.epsilon)
        return tf.group(
            weight.assign(w - step, read_value=False),
            state.m.assign(m, read_value=False),
            state.v.assign(v, read_value=False),
            state.count.assign(count, read_value=False),
        )
