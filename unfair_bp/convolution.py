"""The convolution, and three forms of its hand-written derivatives.

All forms compute the same sums. Which is the fastest depends on the layer's shape and on the
kernels that TensorFlow has for the processor: :func:`fastest` knows. Names are those of
:mod:`unfair_bp.layers`.
"""

from typing import Optional, Tuple, Type

from unfair_bp import kernels
from unfair_bp.architecture import LayerSpec
from unfair_bp.graph_mode import tf

STRIDE_1 = [1, 1, 1, 1]
FEW_INPUTS = 8  # channels; with fewer, as in the layer that sees the image, library kernels win

Cache = Tuple[tf.Tensor, tf.Tensor]


class Convolution:
    """Two-dimensional convolution, stride 1, zeros around the image (SAME), no bias.

    z[n, i, j, d] = sum over a, b, c of x[n, i + a - p, j + b - p, c] w[a, b, c, d]

    x [N, H, W, C], w [k, k, C, D] with k odd, z [N, H, W, D]; p = (k - 1) / 2.

    Both derivatives are written as forward convolutions.

    Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """

    @staticmethod
    def forward(x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Cache]:
        """Return z, and (x, w) as cache.

        Raises:
            ValueError: If the kernel is not square and odd, or the channels do not agree.
        """
        rows, columns, inputs, _ = w.shape.as_list()
        if rows != columns or rows % 2 == 0:
            raise ValueError("kernel: expected [k, k, C, D] with k odd, got %s" % w.shape)
        if x.shape.as_list()[3] != inputs:
            raise ValueError("x: expected [N, H, W, %d], got %s" % (inputs, x.shape))
        return tf.nn.conv2d(x, w, strides=STRIDE_1, padding="SAME"), (x, w)

    @staticmethod
    def input_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dx: the convolution of dz with the flipped kernel, inputs and outputs swapped.

        dx[n, i, j, c] = sum over a, b, d of dz[n, i + a - p, j + b - p, d] w[k-1-a, k-1-b, c, d]
        """
        _, w = cache
        flipped = tf.reverse(w, axis=[0, 1])
        swapped = tf.transpose(flipped, [0, 1, 3, 2])
        return tf.nn.conv2d(dz, swapped, strides=STRIDE_1, padding="SAME")

    @staticmethod
    def param_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dw: x convolved with dz, the channels taking the place of the batch.

        dw[a, b, c, d] = sum over n, i, j of x[n, i + a - p, j + b - p, c] dz[n, i, j, d]

        This is a convolution whose image is x with c as batch and n as channels, whose kernel is
        dz with n as its inputs, and whose output has the k x k places that p zeros on each side
        leave.
        """
        x, w = cache
        p = (w.shape.as_list()[0] - 1) // 2
        image = tf.transpose(x, [3, 1, 2, 0])
        kernel = tf.transpose(dz, [1, 2, 0, 3])
        padding = [[0, 0], [p, p], [p, p], [0, 0]]
        dw = tf.nn.conv2d(image, kernel, strides=STRIDE_1, padding=padding)
        return tf.transpose(dw, [1, 2, 0, 3])


class ProductConvolution(Convolution):
    """The convolution with its weight gradient as k x k matrix products; one for a 1x1 kernel."""

    @staticmethod
    def param_grad(dz: tf.Tensor, cache: Cache) -> tf.Tensor:
        """Return dw: for each place of the kernel, the shifted pixels of x times those of dz.

        dw[a, b] = X^T Z,   X [M, C] and Z [M, D] the pixels of x and dz that lie a - p rows and
                            b - p columns apart

        The pixels of all images stand in one long column, with p zeros after each row and p rows
        of zeros after each image. So p or fewer steps to the side or up or down from a pixel end
        in zeros where the image ends, and a shift in the plane is a shift along the column.
        """
        x, w = cache
        k, _, inputs, outputs = w.shape.as_list()
        p = (k - 1) // 2
        margin = [[0, 0], [0, p], [0, p], [0, 0]]
        pixels_x = tf.reshape(tf.pad(x, margin), [-1, inputs])
        pixels_dz = tf.reshape(tf.pad(dz, margin), [-1, outputs])
        pixels = tf.shape(pixels_x)[0]
        row = x.shape.as_list()[2] + p
        products = []
        for a in range(k):
            for b in range(k):
                shift = (a - p) * row + (b - p)
                # From where on, and up to where, both a pixel and the shifted one exist.
                first, end = max(-shift, 0), pixels - max(shift, 0)
                shifted_x = pixels_x[first + shift : end + shift]
                products.append(tf.matmul(shifted_x, pixels_dz[first:end], transpose_a=True))
        return tf.reshape(tf.stack(products), w.shape)


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


def fastest(layer: LayerSpec, library: Optional[str] = None) -> Type[Convolution]:
    """The form whose derivatives are the fastest for a layer; measured, see README, "Speed".

    Args:
        layer: Its kernel and its channels decide.
        library: What TensorFlow's convolutions run on, see :mod:`unfair_bp.kernels`; by default
            what they run on here.
    """
    library = library or kernels.library()
    if library in (kernels.GPU, kernels.ONEDNN_AMD_AVX512) or layer.inputs < FEW_INPUTS:
        return LibraryConvolution
    if library == kernels.ONEDNN_AVX2 or layer.kernel == 1:
        return ProductConvolution
    return Convolution
