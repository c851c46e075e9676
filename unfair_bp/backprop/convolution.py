"""The convolution in four forms, which differ in how the sums are carried out.

All forms compute the same sums, and so do those of :mod:`unfair_bp.backprop.fast.winograd` and
:mod:`unfair_bp.backprop.fast.winograd_plane`; :mod:`unfair_bp.backprop.fast.choice` chooses one
for each layer. Names are those of :mod:`unfair_bp.backprop.layers`.
"""

from typing import Any, List, Tuple

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.experiment.architecture import LayerSpec

STRIDE_1 = [1, 1, 1, 1]

Cache = Tuple[tf.Tensor, tf.Tensor]


class Convolution:
    """Two-dimensional convolution, stride 1, zeros around the image (SAME), no bias.

    z[n, i, j, d] = sum over a, b, c of x[n, i + a - p, j + b - q, c] w[a, b, c, d]

    x [N, H, W, C], w [k, m, C, D] with k and m odd, z [N, H, W, D]; p = (k - 1) / 2,
    q = (m - 1) / 2.

    Both derivatives are written as forward convolutions.

    Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """

    @staticmethod
    def fits(layer: LayerSpec) -> bool:
        """Whether this form can be a layer's."""
        del layer
        return True

    @staticmethod
    def check_shapes(x: tf.Tensor, w: tf.Tensor) -> None:
        """Raise ValueError if the kernel is not odd, or the channels do not agree."""
        rows, columns, inputs, _ = w.shape.as_list()
        if rows % 2 == 0 or columns % 2 == 0:
            raise ValueError("kernel: expected [k, m, C, D] with k, m odd, got %s" % w.shape)
        if x.shape.as_list()[3] != inputs:
            raise ValueError("x: expected [N, H, W, %d], got %s" % (inputs, x.shape))

    @staticmethod
    def forward(x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Cache]:
        """Return z, and (x, w) as cache.

        Raises:
            ValueError: If the shapes are wrong, see :meth:`check_shapes`.
        """
        Convolution.check_shapes(x, w)
        return tf.nn.conv2d(x, w, strides=STRIDE_1, padding="SAME"), (x, w)

    @staticmethod
    def output_grad(dz: tf.Tensor, cache: Cache) -> Any:
        """Return dz as :meth:`input_grad` and :meth:`param_grad` take it: here as it is."""
        del cache
        return dz

    @staticmethod
    def input_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dx: the convolution of dz with the flipped kernel, inputs and outputs swapped.

        dx[n, i, j, c] = sum over a, b, d of dz[n, i + a - p, j + b - q, d] w[k-1-a, m-1-b, c, d]
        """
        _, w = cache
        kernel = tf.transpose(tf.reverse(w, axis=[0, 1]), [0, 1, 3, 2])
        return tf.nn.conv2d(dz, kernel, strides=STRIDE_1, padding="SAME")

    @staticmethod
    def param_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dw: x and dz convolved with each other, see :func:`_correlation`.

        dw[a, b, c, d] = sum over n, i, j of x[n, i + a - p, j + b - q, c] dz[n, i, j, d]

        Seen from dz the steps lead the other way, x[n, i, j, c] dz[n, i - a + p, j - b + q, d], so
        that x can as well be the kernel and dw comes flipped. TensorFlow copies each pixel of the
        image k x m times: the one with fewer channels is the image.
        """
        x, w = cache
        k, m, inputs, outputs = w.shape.as_list()
        if inputs <= outputs:
            return tf.transpose(_correlation(x, dz, k, m), [1, 2, 0, 3])
        return tf.transpose(tf.reverse(_correlation(dz, x, k, m), axis=[1, 2]), [1, 2, 3, 0])


