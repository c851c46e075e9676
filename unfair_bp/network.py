"""The nine layers in order: the forward pass, and the backward chain that a schedule gates."""

from typing import Any, Callable, Collection, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from unfair_bp.architecture import LayerSpec
from unfair_bp.graph_mode import tf
from unfair_bp.layers import (
    AveragePool2x2,
    AveragePool2x2Undivided,
    Convolution,
    DoubleSoftmaxCrossEntropy,
    Elu,
    EluDoubledSlope,
    GlobalAveragePool,
    GlobalAveragePoolUndivided,
    SoftmaxCrossEntropy,
    SummedSoftmaxCrossEntropy,
)


class Rules(NamedTuple):
    """The classes of :mod:`unfair_bp.layers` that a network is made of, exact calculus by default.

    A deviation from calculus is a subclass of one of these, put in its place.
    """

    convolution: Any = Convolution
    activation: Any = Elu
    pool: Any = AveragePool2x2
    global_pool: Any = GlobalAveragePool
    loss: Any = SoftmaxCrossEntropy
    reported_cost: Any = SoftmaxCrossEntropy  # its forward rule alone


def rules_with(quirks: Collection[str]) -> Rules:
    """The rules with the named deviations, see :mod:`unfair_bp.quirks`."""
    rules = Rules()
    if "elu-slope" in quirks:
        rules = rules._replace(activation=EluDoubledSlope)
    if "pool-repeat" in quirks:
        rules = rules._replace(pool=AveragePool2x2Undivided, global_pool=GlobalAveragePoolUndivided)
    if "sum-loss" in quirks:
        rules = rules._replace(loss=SummedSoftmaxCrossEntropy)
    if "double-softmax-cost" in quirks:
        rules = rules._replace(reported_cost=DoubleSoftmaxCrossEntropy)
    return rules


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

    @staticmethod
    def input_of(cache: Any) -> tf.Tensor:
        """Return x, which the convolution's derivative needs and therefore keeps."""
        (x, _), _ = cache
        return x

    def pre_activation_grad(self, dy: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dz, which both the weight gradient and the input gradient start from."""
        _, step_caches = cache
        for step, step_cache in zip(reversed(self.steps), reversed(step_caches)):
            dy = step.input_grad(dy, step_cache)
        return dy

    def input_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dx, given dz from :meth:`pre_activation_grad`."""
        return self.convolution.input_grad(dz, cache[0])

    def param_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dw, given dz from :meth:`pre_activation_grad`."""
        return self.convolution.param_grad(dz, cache[0])


class Network:
    """The all-convolutional network: images in, logits out.

    Args:
        layers: The layers, first to last, see :mod:`unfair_bp.architecture`.
        rules: The classes to build them from.
    """

    def __init__(self, layers: Sequence[LayerSpec], rules: Rules = Rules()) -> None:  # noqa: B008
        self.loss = rules.loss
        self.reported_cost = rules.reported_cost
        self.blocks = []
        for layer in layers:
            pools = [rules.pool] if layer.pool else []
            self.blocks.append(Block(rules.convolution, [rules.activation, *pools]))
        # The last layer's pool is over the whole image: logits are means of its ELU.
        self.blocks[-1] = Block(rules.convolution, [rules.activation, rules.global_pool])

    def forward(
        self,
        images: tf.Tensor,
        weights: Sequence[tf.Tensor],
        earlier: Optional[Sequence[Any]] = None,
        first: int = 0,
    ) -> Tuple[tf.Tensor, List]:
        """Run every layer, or only the last ones where the first are known to be unchanged.

        Args:
            images: ``[N, H, W, 3]``.
            weights: One tensor for each layer, ``[k, k, C, D]``.
            earlier: The caches of another pass over the same images.
            first: Index of the first layer whose weights are not those of that pass.

        Returns:
            The logits ``[N, classes]``, and one cache for each layer.
        """
        caches = list(earlier[:first]) if earlier else []
        y = self.blocks[first].input_of(earlier[first]) if earlier else images
        for i in range(len(caches), len(self.blocks)):
            with tf.name_scope("layer_%d" % (i + 1)):
                y, cache = self.blocks[i].forward(y, weights[i])
            caches.append(cache)
        return y, caches

    def gated_backward(
        self,
        dlogits: tf.Tensor,
        caches: Sequence[Any],
        updated: Union[tf.Tensor, np.ndarray],
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
            updated: bool ``[layers]``, this iteration's row of the schedule. A NumPy row, known
                when the graph is built, needs no ``tf.cond``: the other branches are not built.
            update: Given a layer's index (from 0) and its dw, returns the operation that updates
                the layer. It is called once for each layer, inside the layer's branch; for a NumPy
                row, once for each layer of the row.

        Returns:
            The operation that runs the updates, and the chain as far as they need it.
        """
        top = len(self.blocks) - 1
        if isinstance(updated, np.ndarray):
            here = list(updated)
            below = [updated[:i].any() for i in range(top + 1)]
        else:
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
                steps = [_when(here[i], update_here, "if_updated")]
                if i > 0:
                    steps.append(_when(below[i], go_below, "if_any_below"))
                return tf.group(*steps)

        return chain(dlogits, top)


def _when(
    condition: Union[tf.Tensor, np.bool_], branch: Callable[[], tf.Operation], name: str
) -> tf.Operation:
    """Run a branch if the condition holds: decided by the graph, or here if it is known."""
    if isinstance(condition, np.bool_):
        return branch() if condition else tf.no_op()
    return tf.cond(condition, branch, tf.no_op, name=name)
