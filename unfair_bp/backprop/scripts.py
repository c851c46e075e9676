"""What the scripts of 2018 did otherwise when they started and updated a layer.

Their other deviations stand beside the rules that they deviate from: see :mod:`unfair_bp.quirks`.
"""

from typing import Any, Callable, Collection, Sequence, Tuple

import numpy as np

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.optimizers import Adam, LayerState
from unfair_bp.experiment.architecture import LayerSpec

SEED = 678  # of the graph, in the scripts of cases c to f


class ConstantlyCorrectedAdam(Adam):
    """Adam with the scripts' corrections, the quirk ``adam-constant``.

    scripts:   m / (1 - beta1),     v / (1 - beta2)
    algorithm: m / (1 - beta1^t),   v / (1 - beta2^t)
    """

    def powers(self, t: tf.Tensor) -> Tuple[Any, Any]:
        """Return beta1 and beta2: the corrections of a first update, at every update."""
        one = tf.ones_like(t)
        return self.beta1 * one, self.beta2 * one


def moving_first(adam: type) -> type:
    """An optimizer that moves the weights first, the quirk ``update-first``.

    In the scripts' graph the new weights depend on w, m and v alone, not on the gradient, so
    TensorFlow computes them at the start of an iteration: by the moments that the last gradient
    has left. The gradient is taken at the weights just moved.

    scripts:   w[t] = w[t-1] - step(m[t-1], v[t-1]),   then g[t] = gradient at w[t]
               m[t], v[t] from g[t]
    algorithm: g[t] = gradient at w[t-1],   m[t], v[t] from g[t]
               w[t] = w[t-1] - step(m[t], v[t])

    That is so in layers 2 to 9. Layer 1's convolution waits for nothing but the images, so it
    starts at the same moment as the move, and reads the weights before it.

    The first step is zero, as m and v are.

    Args:
        adam: :class:`unfair_bp.backprop.optimizers.Adam`, or one with other corrections.
    """

    class MovingFirst(adam):  # type: ignore[misc, valid-type]
        """The same optimizer, whose step is taken at the beginning of the next iteration."""

        moves_first = True

        def begin(
            self,
            variables: Sequence[LayerState],
            weights: Sequence[tf.Tensor],
            updated: Sequence[Any],
        ) -> Tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
            """Return layer 1's weights before the move and the others' after it; then all after."""
            moved = [self._moved(*layer) for layer in zip(variables, weights, updated)]
            return [weights[0], *moved[1:]], moved

        def _moved(self, variables: LayerState, w: tf.Tensor, updated: Any) -> tf.Tensor:
            """The weights after the move, or as they are if the layer is not updated."""
            if isinstance(updated, np.bool_):
                return w - self._step(variables) if updated else w
            return tf.cond(updated, lambda: w - self._step(variables), lambda: w)

        def _step(self, variables: LayerState) -> tf.Tensor:
            """What Adam subtracts from the weights, by the moments as they are stored."""
            m, v = variables.m.read_value(), variables.v.read_value()
            # Before the first update m is zero, and so is the step, whatever its correction.
            t = tf.maximum(variables.count.read_value(), 1)
            beta1_power, beta2_power = self.powers(tf.cast(t, m.dtype))
            root = tf.sqrt(1 - beta2_power)
            rate = self.learning_rate * root / (1 - beta1_power)
            return rate * m / (tf.sqrt(v) + self.epsilon * root)

        def update(self, variables: LayerState, w: tf.Tensor, dw: tf.Tensor) -> tf.Operation:
            """Store the moved weights, and let the gradient enter the moments."""
            with tf.control_dependencies([w]):  # the move has read what is assigned here
                m, v = variables.m.read_value(), variables.v.read_value()
                m_new = m + (1 - self.beta1) * (dw - m)
                v_new = v + (1 - self.beta2) * (tf.square(dw) - v)
                count = variables.count.read_value() + 1
                return tf.group(
                    variables.w.assign(w, read_value=False),
                    variables.m.assign(m_new, read_value=False),
                    variables.v.assign(v_new, read_value=False),
                    variables.count.assign(count, read_value=False),
                )

    return MovingFirst


def adam_with(quirks: Collection[str]) -> Callable[..., Adam]:
    """The optimizer's class with the named deviations, see :mod:`unfair_bp.quirks`."""
    adam = ConstantlyCorrectedAdam if "adam-constant" in quirks else Adam
    return moving_first(adam) if "update-first" in quirks else adam


def initial_weights_2018(layers: Sequence[LayerSpec]) -> Tuple[np.ndarray, ...]:
    """Draw the weights that the scripts of cases c to f started from.

    They set the graph's seed to 678 and made three variables for each layer, the first drawn by
    TensorFlow's own truncated normal, whose operation was numbered 3 + 21 i in layer i, counted
    from 0. Seed and number together give the same weights, bit for bit, on TensorFlow 1.8 to 2.21;
    versions differ in how they number operations, so the numbers are given here.

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
