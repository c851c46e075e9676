"""The nine layers in order: the forward pass, and the backward chain that a schedule gates."""

from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

from unfair_bp.architecture import LayerSpec
from unfair_bp.graph_mode import tf
from unfair_bp.layers import (
    AveragePool2x2,
    Convolution,
    Elu,
    GlobalAveragePool,
    SoftmaxCrossEntropy,
)


class Rules(NamedTuple):
    """The classes of :mod:`unfair_bp.layers` that a network is made of, exact calculus by default.

    A deviation from calculus is another class with the same methods, put in one of these places.
    """

    convolution: Any = Convolution
    activation: Any = Elu
    pool: Any = AveragePool2x2
    global_pool: Any = GlobalAveragePool
    loss: Any = SoftmaxCrossEntropy


class Block:
    """A convolution, its activation, and the pooling that follows it, if any.

    z = x * w,   y = pool(elu(z))

    x [N, H, W, C], w [k, k, C, D], z [N, H, W, D]; y [N, H, W, D], [N, H/2, W/2, D] after a 2x2
    pool, or [N, D] after the global pool.
    """

    def __init__(self, convolution: Any, steps: Sequence[Any]) -> None:
        """``steps`` are what follows the convolution, in the order of the forward pass."""
        self.convolution = convolution
        self.steps = tuple(steps)

    def forward(self, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Any]:
        """Return y and the caches of the convolution and of the steps after it."""
        y, convolution_cache = self.convolution.forward(x, w)
        step_caches = []
        for step in self.steps:
            y, cache = step.forward(y)
            step_caches.append(cache)
        return y, (convolution_cache, step_caches)

    def pre_activation_grad(self, dy: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dz, which both the weight gradient and the input gradient start from."""
        _, step_caches = cache
        for step, step_cache in zip(reversed(self.steps), reversed(step_caches)):
            dy = step.input_grad(dy, step_cache)
        return dy

    def input_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dx."""
        return self.convolution.input_grad(dz, cache[0])

    def param_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dw."""
        return self.convolution.param_grad(dz, cache[0])


class Network:
    """The all-convolutional network: images in, logits out.

    Args:
        layers: The layers, first to last, see :mod:`unfair_bp.architecture`.
        rules: The classes to build them from.
    """

    def __init__(self, layers: Sequence[LayerSpec], rules: Rules = Rules()) -> None:  # noqa: B008
        self.loss = rules.loss
        self.blocks = []
        for layer in layers:
            pools = [rules.pool] if layer.pool else []
            self.blocks.append(Block(rules.convolution, [rules.activation, *pools]))
        self.blocks[-1] = Block(rules.convolution, [rules.activation, rules.global_pool])

    def forward(self, images: tf.Tensor, weights: Sequence[tf.Tensor]) -> Tuple[tf.Tensor, List]:
        """Run every layer once.

        Args:
            images: ``[N, H, W, 3]``.
            weights: One tensor for each layer, ``[k, k, C, D]``.

        Returns:
            The logits ``[N, classes]``, and one cache for each layer.
        """
        y, caches = images, []
        for i, (block, w) in enumerate(zip(self.blocks, weights)):
            with tf.name_scope("layer_%d" % (i + 1)):
                y, cache = block.forward(y, w)
            caches.append(cache)
        return y, caches

    def gated_backward(
        self,
        dlogits: tf.Tensor,
        caches: Sequence[Any],
        updated: tf.Tensor,
        update: Callable[[int, tf.Tensor], tf.Operation],
    ) -> tf.Operation:
        """Run the chain of gradients from the last layer down, as far as this iteration needs it.

        A layer's weight gradient and its update are created inside a ``tf.cond`` on ``updated``;
        everything below it inside a ``tf.cond`` on whether any lower layer is updated. TensorFlow
        runs an operation of a branch only if the branch is taken, so a chain that stops costs
        nothing below the place where it stops.

        Args:
            dlogits: Derivative of the cost by the logits, ``[N, classes]``.
            caches: What :meth:`forward` returned.
            updated: bool ``[layers]``, this iteration's row of the schedule.
            update: Given a layer's index (from 0) and its dw, returns the operation that updates
                the layer. It is called once for each layer, inside the layer's branch.

        Returns:
            The operation that runs the chain and the updates.
        """
        top = len(self.blocks) - 1
        with tf.name_scope("gates"):
            here = tf.unstack(updated)
            below = [tf.reduce_any(updated[:i]) for i in range(top + 1)]

        def chain(dy: tf.Tensor, i: int) -> tf.Operation:
            block, cache = self.blocks[i], caches[i]

            def update_here() -> tf.Operation:
                with tf.name_scope("param_grad"):
                    dw = block.param_grad(dz, cache)
                return update(i, dw)

            def go_below() -> tf.Operation:
                with tf.name_scope("input_grad"):
                    dx = block.input_grad(dz, cache)
                return chain(dx, i - 1)

            with tf.name_scope("layer_%d" % (i + 1)):
                with tf.name_scope("pre_activation_grad"):
                    dz = block.pre_activation_grad(dy, cache)
                steps = [tf.cond(here[i], update_here, tf.no_op)]
                if i > 0:
                    steps.append(tf.cond(below[i], go_below, tf.no_op))
                return tf.group(*steps)

        return chain(dlogits, top)
