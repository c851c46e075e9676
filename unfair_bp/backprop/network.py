"""The layers in order: the forward pass, and the backward chain that a schedule gates."""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.gates import Gates, when
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.layers import (
    AveragePool,
    Elu,
    GlobalAveragePool,
    Rule,
    SoftmaxCrossEntropy,
)
from unfair_bp.experiment.architecture import LayerSpec


class Rules(NamedTuple):
    """What a network is made of, exact calculus by default.

    The convolution alone is chosen for each layer: it has several forms, all of them exact.
    """

    convolution: Callable[[LayerSpec], Convolution] = lambda layer: Convolution()
    activation: Rule = Elu()
    pool: Rule = AveragePool(2)
    global_pool: Rule = GlobalAveragePool()
    loss: SoftmaxCrossEntropy = SoftmaxCrossEntropy()
    reported_cost: SoftmaxCrossEntropy = SoftmaxCrossEntropy()  # its forward rule alone


class Block:
    """A convolution, its activation, and the pooling that follows it, if any.

    z = x * w,   y = pool(activation(z))

    x [N, H, W, C], w [k, k, C, D], z [N, H, W, D]; y [N, H, W, D], [N, H/2, W/2, D] after a 2x2
    pool, or [N, D] after the global pool.
    """

    def __init__(self, convolution: Convolution, steps: Sequence[Rule]) -> None:
        """Store the convolution, and the steps that follow it in the forward pass."""
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
        convolution_cache, _ = cache
        return convolution_cache[0]

    def pre_activation_grad(self, dy: tf.Tensor, cache: Any) -> Any:
        """Return dz, which both the weight gradient and the input gradient start from.

        It comes in the form that both derivatives of the convolution take.
        """
        convolution_cache, step_caches = cache
        for step, step_cache in zip(reversed(self.steps), reversed(step_caches)):
            dy = step.input_grad(dy, step_cache)
        return self.convolution.prepare_grad(dy, convolution_cache)

    def input_grad(self, dz: Any, cache: Any) -> tf.Tensor:
        """Return dx, given dz from :meth:`pre_activation_grad`."""
        return self.convolution.input_grad(dz, cache[0])

    def param_grad(self, dz: Any, cache: Any) -> tf.Tensor:
        """Return dw, given dz from :meth:`pre_activation_grad`."""
        return self.convolution.param_grad(dz, cache[0])


class Network:
    """The all-convolutional network: images in, logits out.

    Args:
        layers: The layers, first to last.
        rules: What to build them from.
    """

    def __init__(self, layers: Sequence[LayerSpec], rules: Rules = Rules()) -> None:  # noqa: B008
        self.loss = rules.loss
        self.reported_cost = rules.reported_cost
        self.blocks = []
        for number, layer in enumerate(layers, start=1):
            pools = [rules.pool] if layer.pool else []
            if number == len(layers):  # the logits are the means of its activations
                pools = [rules.global_pool]
            self.blocks.append(Block(rules.convolution(layer), [rules.activation, *pools]))

    def forward(
        self,
        images: tf.Tensor,
        weights: Sequence[tf.Tensor],
        earlier: Optional[Sequence[Any]] = None,
        first: int = 0,
    ) -> Tuple[tf.Tensor, List]:
        """Run every layer, or only the last ones where the first are known to be unchanged.

        Args:
            images: ``[N, H, W, C]``.
            weights: One tensor for each layer, ``[k, k, C, D]``.
            earlier: The caches of another pass over the same images.
            first: Index of the first layer whose weights are not those of that pass.

        Returns:
            The logits ``[N, classes]``, and one cache for each layer.
        """
        caches = list(earlier[:first]) if earlier else []
        y = self.blocks[first].input_of(earlier[first]) if earlier else images
        for i in range(len(caches), len(self.blocks)):
            with tf.name_scope(f"layer_{i + 1}"):
                y, cache = self.blocks[i].forward(y, weights[i])
            caches.append(cache)
        return y, caches

    def gated_backward(
        self,
        dlogits: tf.Tensor,
        caches: Sequence[Any],
        gates: Gates,
        update: Callable[[int, tf.Tensor], tf.Operation],
    ) -> tf.Operation:
        """Run the chain of gradients from the last layer down, as far as this iteration needs it.

        A layer's weight gradient and its update are created inside a ``tf.cond`` on whether it is
        updated; everything below it inside a ``tf.cond`` on whether any lower layer is. TensorFlow
        runs an operation of a branch only if the branch is taken, so a chain that stops costs
        nothing below the place where it stops.

        Args:
            dlogits: Derivative of the cost with respect to the logits, ``[N, classes]``.
            caches: What :meth:`forward` returned.
            gates: Which layers this iteration updates.
            update: Given a layer's index (from 0) and its dw, returns the operation that updates
                the layer. It is called once for each layer, inside the layer's branch, unless the
                layer is known to be skipped.

        Returns:
            The operation that runs the updates, and the chain as far as they need it.
        """

        def chain(dy: tf.Tensor, i: int) -> tf.Operation:
            block, cache = self.blocks[i], caches[i]
            with tf.name_scope(f"layer_{i + 1}"):
                with tf.name_scope("pre_activation_grad"):
                    dz = block.pre_activation_grad(dy, cache)

                def update_here() -> tf.Operation:
                    with tf.name_scope("param_grad"):
                        dw = block.param_grad(dz, cache)
                    return update(i, dw)

                def go_below() -> tf.Operation:
                    with tf.name_scope("input_grad"):
                        dx = block.input_grad(dz, cache)
                    return chain(dx, i - 1)

                return tf.group(
                    when(gates.updated[i], update_here, "if_updated"),
                    when(gates.any_below[i], go_below, "if_any_below"),
                )

        return chain(dlogits, len(self.blocks) - 1)
