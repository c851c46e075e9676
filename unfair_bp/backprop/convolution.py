"""The convolution and its two derivatives, each written as a convolution again.

Faster forms of the same sums are in :mod:`unfair_bp.backprop.fast`. Names are those of
:mod:`unfair_bp.backprop.layers`.
"""

from typing import Any, Tuple

from unfair_bp.backprop.graph_mode import tf

STRIDE_1 = [1, 1, 1, 1]


class Convolution:
    """Two-dimensional convolution, stride 1, zeros around the image (SAME), no bias.

    z[n, i, j, d] = sum over a, b, c of x[n, i + a - p, j + b - q, c] w[a, b, c, d]

    x [N, H, W, C], w [k, m, C, D] with k and m odd, z [N, H, W, D]; p = (k - 1) / 2,
    q = (m - 1) / 2.

    Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """

    def forward(self, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Any]:
        """Return z, and a cache that starts with x and w.

        Raises:
            ValueError: If the shapes do not agree, see :func:`check_shapes`.
        """
        check_shapes(x, w)
        return tf.nn.conv2d(x, w, strides=STRIDE_1, padding="SAME"), (x, w)

    def prepare_grad(self, dz: tf.Tensor, cache: Any) -> Any:
        """Return dz in the form that both derivatives take: here unchanged."""
        return dz

    def input_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dx: the convolution of dz with the flipped kernel, inputs and outputs swapped.

        dx[n, i, j, c] = sum over a, b, d of dz[n, i + a - p, j + b - q, d] w[k-1-a, m-1-b, c, d]
        """
        _, w = cache
        kernel = tf.transpose(tf.reverse(w, axis=[0, 1]), [0, 1, 3, 2])
        return tf.nn.conv2d(dz, kernel, strides=STRIDE_1, padding="SAME")

    def param_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dw: the correlation of x with dz over images and pixels, see :func:`_correlation`.

        dw[a, b, c, d] = sum over n, i, j of x[n, i + a - p, j + b - q, c] dz[n, i, j, d]

        The same sum over shifted i and j is of x[n, i, j, c] dz[n, i - a + p, j - b + q, d]: x can
        be the kernel, too, and dw then comes flipped. TensorFlow copies each pixel of the image
        k m times, so the tensor with fewer channels is passed as the image.
        """
        x, w = cache
        k, m, inputs, outputs = w.shape.as_list()
        if inputs <= outputs:
            return tf.transpose(_correlation(x, dz, k, m), [1, 2, 0, 3])
        return tf.transpose(tf.reverse(_correlation(dz, x, k, m), axis=[1, 2]), [1, 2, 3, 0])


def check_shapes(x: tf.Tensor, w: tf.Tensor) -> None:
    """Raise ValueError if the kernel is not odd, or the channels do not agree."""
    rows, columns, inputs, _ = w.shape.as_list()
    if rows % 2 == 0 or columns % 2 == 0:
        raise ValueError(f"kernel: expected [k, m, C, D] with k, m odd, got {w.shape}")
    if x.shape.as_list()[3] != inputs:
        raise ValueError(f"x: expected [N, H, W, {inputs}], got {x.shape}")


def _correlation(image: tf.Tensor, kernel: tf.Tensor, k: int, m: int) -> tf.Tensor:
    """Correlate two batches of images at every shift of up to p rows and q columns.

    r[c, a, b, d] = sum over n, i, j of image[n, i + a - p, j + b - q, c] kernel[n, i, j, d]

    It is a convolution in which the channels of the image take the place of the batch, and the
    batch that of the channels. Padding by p and q leaves exactly k x m output positions.

    Args:
        image: ``[N, H, W, C]``.
        kernel: ``[N, H, W, D]``.
        k: 2 p + 1.
        m: 2 q + 1.

    Returns:
        ``[C, k, m, D]``.
    """
    padding = [[0, 0], [k // 2, k // 2], [m // 2, m // 2], [0, 0]]
    image, kernel = tf.transpose(image, [3, 1, 2, 0]), tf.transpose(kernel, [1, 2, 0, 3])
    return tf.nn.conv2d(image, kernel, strides=STRIDE_1, padding=padding)
