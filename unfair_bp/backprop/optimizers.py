"""Optimizers, applied to one layer at a time.

A layer that is skipped keeps its whole state, bit for bit. The schedule decides whether that state
is reset when the layer is updated again.
"""

import abc
from typing import Any, NamedTuple, Sequence, Tuple, Union

from unfair_bp.backprop.graph_mode import tf

# Of the learning rate: a number, or a scalar tensor where it differs between iterations.
Factor = Union[float, tf.Tensor]


class Optimizer(abc.ABC):
    """How a gradient changes a layer.

    A state is a named tuple of resource variables. Among them are ``w``, the weights, and
    ``count``, how often the layer has been updated since the state was zero; the rest is the
    optimizer's own.
    """

    learning_rate: float
    moves_first = False  # does an iteration move the weights before it takes the gradient?

    @abc.abstractmethod
    def create(self, start: tf.Tensor) -> Any:
        """Create a layer's state: weights from ``start``, before the first update."""

    @abc.abstractmethod
    def update(self, state: Any, w: tf.Tensor, dw: tf.Tensor, factor: Factor = 1.0) -> tf.Operation:
        """Return the operation that updates a layer.

        Args:
            state: The layer's state.
            w: ``[k, k, C, D]``, the weights to start from, as :meth:`begin` returned them; only an
                optimizer that ``moves_first`` uses them.
            dw: ``[k, k, C, D]``, derivative of the batch's mean cost with respect to the weights.
            factor: What to multiply the learning rate by.
        """

    def restart(self, state: Any) -> tf.Operation:
        """Return the operation that forgets all that a layer's state holds besides the weights."""
        forgotten = (variable for name, variable in state._asdict().items() if name != "w")
        return tf.group(
            *[variable.assign(tf.zeros_like(variable), read_value=False) for variable in forgotten]
        )

    def rate(self, factor: Factor, dtype: tf.DType) -> tf.Tensor:
        """Return the learning rate of one update."""
        rate = self.learning_rate * factor
        return tf.cast(rate, dtype) if isinstance(rate, tf.Tensor) else tf.constant(rate, dtype)

    def begin(
        self, states: Sequence[Any], weights: Sequence[tf.Tensor], updated: Sequence[Any]
    ) -> Tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        """Return the weights that an iteration computes with, and those that it updates.

        Both are the weights as they were read; :mod:`unfair_bp.backprop.scripts` has another rule.

        Args:
            states: Those of all layers.
            weights: Their weights, as they were read.
            updated: For each layer, whether this iteration updates it: a gate of the schedule.
        """
        return weights, weights


def _variable(name: str, start: tf.Tensor) -> tf.Variable:
    return tf.get_variable(name, initializer=start, trainable=name == "weight", use_resource=True)


class AdamState(NamedTuple):
    """What Adam keeps of a layer."""

    w: Any  # weights, [k, k, C, D]
    m: Any  # decaying mean of the gradient, [k, k, C, D]
    v: Any  # decaying mean of its square, [k, k, C, D]
    count: Any  # how often the layer has been updated since m and v were zero, int64 scalar


class Adam(Optimizer):
    """Adam with bias correction from each layer's own update count; g is dw.

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    t counts the updates of this layer, not the iterations: beta^t is the share that the zero
    start still has in m and v, and it moves only when the layer is updated. TensorFlow's
    own Adam adds epsilon before the correction of v instead ("epsilon hat").

    Args:
        learning_rate: Step size.
        beta1: Decay of m, 0 <= beta1 < 1.
        beta2: Decay of v, 0 <= beta2 < 1.
        epsilon: Guard against division by zero.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
    """

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

    def create(self, start: tf.Tensor) -> AdamState:
        """Create a layer's state: no mean, no square, never updated."""
        return AdamState(
            w=_variable("weight", start),
            m=_variable("m", tf.zeros_like(start)),
            v=_variable("v", tf.zeros_like(start)),
            count=_variable("count", tf.zeros([], tf.int64)),
        )

    def powers(self, t: tf.Tensor) -> Tuple[Any, Any]:
        """Return beta1^t and beta2^t; the corrections are 1 minus these."""
        return self.beta1**t, self.beta2**t

    def update(
        self, state: AdamState, w: tf.Tensor, dw: tf.Tensor, factor: Factor = 1.0
    ) -> tf.Operation:
        """Update a layer.

        By TensorFlow's own operation, which does all of it in one pass over the arrays. It adds
        its epsilon before the correction of v, and so is given another one for each t:

            sqrt(1 - beta2^t) m / (1 - beta1^t) / (sqrt(v) + sqrt(1 - beta2^t) epsilon)

        is the fraction above.
        """
        t = state.count.read_value() + 1
        beta1_power, beta2_power = self.powers(tf.cast(t, dw.dtype))
        return tf.group(
            tf.raw_ops.ResourceApplyAdam(
                var=state.w.handle,
                m=state.m.handle,
                v=state.v.handle,
                beta1_power=beta1_power,
                beta2_power=beta2_power,
                lr=self.rate(factor, dw.dtype),
                beta1=tf.constant(self.beta1, dw.dtype),
                beta2=tf.constant(self.beta2, dw.dtype),
                epsilon=self.epsilon * tf.sqrt(1 - beta2_power),
                grad=dw,
            ),
            state.count.assign(t, read_value=False),
        )


class SgdState(NamedTuple):
    """What stochastic gradient descent keeps of a layer."""

    w: Any  # weights, [k, k, C, D]
    a: Any  # accumulated gradient, [k, k, C, D]
    count: Any  # how often the layer has been updated since a was zero, int64 scalar


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum, or with Nesterov's; g is dw.

    a <- momentum a + g
    w <- w - learning_rate a                     momentum
    w <- w - learning_rate (g + momentum a)      Nesterov's

    As in TensorFlow, the learning rate multiplies a when a is used, not when g enters it: the
    references' method as long as the rate is constant.

    Args:
        learning_rate: Step size.
        momentum: Decay of a, 0 <= momentum < 1.
        nesterov: Whether to look ahead along a.

    Reference: Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum
    in deep learning, 2013; Nesterov's in the variables of Bengio, Boulanger-Lewandowski and
    Pascanu, Advances in optimizing recurrent networks, 2013.
    """

    def __init__(self, learning_rate: float, momentum: float = 0.9, nesterov: bool = False) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov

    def create(self, start: tf.Tensor) -> SgdState:
        """Create a layer's state: nothing accumulated, never updated."""
        return SgdState(
            w=_variable("weight", start),
            a=_variable("a", tf.zeros_like(start)),
            count=_variable("count", tf.zeros([], tf.int64)),
        )

    def update(
        self, state: SgdState, w: tf.Tensor, dw: tf.Tensor, factor: Factor = 1.0
    ) -> tf.Operation:
        """Update a layer by TensorFlow's own operation, in one pass over the arrays."""
        return tf.group(
            tf.raw_ops.ResourceApplyMomentum(
                var=state.w.handle,
                accum=state.a.handle,
                lr=self.rate(factor, dw.dtype),
                grad=dw,
                momentum=tf.constant(self.momentum, dw.dtype),
                use_nesterov=self.nesterov,
            ),
            state.count.assign(state.count.read_value() + 1, read_value=False),
        )
