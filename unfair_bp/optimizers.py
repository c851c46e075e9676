"""Adam, applied to one layer at a time."""

from typing import Any, Callable, Collection, NamedTuple, Tuple

from unfair_bp.graph_mode import tf

Pair = Tuple[tf.Tensor, tf.Tensor]


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


def assign(variables: LayerState, values: LayerState) -> tf.Operation:
    """Assign a layer's variables."""
    return tf.group(
        *(variable.assign(value, read_value=False) for variable, value in zip(variables, values))
    )


def bias_corrections(beta1: float, beta2: float, t: tf.Tensor) -> Pair:
    """How far m and v are from their zero start after t updates: 1 - beta1^t and 1 - beta2^t."""
    return 1 - beta1**t, 1 - beta2**t


def constant_corrections(beta1: float, beta2: float, t: tf.Tensor) -> Pair:
    """The scripts' corrections, the quirk ``adam-constant``; t does not matter.

    scripts:   1 - beta1,     1 - beta2
    algorithm: 1 - beta1^t,   1 - beta2^t
    """
    one = tf.ones_like(t)
    return (1 - beta1) * one, (1 - beta2) * one


def current_moments(before: Pair, after: Pair) -> Pair:
    """The moments that move the weights: those that this gradient has entered."""
    del before
    return after


def stale_moments(before: Pair, after: Pair) -> Pair:
    """The moments that move the weights in the scripts, the quirk ``stale-moments``.

    Nothing ordered their weight update after the assignment of m and v, and it came before: the
    weights move by the moments of the update before, and not at all on the first.

    scripts:   w[t] = w[t-1] - step(m[t-1], v[t-1])
    algorithm: w[t] = w[t-1] - step(m[t], v[t])
    """
    del after
    return before


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
        quirks: Names of deviations, see :mod:`unfair_bp.quirks`.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.9,
        epsilon: float = 1e-8,
        quirks: Collection[str] = (),
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self._quirky = not {"adam-constant", "stale-moments"}.isdisjoint(quirks)
        self._corrections: Callable[[float, float, tf.Tensor], Pair] = (
            constant_corrections if "adam-constant" in quirks else bias_corrections
        )
        self._moments: Callable[[Pair, Pair], Pair] = (
            stale_moments if "stale-moments" in quirks else current_moments
        )

    def step(self, layer: LayerState, dw: tf.Tensor) -> LayerState:
        """Return what an update makes of a layer; assigns nothing.

        Args:
            layer: The values before.
            dw: Derivative of the cost by the weights.
        """
        count = layer.count + 1
        m = layer.m + (1 - self.beta1) * (dw - layer.m)
        v = layer.v + (1 - self.beta2) * (tf.square(dw) - layer.v)
        m_used, v_used = self._moments((layer.m, layer.v), (m, v))
        m_correction, v_correction = self._corrections(
            self.beta1, self.beta2, tf.cast(count, dw.dtype)
        )
        # Both corrections are scalars: taken out of the fraction, they cost no pass over an array.
        root = tf.sqrt(v_correction)
        rate = self.learning_rate * root / m_correction
        w = layer.w - rate * m_used / (tf.sqrt(v_used) + self.epsilon * root)
        return LayerState(w, m, v, count)

    def update(self, variables: LayerState, w: tf.Tensor, dw: tf.Tensor) -> tf.Operation:
        """Update a layer's variables.

        Without quirks by TensorFlow's own operation, which does in one pass over the arrays what
        :meth:`step` does in twelve. It adds its epsilon before the correction of v, and so is
        given another one for each t:

            sqrt(1 - beta2^t) m / (1 - beta1^t) / (sqrt(v) + sqrt(1 - beta2^t) epsilon)

        is the fraction of :meth:`step`.

        Args:
            variables: The layer's.
            w: The weights that dw belongs to, as they were read.
            dw: Derivative of the cost by the weights.
        """
        _, m, v, count = variables
        t = count.read_value() + 1
        if self._quirky:
            before = LayerState(w, m.read_value(), v.read_value(), t - 1)
            return assign(variables, self.step(before, dw))
        beta1_power, beta2_power = (
            beta ** tf.cast(t, dw.dtype) for beta in (self.beta1, self.beta2)
        )
        return tf.group(
            tf.raw_ops.ResourceApplyAdam(
                var=variables.w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta1_power,
                beta2_power=beta2_power,
                lr=tf.constant(self.learning_rate, dw.dtype),
                beta1=tf.constant(self.beta1, dw.dtype),
                beta2=tf.constant(self.beta2, dw.dtype),
                epsilon=self.epsilon * tf.sqrt(1 - beta2_power),
                grad=dw,
            ),
            count.assign(t, read_value=False),
        )
