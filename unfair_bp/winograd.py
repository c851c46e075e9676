"""The convolution with half of its multiplications: Winograd's minimal filtering.

A kernel's column of three weights makes four pixels of a column of z from six pixels of x. As the
sum is written that takes 4 * 3 multiplications; after a change of basis it takes six:

    z = A ((G w) . (B x))        . element by element;  x [6], w [3], z [4]

The matrices come from multiplying polynomials by their values at six points, 0, 1, -1, 2, -2 and
infinity. They are cheap, since they know nothing of the channels: only the product in the middle
sums over them. Along the rows of the image the kernel stays what it is.

Reference: Winograd, Arithmetic complexity of computations, 1980; Lavin and Gray, Fast algorithms
for convolutional neural networks, 2016, section 4.1 and 4.3: F(4, 3) there, whose B^T and A^T are
called B and A here.
"""

from typing import List, Sequence, Tuple, Type

import numpy as np

from unfair_bp.architecture import LayerSpec
from unfair_bp.convolution import Convolution, LibraryConvolution
from unfair_bp.graph_mode import tf

OUTPUTS, TAPS, WINDOW = 4, 3, 6  # pixels of z from so many weights and pixels of x

# The columns of A are the powers of the points, and so are the rows of G, each divided by the
# product of its point's differences from the other finite ones. B interpolates.
B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
A = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]
)


def column_matrices(rows: int) -> Tuple[np.ndarray, np.ndarray]:
    """B and A for a whole column of an image, which is cut into windows.

    Window i takes rows 4i - 1 to 4i + 4 of x, of which those beyond the edges are zero, and makes
    rows 4i to 4i + 3 of z.

    Args:
        rows: Height of the image, R.

    Returns:
        B ``[6 R/4, R]`` and A ``[R, 6 R/4]``. Of their 6 R/4 places the first R/4 belong to the
        first product of each window, the next to the second product, and so on.
    """
    windows = rows // OUTPUTS
    padded_b = np.zeros([WINDOW, windows, rows + 2])
    whole_a = np.zeros([rows, WINDOW, windows])
    for i in range(windows):
        first = OUTPUTS * i
        padded_b[:, i, first : first + WINDOW] = B
        whole_a[first : first + OUTPUTS, :, i] = A
    whole_b = padded_b[:, :, 1:-1]  # what would see the zeros around the image is left out
    return whole_b.reshape(-1, rows), whole_a.reshape(rows, -1)


class WinogradConvolution(Convolution):
    """The convolution of 3 x 3 kernels by minimal filtering down the columns of the image.

    V = B x,   U = G w,   M_k = V_k * U_k for k = 1 ... 6,   z = A M

    x [N, H, W, C] with H divisible by 4, z [N, H, W, D]; six images V_k [N, H/4, W, C] and
    M_k [N, H/4, W, D], six kernels U_k [1, 3, C, D]. B, G and A act on columns; * is the
    convolution along the rows. All of it is linear: the derivatives are those of the six small
    convolutions between the transposed matrices.
    """

    along_rows: Type[Convolution] = Convolution  # the form of the six small convolutions

    @staticmethod
    def fits(layer: LayerSpec) -> bool:
        """Whether the layer has kernels of three rows, and images of whole windows."""
        return layer.kernel == TAPS and layer.size % OUTPUTS == 0

    @classmethod
    def forward(cls, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Tuple]:
        """Return z, and (x, w, the caches of the six convolutions) as cache.

        Raises:
            ValueError: If the shapes do not agree, or are not those above.
        """
        cls.check_shapes(x, w)
        rows, taps = x.shape.as_list()[1], w.shape.as_list()[0]
        if taps != TAPS or rows % OUTPUTS:
            raise ValueError(
                "expected x [N, 4R, W, C] and w [3, k, C, D], got %s and %s" % (x.shape, w.shape)
            )
        b, a = column_matrices(rows)
        small = [cls.along_rows.forward(v, u) for v, u in zip(_six(b, x), _six_kernels(w))]
        return _whole(a, [m for m, _ in small]), (x, w, [cache for _, cache in small])

    @staticmethod
    def output_grad(dz: tf.Tensor, cache: Tuple) -> List[tf.Tensor]:
        """Return dM = A^T dz, which both derivatives start from."""
        del cache
        _, a = column_matrices(dz.shape.as_list()[1])
        return _six(a.T, dz)

    @classmethod
    def input_grad(cls, dm: Sequence[tf.Tensor], cache: Tuple) -> tf.Tensor:
        """Return dx, the sum of :meth:`Convolution.input_grad`.

        dx = B^T dV,   dV_k the input gradient of M_k = V_k * U_k
        """
        x, _, caches = cache
        b, _ = column_matrices(x.shape.as_list()[1])
        return _whole(b.T, [cls.along_rows.input_grad(*small) for small in zip(dm, caches)])

    @classmethod
    def param_grad(cls, dm: Sequence[tf.Tensor], cache: Tuple) -> tf.Tensor:
        """Return dw, the sum of :meth:`Convolution.param_grad`.

        dw = G^T dU,   dU_k the weight gradient of M_k = V_k * U_k
        """
        _, w, caches = cache
        du = tf.stack([cls.along_rows.param_grad(*small) for small in zip(dm, caches)])
        dw = tf.matmul(_constant(G.T, du), tf.reshape(du, [WINDOW, -1]))
        return tf.reshape(dw, w.shape)


class WinogradLibraryConvolution(WinogradConvolution):
    """The same, the six small convolutions having the derivatives of TensorFlow's library."""

    along_rows = LibraryConvolution


def _six(matrix: np.ndarray, images: tf.Tensor) -> List[tf.Tensor]:
    """A matrix [6 R/4, R] times the columns of images [N, R, W, C]: six of a quarter the height."""
    _, rows, columns, channels = images.shape.as_list()
    flat = tf.reshape(images, [-1, rows, columns * channels])
    product = tf.matmul(_constant(matrix[np.newaxis], images), flat)
    shape = [-1, WINDOW, rows // OUTPUTS, columns, channels]
    return tf.unstack(tf.reshape(product, shape), axis=1)


def _whole(matrix: np.ndarray, six: Sequence[tf.Tensor]) -> tf.Tensor:
    """A matrix [R, 6 R/4] times the columns of six images each: images [N, R, W, C] again."""
    _, windows, columns, channels = six[0].shape.as_list()
    flat = tf.reshape(tf.stack(six, axis=1), [-1, WINDOW * windows, columns * channels])
    product = tf.matmul(_constant(matrix[np.newaxis], flat), flat)
    return tf.reshape(product, [-1, OUTPUTS * windows, columns, channels])


def _six_kernels(w: tf.Tensor) -> List[tf.Tensor]:
    """G times the columns of a kernel [3, k, C, D]: six kernels [1, k, C, D]."""
    _, *row = w.shape.as_list()
    product = tf.matmul(_constant(G, w), tf.reshape(w, [TAPS, -1]))
    return tf.unstack(tf.reshape(product, [WINDOW, 1, *row]))


def _constant(matrix: np.ndarray, like: tf.Tensor) -> tf.Tensor:
    return tf.constant(matrix, like.dtype)
