"""The convolution with half of its multiplications: Winograd's minimal filtering.

A kernel's row of three weights makes four pixels of a row of z from six pixels of x. As the sum is
written that takes 4 * 3 multiplications; after a change of basis it takes six:

    z = A ((G w) . (B x))        . element by element;  x [6], w [3], z [4]

The matrices come from multiplying polynomials by their values at six points, 0, 1, -1, 2, -2 and
infinity. They are cheap, because they act on each channel by itself: only the product in the middle
sums over channels. Down the columns of the image the kernel is applied as it is.

Reference: Winograd, Arithmetic complexity of computations, 1980; Lavin and Gray, Fast algorithms
for convolutional neural networks, 2016, section 4.1 and 4.3: F(4, 3) there, whose B^T and A^T are
called B and A here.
"""

from typing import Any, Tuple

import numpy as np

from unfair_bp.backprop.convolution import Convolution, check_shapes
from unfair_bp.backprop.fast.grouped import SplitConvolution
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.experiment.architecture import LayerSpec

OUTPUTS, TAPS, WINDOW = 4, 3, 6  # pixels of z, weights, and pixels of x in a window

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


def row_matrix(columns: int) -> np.ndarray:
    """B for a whole row of an image, whose windows overlap.

    Window i takes pixels 4i - 1 to 4i + 4 of a row of x, of which those beyond the edges are zero,
    and makes pixels 4i to 4i + 3 of the row of z.

    Args:
        columns: Width of the image, W.

    Returns:
        ``[6 W/4, W]``. Of the 6 W/4 places the first six belong to the first window, the next to
        the second, and so on.
    """
    windows = columns // OUTPUTS
    padded = np.zeros([windows, WINDOW, columns + 2])
    for i in range(windows):
        first = OUTPUTS * i
        padded[i, :, first : first + WINDOW] = B
    whole = padded[:, :, 1:-1]  # what would see the zeros around the image is left out
    return whole.reshape(-1, columns)


class WinogradConvolution(Convolution):
    """The convolution of 3 x 3 kernels by minimal filtering along the rows of the image.

    V = B x,   U = G w,   M_k = V_k * U_k for k = 1 ... 6,   z = A M

    x [N, H, W, C] with W divisible by 4, z [N, H, W, D]; six images V_k [N, H, W/4, C] and M_k
    [N, H, W/4, D], six kernels U_k [k, 1, C, D]. B, G and A act on rows: A on each window by itself
    and B, whose windows overlap, on a whole row. * is the convolution down the columns. The six
    stand side by side as groups of channels, V [N, H, W/4, 6 C], and the six convolutions are a
    grouped one. All of it is linear: the derivatives are those of the grouped convolution between
    the transposed matrices.

    Args:
        grouped: The form of the grouped convolution.
    """

    def __init__(self, grouped: SplitConvolution) -> None:
        self.grouped = grouped

    @staticmethod
    def fits(layer: LayerSpec) -> bool:
        """Whether the layer has kernels of three columns, and images of whole windows."""
        return layer.kernel == TAPS and layer.size % OUTPUTS == 0

    def forward(self, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Tuple]:
        """Return z, and (x, w, V in groups, U) as cache.

        Raises:
            ValueError: If the shapes do not agree, or are not those above.
        """
        check_shapes(x, w)
        columns, taps = x.shape.as_list()[2], w.shape.as_list()[1]
        if taps != TAPS or columns % OUTPUTS:
            raise ValueError(
                f"expected x [N, H, 4R, C] and w [k, 3, C, D], got {x.shape} and {w.shape}"
            )
        u = _kernels(tf.transpose(w, [0, 2, 1, 3]))
        v = self.grouped.groups_of(_to_groups(row_matrix(columns), x), WINDOW)
        return _from_groups(A, self.grouped.forward(v, u)), (x, w, v, u)

    def prepare_grad(self, dz: tf.Tensor, cache: Tuple) -> Any:
        """Return dM = A^T dz, in groups, which both derivatives start from."""
        return self.grouped.groups_of(_to_groups(A.T, dz), WINDOW)

    def input_grad(self, dm: Any, cache: Tuple) -> tf.Tensor:
        """Return dx, the sum of :meth:`Convolution.input_grad`.

        dx = B^T dV,   dV_k = dM_k * U'_k,   U' = G w',   w'[a, t, d, c] = w[k-1-a, t, c, d]

        Down the columns the kernels are flipped; along the rows B^T leads back.
        """
        x, w = cache[:2]
        leading_back = _kernels(tf.transpose(tf.reverse(w, axis=[0]), [0, 3, 1, 2]))
        b = row_matrix(x.shape.as_list()[2])
        return _from_groups(b.T, self.grouped.forward(dm, leading_back))

    def param_grad(self, dm: Any, cache: Tuple) -> tf.Tensor:
        """Return dw, the sum of :meth:`Convolution.param_grad`.

        dw = G^T dU,   dU_k the weight gradient of M_k = V_k * U_k
        """
        _, w, v, u = cache
        k, _, inputs, outputs = w.shape.as_list()
        du = self.grouped.param_grad(dm, v, u)
        dw = times(G.T, tf.reshape(du, [k, WINDOW, inputs * outputs]))
        return tf.reshape(dw, w.shape)


def times(matrix: np.ndarray, lines: tf.Tensor) -> tf.Tensor:
    """A matrix [S, R] times each of [M, R, C]: [M, S, C]."""
    return tf.matmul(tf.constant(matrix[np.newaxis], lines.dtype), lines)


def _to_groups(matrix: np.ndarray, x: tf.Tensor) -> tf.Tensor:
    """A matrix times windows, or whole rows, of x [N, H, W, C]: six groups [N, H, W/4, 6 C]."""
    _, rows, columns, channels = x.shape.as_list()
    product = times(matrix, tf.reshape(x, [-1, matrix.shape[1], channels]))
    return tf.reshape(product, [-1, rows, columns // OUTPUTS, WINDOW * channels])


def _from_groups(matrix: np.ndarray, groups: tf.Tensor) -> tf.Tensor:
    """A matrix times windows, or whole rows, of six groups: back to [N, H, W, C]."""
    _, rows, windows, channels = groups.shape.as_list()
    product = times(matrix, tf.reshape(groups, [-1, matrix.shape[1], channels // WINDOW]))
    return tf.reshape(product, [-1, rows, OUTPUTS * windows, channels // WINDOW])


def _kernels(w: tf.Tensor) -> tf.Tensor:
    """G times the rows of a kernel [k, C, 3, D]: six kernels side by side, [k, 1, C, 6 D]."""
    k, inputs, _, outputs = w.shape.as_list()
    product = times(G, tf.reshape(w, [k * inputs, TAPS, outputs]))
    return tf.reshape(product, [k, 1, inputs, WINDOW * outputs])
