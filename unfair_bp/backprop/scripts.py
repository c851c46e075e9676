"""The deviations of 2018's scripts in layers, loss and optimizer, each beside the correct rule.

Each class is a deviation in :mod:`unfair_bp.experiment.ledger` and inherits the right rule.
Nothing here is used unless a case asks for it by its quirks.
"""

from typing import Any, Callable, Collection, Sequence, Tuple

import numpy as np

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.graph_mode import cond, tf
from unfair_bp.backprop.layers import (
    AveragePool,
    Elu,
    GlobalAveragePool,
    SoftmaxCrossEntropy,
)
from unfair_bp.backprop.network import Rules
from unfair_bp.backprop.optimizers import Adam, AdamState, Factor
from unfair_bp.experiment.architecture import LayerSpec

SEED = 678  # of the graph, in the scripts of cases c to f


class DoubledSlopeElu(Elu):
    """ELU with the scripts' slope above zero, the quirk ``elu-slope``.

    Above zero they add the derivative meant for z <= 0, elu(0) + 1 = 1, to the correct 1.
    """

    def input_grad(self, dy: tf.Tensor, cache: tf.Tensor) -> tf.Tensor:
        """Return dz as the scripts did.

        scripts:   dz = dy * 2 for z > 0, dy * exp(z) for z <= 0
        calculus:  dz = dy * 1 for z > 0, dy * exp(z) for z <= 0
        """
        y = cache
        return super().input_grad(dy, cache) + dy * tf.cast(y > 0, dy.dtype)