def _correlation(image: tf.Tensor, kernel: tf.Tensor, k: int, m: int) -> tf.Tensor:
    """The sums of products of the pixels that lie at most p rows and q columns apart.

    r[c, a, b, d] = sum over n, i, j of image[n, i + a - p, j + b - q, c] kernel[n, i, j, d]

    It is a convolution in which the channels of the image take the place of the batch, and the
    batch that of the channels. Its output has the k x m places that p zeros above and below and q
    on each side leave.

    Args:
        image: ``[N, H, W, C]``.
        kernel: ``[N, H, W, D]``.
        k: 2 p + 1.
        m: 2 q + 1.

    Returns:
        ``[C, k, m, D]``.
    """
    padding = [[0, 0], [k // 2, k // 2], [m // 2, m // 2], [0, 0]]
    image = tf.transpose(image, [3, 1, 2, 0])
    return tf.nn.conv2d(image, _batch_inside(kernel), strides=STRIDE_1, padding=padding)


def _batch_inside(images: tf.Tensor) -> tf.Tensor:
    """Images [N, H, W, D] as [H, W, N, D].

    This moves whole pixels, which ``tf.gather`` does faster than ``tf.transpose``, on TensorFlow
    1.15 three times as fast.
    """
    _, rows, columns, channels = images.shape.as_list()
    count, places = tf.shape(images)[0], rows * columns
    order = tf.transpose(tf.reshape(tf.range(count * places), [count, places]))
    return tf.reshape(tf.gather(_pixels(images), order), [rows, columns, -1, channels])


class ProductConvolution(Convolution):
    """The convolution with its weight gradient as k x m matrix products."""

    @staticmethod
    def param_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dw, put together from :meth:`tap_grads`."""
        _, w = cache
        return tf.reshape(tf.stack(ProductConvolution.tap_grads(dz, cache)), w.shape)

    @staticmethod
    def tap_grads(dz: tf.Tensor, cache: Cache) -> List[tf.Tensor]:
        """Return dw[a, b] [C, D] for each tap of the kernel, row by row: shifted x times dz.

        dw[a, b] = X^T Z,   X [M, C] and Z [M, D] the pixels of x and dz that lie a - p rows and
                            b - q columns apart

        The pixels of all images stand in one long column, with q zeros after each row and p rows
        of zeros after each image. So q or fewer steps to the side, and p or fewer up or down, from
        a pixel end in zeros where the image ends, and a shift in the plane is one along the column.
        """
        x, w = cache
        k, m, _, _ = w.shape.as_list()
        p, q = k // 2, m // 2
        margin = [[0, 0], [0, p], [0, q], [0, 0]]
        pixels_x = _pixels(tf.pad(x, margin))
        pixels_dz = _pixels(tf.pad(dz, margin))
        row = x.shape.as_list()[2] + q
        products = []
        for a in range(k):
            for b in range(m):
                shift = (a - p) * row + (b - q)
                # Only pixels for which the shifted one exists, too.
                shifted_x, here = _rows_from(pixels_x, shift), _rows_from(pixels_dz, -shift)
                products.append(tf.matmul(shifted_x, here, transpose_a=True))
        return products


class LibraryConvolution(Convolution):
    """The convolution with the derivatives that TensorFlow's library of kernels has."""

    @staticmethod
    def input_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dx, the sum of :meth:`Convolution.input_grad`."""
        x, w = cache
        return tf.nn.conv2d_backprop_input(tf.shape(x), w, dz, strides=STRIDE_1, padding="SAME")

    @staticmethod
    def param_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dw, the sum of :meth:`Convolution.param_grad`."""
        x, w = cache
        return tf.nn.conv2d_backprop_filter(x, w.shape, dz, strides=STRIDE_1, padding="SAME")


class PointwiseConvolution(Convolution):
    """The convolution with a 1x1 kernel: a matrix product, and so are its derivatives.

    Z = X W,   dX = dZ W^T,   dW = X^T dZ

    X [M, C] and Z [M, D] are the pixels of all images, W [C, D] is the only tap of the kernel.
    """

    @staticmethod
    def fits(layer: LayerSpec) -> bool:
        """Whether the layer has a 1x1 kernel."""
        return layer.kernel == 1

    @classmethod
    def forward(cls, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Cache]:
        """Return z, and (x, w) as cache.

        Raises:
            ValueError: If the shapes are wrong, see :meth:`check_shapes`, or the kernel not 1x1.
        """
        cls.check_shapes(x, w)
        if w.shape.as_list()[:2] != [1, 1]:
            raise ValueError("kernel: expected [1, 1, C, D], got %s" % w.shape)
        return _as_images(tf.matmul(_pixels(x), w[0, 0]), x), (x, w)

    @staticmethod
    def input_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dx = dz W^T."""
        x, w = cache
        return _as_images(tf.matmul(_pixels(dz), w[0, 0], transpose_b=True), x)

    @staticmethod
    def param_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dw = X^T dZ."""
        x, w = cache
        return tf.reshape(tf.matmul(_pixels(x), _pixels(dz), transpose_a=True), w.shape)


def _pixels(images: tf.Tensor) -> tf.Tensor:
    """The pixels of images [N, H, W, C] as rows of a matrix [N H W, C]."""
    return tf.reshape(images, [-1, images.shape.as_list()[3]])


def _rows_from(pixels: tf.Tensor, first: int) -> tf.Tensor:
    """The rows of a matrix from ``first`` on or, below zero, those that so many others follow."""
    return pixels[first:] if first >= 0 else pixels[:first]


def _as_images(pixels: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The rows of a matrix [N H W, C] as pixels of images the size of others."""
    _, rows, columns, _ = like.shape.as_list()
    return tf.reshape(pixels, [-1, rows, columns, pixels.shape.as_list()[1]])
