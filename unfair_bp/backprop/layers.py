"""The layers: each a forward rule and the hand-written derivatives that belong to it.

Names are the same everywhere: ``x`` enters a layer, ``w`` are its weights, ``z`` is what a
convolution gives, ``y`` what leaves; ``dx, dw, dz, dy`` are the derivatives of the cost, the mean
over the batch, with respect to them. Images are ``[N, H, W, C]``: batch, height, width, channels.

The convolution is in :mod:`unfair_bp.backprop.convolution`; what the scripts of 2018 did otherwise
is in :mod:`unfair_bp.backprop.scripts`.
"""

import abc
from typing import Any, Tuple

from unfair_bp.backprop.graph_mode import tf


class Rule(abc.ABC):
    """A layer without weights: a forward rule and its derivative."""

    @abc.abstractmethod
    def forward(self, x: tf.Tensor) -> Tuple[tf.Tensor, Any]:
        """Return y, and a cache of what the derivative needs."""

    @abc.abstractmethod
    def input_grad(self, dy: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dx, given dy and the cache of :meth:`forward`."""


class Elu(Rule):
    """Exponential linear unit, element by element; any shape.

    y = z for z > 0, exp(z) - 1 for z <= 0

    Reference: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by
    exponential linear units, 2016.
    """

    def forward(self, z: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        """Return y, which is also the cache."""
        y = tf.nn.elu(z)
        return y, y

    def input_grad(self, dy: tf.Tensor, cache: tf.Tensor) -> tf.Tensor:
        """Return dz.

        dz = dy * 1 for z > 0, dy * exp(z) for z <= 0; exp(z) = y + 1, so both are min(y, 0) + 1

        TensorFlow has this formula as an operation, which passes over memory once, where
        ``dy * (tf.minimum(y, 0) + 1)`` would do so three times.
        """
        y = cache
        return tf.raw_ops.EluGrad(gradients=dy, outputs=y)


class AveragePool(Rule):
    """Mean of each square of k x k pixels, stride k.

    y[n, i, j, c] = mean over a, b in {0 ... k - 1} of x[n, k i + a, k j + b, c]

    x [N, k H, k W, C], y [N, H, W, C].

    Args:
        size: k, pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def forward(self, x: tf.Tensor) -> Tuple[tf.Tensor, Tuple[int, int, int]]:
        """Return y, and its height, width and channels as cache.

        Raises:
            ValueError: If k does not divide the height or the width.
        """
        k = self.size
        _, rows, columns, channels = x.shape.as_list()
        if rows % k or columns % k:
            raise ValueError(f"x: expected [N, {k}H, {k}W, C], got {x.shape}")
        y = tf.nn.avg_pool2d(x, ksize=[1, k, k, 1], strides=[1, k, k, 1], padding="VALID")
        return y, (rows // k, columns // k, channels)

    def input_grad(self, dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx.

        dx[n, k i + a, k j + b, c] = dy[n, i, j, c] / k^2   for a, b in {0 ... k - 1}
        """
        return self.repeat(dy / self.size**2, cache)

    def repeat(self, dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Write each pixel of dy [N, H, W, C] into a square: [N, k H, k W, C]."""
        rows, columns, channels = cache
        pixels = tf.reshape(dy, [-1, rows, 1, columns, channels])
        lines = tf.concat([pixels] * self.size, axis=4)  # side by side: [N, H, 1, W, k C]
        squares = tf.concat([lines] * self.size, axis=2)  # above each other: [N, H, k, W, k C]
        return tf.reshape(squares, [-1, self.size * rows, self.size * columns, channels])


class GlobalAveragePool(Rule):
    """Mean over all pixels of an image.

    y[n, c] = mean over i, j of x[n, i, j, c]

    x [N, H, W, C], y [N, C].
    """

    def forward(self, x: tf.Tensor) -> Tuple[tf.Tensor, Tuple[int, int, int]]:
        """Return y, and the height, width and channels of x as cache."""
        _, rows, columns, channels = x.shape.as_list()
        return tf.reduce_mean(x, axis=[1, 2]), (rows, columns, channels)

    def input_grad(self, dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Return dx.

        dx[n, i, j, c] = dy[n, c] / (H W)
        """
        rows, columns, _ = cache
        return self.tile(dy / (rows * columns), cache)

    def tile(self, dy: tf.Tensor, cache: Tuple[int, int, int]) -> tf.Tensor:
        """Write dy [N, C] into every pixel: [N, H, W, C]."""
        rows, columns, channels = cache
        return tf.tile(tf.reshape(dy, [-1, 1, 1, channels]), [1, rows, columns, 1])


class SoftmaxCrossEntropy:
    """Softmax and cross entropy: the cost of each image, and the derivative of their mean.

    cost[n] = - sum over k of t[n, k] log p[n, k],   p[n, k] = exp(y[n, k]) / sum_j exp(y[n, j])

    logits y [N, K]; targets t [N, K], one-hot; cost [N]. The chain of derivatives starts here.

    Reference: Goodfellow, Bengio and Courville, Deep learning, 2016, section 6.2.2.3.
    """

    def forward(
        self, logits: tf.Tensor, targets: tf.Tensor
    ) -> Tuple[tf.Tensor, Tuple[tf.Tensor, tf.Tensor]]:
        """Return the cost of each image, and (p, targets) as cache."""
        # The largest logit is subtracted, which changes no quotient and keeps exp() finite.
        shifted = logits - tf.reduce_max(logits, axis=1, keepdims=True)
        exponentials = tf.exp(shifted)
        total = tf.reduce_sum(exponentials, axis=1, keepdims=True)
        cost = -tf.reduce_sum(targets * (shifted - tf.log(total)), axis=1)
        return cost, (exponentials / total, targets)

    def input_grad(self, cache: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Return the derivative of the mean cost with respect to the logits.

        d mean(cost) / dy[n, k] = (p[n, k] - t[n, k]) / N
        """
        p, targets = cache
        batch = tf.cast(tf.shape(p)[0], p.dtype)
        return (p - targets) / batch