class UndividedAveragePool(AveragePool):
    """The pool with the scripts' backward rule, the quirk ``pool-repeat``."""

    def input_grad(self, dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx as the scripts did.

        scripts:   dx[n, k i + a, k j + b, c] = dy[n, i, j, c]         for a, b in {0 ... k - 1}
        calculus:  dx[n, k i + a, k j + b, c] = dy[n, i, j, c] / k^2   for a, b in {0 ... k - 1}
        """
        return self.repeat(dy, cache)


class UndividedGlobalAveragePool(GlobalAveragePool):
    """The global pool with the scripts' backward rule, the quirk ``pool-repeat``."""

    def input_grad(self, dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx as the scripts did.

        scripts:   dx[n, i, j, c] = dy[n, c]
        calculus:  dx[n, i, j, c] = dy[n, c] / (H W)
        """
        return self.tile(dy, cache)


class SummedSoftmaxCrossEntropy(SoftmaxCrossEntropy):
    """Cross entropy with the scripts' derivative, the quirk ``sum-loss``."""

    def input_grad(self, cache: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return the derivative of the summed cost with respect to the logits, as the scripts did.

        scripts:   d sum(cost) / dy[n, k] = p[n, k] - t[n, k]
        calculus:  d mean(cost) / dy[n, k] = (p[n, k] - t[n, k]) / N
        """
        p, targets = cache
        return p - targets


class DoubleSoftmaxCrossEntropy(SoftmaxCrossEntropy):
    """The cost that the scripts logged, the quirk ``double-softmax-cost``.

    They gave the softmax's result to an operation that takes the softmax again. For ten classes
    it is never below log(e + 9) - 1 = 1.461. It is only reported; the gradient is of another cost.
    """

    def forward(
        self, logits: tf.Tensor, targets: tf.Tensor
    ) -> Tuple[tf.Tensor, Tuple[tf.Tensor, tf.Tensor]]:
        """Return the cost of each image as the scripts logged it.

        scripts:   cost[n] = cross entropy of softmax(softmax(y[n]))
        intent:    cost[n] = cross entropy of softmax(y[n])
        """
        _, (p, _) = super().forward(logits, targets)
        return super().forward(p, targets)


def rules_with(
    quirks: Collection[str], convolution: Callable[[LayerSpec], Convolution] = Rules().convolution
) -> Rules:
    """The rules of a network with the named deviations; exact calculus if there are none.

    Args:
        quirks: Names from :mod:`unfair_bp.experiment.ledger`.
        convolution: Gives each layer its form of the convolution; all forms are exact.
    """
    rules = Rules(convolution=convolution)
    if "elu-slope" in quirks:
        rules = rules._replace(activation=DoubledSlopeElu())
    if "pool-repeat" in quirks:
        rules = rules._replace(
            pool=UndividedAveragePool(2), global_pool=UndividedGlobalAveragePool()
        )
    if "sum-loss" in quirks:
        rules = rules._replace(loss=SummedSoftmaxCrossEntropy())
    if "double-softmax-cost" in quirks:
        rules = rules._replace(reported_cost=DoubleSoftmaxCrossEntropy())
    return rules


class ScriptsAdam(Adam):
    """Adam with the scripts' deviations, ``adam-constant`` and ``update-first``, or one of them.

    adam-constant:

    scripts:   m / (1 - beta1),     v / (1 - beta2)
    algorithm: m / (1 - beta1^t),   v / (1 - beta2^t)

    update-first: in the scripts' graph the new weights depend on w, m and v alone, not on the
    gradient. So TensorFlow can compute them at the start of an iteration, from the moments that the
    last gradient has left, and the gradient is then taken at the weights just moved:

    scripts:   w[t] = w[t-1] - step(m[t-1], v[t-1]);   g[t] at w[t];   m[t], v[t] from g[t]
    algorithm: g[t] at w[t-1];   m[t], v[t] from g[t];   w[t] = w[t-1] - step(m[t], v[t])

    That is so in layers 2 to 9. Layer 1's convolution waits for nothing but the images, so it
    starts at the same moment as the move, and reads the weights before it. The first step is zero,
    as m and v are.

    Nothing in the graph fixes this order. ``python -m unfair_bp.collapse`` measures it: of the 24
    iterations in ``logs/collapse``, 13 computed exactly so, one with all weights moved, the others
    with a mixture. This class always takes the order above.

    Args:
        constant: Whether the corrections are constant.
        moves_first: Whether the weights move at the start of an iteration.
        settings: Those of :class:`~unfair_bp.backprop.optimizers.Adam`, by name.
    """

    def __init__(self, *, constant: bool, moves_first: bool, **settings: float) -> None:
        super().__init__(**settings)
        self.constant = constant
        self.moves_first = moves_first

    def powers(self, t: tf.Tensor) -> Tuple[Any, Any]:
        """Return beta1^t and beta2^t, or those of a first update at every update."""
        return super().powers(tf.ones_like(t) if self.constant else t)

    def begin(
        self, states: Sequence[AdamState], weights: Sequence[tf.Tensor], updated: Sequence[Any]
    ) -> Tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        """Return layer 1's weights before the move and the others' after it; then all after."""
        if not self.moves_first:
            return super().begin(states, weights, updated)
        moved = [self._moved(*layer) for layer in zip(states, weights, updated)]
        return [weights[0], *moved[1:]], moved

    def _moved(self, state: AdamState, w: tf.Tensor, updated: Any) -> tf.Tensor:
        """The weights after the move, or as they are if the layer is not updated."""
        if isinstance(updated, np.bool_):
            return w - self._step(state) if updated else w
        return cond(updated, lambda: w - self._step(state), lambda: w)

    def _step(self, state: AdamState) -> tf.Tensor:
        """What Adam subtracts from the weights, by the moments as they are stored."""
        m, v = state.m.read_value(), state.v.read_value()
        # Before the first update m is zero, and so is the step, whatever its correction.
        t = tf.maximum(state.count.read_value(), 1)
        beta1_power, beta2_power = self.powers(tf.cast(t, m.dtype))
        root = tf.sqrt(1 - beta2_power)
        rate = self.learning_rate * root / (1 - beta1_power)
        return rate * m / (tf.sqrt(v) + self.epsilon * root)

    def update(
        self, state: AdamState, w: tf.Tensor, dw: tf.Tensor, factor: Factor = 1.0
    ) -> tf.Operation:
        """Store the moved weights, and let the gradient enter the moments."""
        if not self.moves_first:
            return super().update(state, w, dw, factor)
        with tf.control_dependencies([w]):  # the move has read what is assigned here
            m, v = state.m.read_value(), state.v.read_value()
            m_new = m + (1 - self.beta1) * (dw - m)
            v_new = v + (1 - self.beta2) * (tf.square(dw) - v)
            count = state.count.read_value() + 1
            return tf.group(
                state.w.assign(w, read_value=False),
                state.m.assign(m_new, read_value=False),
                state.v.assign(v_new, read_value=False),
                state.count.assign(count, read_value=False),
            )


def initial_weights_2018(layers: Sequence[LayerSpec]) -> Tuple[np.ndarray, ...]:
    """Draw the weights that the scripts of cases c to f started from.

    They set the graph's seed to 678 and made three variables for each layer, the first drawn by
    TensorFlow's own truncated normal, whose operation was numbered 3 + 21 i in layer i, counted
    from 0. Seed and number together give the same weights, bit for bit, on TensorFlow 1.8.0, 1.15.5
    and 2.21.0; versions differ in how they number operations, so the numbers are given here.

    Returns:
        One float32 array ``[k, k, inputs, outputs]`` for each layer.
    """
    with tf.Graph().as_default() as graph, tf.device("/cpu:0"):
        tf.set_random_seed(SEED)
        weights = [
            tf.random.truncated_normal(layer.weight_shape, stddev=layer.stddev, seed=3 + 21 * i)
            for i, layer in enumerate(layers)
        ]
        with tf.Session(graph=graph) as session:
            return tuple(session.run(weights))
