"""The layers: each a forward rule and the hand-written derivatives that belong to it.

The convolution is in :mod:`unfair_bp.backprop.convolution`.

Names are the same everywhere: ``x`` enters a layer, ``w`` are its weights, ``z`` is what a
convolution gives, ``y`` what leaves; ``dx, dw, dz, dy`` are the derivatives of the cost by them.
``forward`` returns its result and a cache; ``input_grad`` and ``param_grad`` take the derivative by
that result and the cache. They are separate, so that either can be skipped without the other. The
loss, where the chain starts, takes the cache alone.

Images are ``[N, H, W, C]``: batch, height, width, channels.
"""

from typing import Tuple

from unfair_bp.backprop.graph_mode import tf


class Elu:
    """Exponential linear unit, element by element; any shape.

    y = z for z > 0, exp(z) - 1 for z <= 0

    Reference: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by
    exponential linear units, 2016.
    """

    @staticmethod
    def forward(z: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """Return y, which is also the cache."""
        y = tf.nn.elu(z)
        return y, y

    @staticmethod
    def input_grad(dy: tf.Tensor, cache: tf.Tensor) -> tf.Tensor:
        """Return dz.

        dz = dy * 1 for z > 0, dy * exp(z) for z <= 0; exp(z) = y + 1, so both are min(y, 0) + 1

        TensorFlow has this formula as an operation, which passes over memory once, where
        ``dy * (tf.minimum(y, 0) + 1)`` would do so three times.
        """
        y = cache
        return tf.raw_ops.EluGrad(gradients=dy, outputs=y)


class EluDoubledSlope(Elu):
    """ELU with the scripts' slope above zero, the quirk ``elu-slope``.

    They add an elu(0) + 1 = 1, meant for z <= 0 only, to the 1 of z > 0.
    """

    @staticmethod
    def input_grad(dy: tf.Tensor, cache: tf.Tensor) -> tf.Tensor:
        """Return dz as the scripts did.

        scripts:   dz = dy * 2 for z > 0, dy * exp(z) for z <= 0
        calculus:  dz = dy * 1 for z > 0, dy * exp(z) for z <= 0
        """
        y = cache
        return Elu.input_grad(dy, cache) + dy * tf.cast(y > 0, dy.dtype)


class AveragePool2x2:
    """Mean of each 2x2 square of pixels, stride 2.

    y[n, i, j, c] = mean over a, b in {0, 1} of x[n, 2i + a, 2j + b, c]

    x [N, 2H, 2W, C], y [N, H, W, C].
    """

    @staticmethod
    def forward(x: tf.Tensor) -> Tuple[tf.Tensor, Tuple[int, int, int]]:
        """Return y, and its height, width and channels as cache.

        Raises:
            ValueError: If the height or the width is odd.
        """
        _, rows, columns, channels = x.shape.as_list()
        if rows % 2 or columns % 2:
            raise ValueError("x: expected [N, 2H, 2W, C], got %s" % x.shape)
        y = tf.nn.avg_pool2d(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")
        return y, (rows // 2, columns // 2, channels)

    @staticmethod
    def input_grad(dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx.

        dx[n, 2i + a, 2j + b, c] = dy[n, i, j, c] / 4   for a, b in {0, 1}
        """
        return AveragePool2x2.repeat(dy / 4, cache)

    @staticmethod
    def repeat(dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Write each pixel of dy [N, H, W, C] into a 2x2 square: [N, 2H, 2W, C]."""
        rows, columns, channels = cache
        pixels = tf.reshape(dy, [-1, rows, 1, columns, channels])
        pairs = tf.concat([pixels, pixels], axis=4)  # side by side: [N, H, 1, W, 2C]
        squares = tf.concat([pairs, pairs], axis=2)  # one above the other: [N, H, 2, W, 2C]
        return tf.reshape(squares, [-1, 2 * rows, 2 * columns, channels])


class AveragePool2x2Undivided(AveragePool2x2):
    """The 2x2 pool with the scripts' backward rule, the quirk ``pool-repeat``."""

    @staticmethod
    def input_grad(dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx as the scripts did.

        scripts:   dx[n, 2i + a, 2j + b, c] = dy[n, i, j, c]       for a, b in {0, 1}
        calculus:  dx[n, 2i + a, 2j + b, c] = dy[n, i, j, c] / 4   for a, b in {0, 1}
        """
        return AveragePool2x2.repeat(dy, cache)


class GlobalAveragePool:
    """Mean over all pixels of an image.

    y[n, c] = mean over i, j of x[n, i, j, c]

    x [N, H, W, C], y [N, C].
    """

    @staticmethod
    def forward(x: tf.Tensor) -> Tuple[tf.Tensor, Tuple[int, int, int]]:
        """Return y, and the height, width and channels of x as cache."""
        _, rows, columns, channels = x.shape.as_list()
        return tf.reduce_mean(x, axis=[1, 2]), (rows, columns, channels)

    @staticmethod
    def input_grad(dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx.

        dx[n, i, j, c] = dy[n, c] / (H W)
        """
        rows, columns, _ = cache
        return GlobalAveragePool.tile(dy / (rows * columns), cache)

    @staticmethod
    def tile(dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Write dy [N, C] into every pixel: [N, H, W, C]."""
        rows, columns, channels = cache
        return tf.tile(tf.reshape(dy, [-1, 1, 1, channels]), [1, rows, columns, 1])


class GlobalAveragePoolUndivided(GlobalAveragePool):
    """The global pool with the scripts' backward rule, the quirk ``pool-repeat``."""

    @staticmethod
    def input_grad(dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx as the scripts did.

        scripts:   dx[n, i, j, c] = dy[n, c]
        calculus:  dx[n, i, j, c] = dy[n, c] / (H W)
        """
        return GlobalAveragePool.tile(dy, cache)


class SoftmaxCrossEntropy:
    """Cross entropy of the softmax of the logits, and its mean over the batch.

    cost[n] = - sum over k of t[n, k] log p[n, k],   p[n, k] = exp(y[n, k]) / sum_j exp(y[n, j])

    logits y [N, K]; targets t [N, K], one-hot; cost [N].

    Reference: Goodfellow, Bengio and Courville, Deep learning, 2016, section 6.2.2.3.
    """

    @staticmethod
    def forward(
        logits: tf.Tensor, targets: tf.Tensor
    ) -> Tuple[tf.Tensor, Tuple[tf.Tensor, tf.Tensor]]:
        """Return the cost of each image, and (p, targets) as cache."""
        # The largest logit is subtracted, which changes no quotient and keeps exp() finite.
        shifted = logits - tf.reduce_max(logits, axis=1, keepdims=True)
        exponentials = tf.exp(shifted)
        total = tf.reduce_sum(exponentials, axis=1, keepdims=True)
        cost = -tf.reduce_sum(targets * (shifted - tf.log(total)), axis=1)
        return cost, (exponentials / total, targets)

    @staticmethod
    def input_grad(cache: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return the derivative of the mean cost by the logits.

        d mean(cost) / dy[n, k] = (p[n, k] - t[n, k]) / N
        """
        p, targets = cache
        batch = tf.cast(tf.shape(p)[0], p.dtype)
        return (p - targets) / batch


class SummedSoftmaxCrossEntropy(SoftmaxCrossEntropy):
    """Cross entropy with the scripts' derivative, the quirk ``sum-loss``."""

    @staticmethod
    def input_grad(cache: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return the derivative of the summed cost by the logits, as the scripts did.

        scripts:   d sum(cost) / dy[n, k] = p[n, k] - t[n, k]
        calculus:  d mean(cost) / dy[n, k] = (p[n, k] - t[n, k]) / N
        """
        p, targets = cache
        return p - targets


class DoubleSoftmaxCrossEntropy(SoftmaxCrossEntropy):
    """The cost that the scripts logged, the quirk ``double-softmax-cost``.

    They gave the softmax's result to an operation that takes the softmax again. For ten classes
    it is never below log(e + 9) - 1 = 1.461. It is reported only; the gradient is another's.
    """

    @staticmethod
    def forward(
        logits: tf.Tensor, targets: tf.Tensor
    ) -> Tuple[tf.Tensor, Tuple[tf.Tensor, tf.Tensor]]:
        """Return the cost of each image as the scripts logged it.

        scripts:   cost[n] = cross entropy of softmax(softmax(y[n]))
        intent:    cost[n] = cross entropy of softmax(y[n])
        """
        _, (p, _) = SoftmaxCrossEntropy.forward(logits, targets)
        return SoftmaxCrossEntropy.forward(p, targets)
