"""The convolution with a quarter of its multiplications: minimal filtering in both directions.

Along the rows of an image and down its columns at once, the filtering of
:mod:`unfair_bp.backprop.fast.winograd` makes a window of 4 x 4 pixels of z from one of 6 x 6 pixels
of x, with 36 multiplications instead of 4 * 4 * 3 * 3 = 144:

    z = A ((G w G^T) . (B x B^T)) A^T    . element by element;  x [6, 6], w [3, 3], z [4, 4]

Only the product in the middle sums over channels: for all windows together, it is a product of
matrices at each of the 36 places.

Reference: Lavin and Gray, Fast algorithms for convolutional neural networks, 2016, section 4.2:
F(4x4, 3x3), and algorithm 1, whose B^T and A^T are called B and A here.
"""

from typing import Any, Tuple

import numpy as np

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.fast.grouped import GroupedConvolution
from unfair_bp.backprop.fast.winograd import (
    OUTPUTS,
    TAPS,
    WINDOW,
    A,
    G,
    WinogradConvolution,
    by_place,
    row_matrix,
    times,
)
from unfair_bp.backprop.graph_mode import tf

# G w G^T as one matrix times the taps (a, b) of a kernel: place (k, j) of a window, k along its
# rows and j down its columns.
KERNEL_PLACES = np.einsum("kb,ja->kjab", G, G).reshape(WINDOW**2, TAPS**2)


class WinogradPlaneConvolution(Convolution):
    """The convolution of 3 x 3 kernels by minimal filtering in both directions.

    V = B x B^T,   U = G w G^T,   M_q = V_q U_q for q = 1 ... 36,   z = A M A^T

    x [N, H, W, C] with H and W divisible by 4, z [N, H, W, D]; for each place q of the windows, of
    which there are P = N H W / 16, a matrix V_q [P, C] from the images, U_q [C, D] from the kernel,
    and their product M_q [P, D]. All of it is linear: the derivatives are those of the products,
    between the transposed matrices.
    """

    fits = staticmethod(WinogradConvolution.fits)  # a layer's kernels and images are square

    @classmethod
    def forward(cls, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Tuple]:
        """Return z, and (x, w, V, U) as cache.

        Raises:
            ValueError: If the shapes do not agree, or are not those above.
        """
        _check_windows(x, w)
        _, height, width, inputs = x.shape.as_list()
        (b_down, a_down), (b_along, a_along) = _line_matrices(height), _line_matrices(width)
        v = _to_places(b_down, b_along, x)
        u = times(KERNEL_PLACES, tf.reshape(w, [1, TAPS**2, -1]))
        u = tf.reshape(u, [WINDOW**2, inputs, -1])
        return _from_places(a_down, a_along, tf.matmul(v, u)), (x, w, v, u)

    @staticmethod
    def output_grad(dz: tf.Tensor, cache: Tuple) -> tf.Tensor:
        """Return dM = A^T dz A, which both derivatives start from."""
        del cache
        _, height, width, _ = dz.shape.as_list()
        (_, a_down), (_, a_along) = _line_matrices(height), _line_matrices(width)
        return _to_places(a_down.T, a_along.T, dz)

    @staticmethod
    def input_grad(dm: tf.Tensor, cache: Tuple) -> tf.Tensor:
        """Return dx, the sum of :meth:`Convolution.input_grad`.

        dx = B^T dV B,   dV_q = dM_q U_q^T
        """
        x, _, _, u = cache
        _, height, width, _ = x.shape.as_list()
        (b_down, _), (b_along, _) = _line_matrices(height), _line_matrices(width)
        dv = tf.matmul(dm, u, transpose_b=True)
        return _from_places(b_down.T, b_along.T, dv)

    @staticmethod
    def param_grad(dm: tf.Tensor, cache: Tuple) -> tf.Tensor:
        """Return dw, the sum of :meth:`Convolution.param_grad`.

        dw = G^T dU G,   dU_q = V_q^T dM_q
        """
        _, w, v, _ = cache
        du = tf.matmul(v, dm, transpose_a=True)
        dw = times(KERNEL_PLACES.T, tf.reshape(du, [1, WINDOW**2, -1]))
        return tf.reshape(dw, w.shape)


class WinogradNestedConvolution(WinogradConvolution):
    """The forward pass by minimal filtering in both directions, its derivatives along the rows.

    z = A M,   M_j = T_j * W_j for j = 1 ... 6,   T = B x,   W = G w

    x [N, H, W, C] with H and W divisible by 4, z [N, H, W, D]. B, G and A act down the columns
    here, and make six images T_j [N, H/4, W, C] and six kernels W_j [1, 3, C, D]; each pair is
    convolved along the rows, as :class:`WinogradConvolution` does it.
    """

    @classmethod
    def forward(cls, x: tf.Tensor, w: tf.Tensor) -> Tuple[tf.Tensor, Tuple]:
        """Return z, and (x, w) as cache.

        Raises:
            ValueError: If the shapes do not agree, or are not those above.
        """
        _check_windows(x, w)
        _, height, width, inputs = x.shape.as_list()
        outputs = w.shape.as_list()[3]
        b = by_place(row_matrix(height))
        t = times(b, tf.reshape(x, [-1, height, width * inputs]))
        t = tf.reshape(t, [-1, WINDOW, height // OUTPUTS, width, inputs])
        kernels = times(G, tf.reshape(tf.transpose(w, [0, 2, 1, 3]), [1, TAPS, -1]))
        kernels = tf.reshape(kernels, [WINDOW, 1, inputs, TAPS, outputs])
        pairs = zip(tf.unstack(t, axis=1), tf.unstack(kernels))
        m = tf.stack([cls.filtered(t_j, w_j)[0] for t_j, w_j in pairs], axis=2)
        z = times(A, tf.reshape(m, [-1, WINDOW, width * outputs]))
        return tf.reshape(z, [-1, height, width, outputs]), (x, w)

    @classmethod
    def param_grad(cls, dm: Any, cache: Tuple) -> tf.Tensor:
        """Return dw, the sum of :meth:`Convolution.param_grad`, from V of a pass along the rows."""
        _, cache_along_rows = super().forward(*cache)  # of which TensorFlow runs what is used
        return super().param_grad(dm, cache_along_rows)


class WinogradNestedGroupedConvolution(WinogradNestedConvolution):
    """The same, the six convolutions along the rows being one operation, for each T_j."""

    grouped = GroupedConvolution


def _check_windows(x: tf.Tensor, w: tf.Tensor) -> None:
    """Raise ValueError if the kernel is not 3 x 3, or x not of whole windows or its channels."""
    Convolution.check_shapes(x, w)
    _, height, width, _ = x.shape.as_list()
    if w.shape.as_list()[:2] != [TAPS, TAPS] or height % OUTPUTS or width % OUTPUTS:
        raise ValueError(
            "expected x [N, 4R, 4S, C] and w [3, 3, C, D], got %s and %s" % (x.shape, w.shape)
        )


def _line_matrices(pixels: int) -> Tuple[np.ndarray, np.ndarray]:
    """B [6 S/4, S] and A [S, 6 S/4] for a row or column of S pixels, see :func:`by_place`."""
    whole_a = np.kron(np.eye(pixels // OUTPUTS), A)
    return by_place(row_matrix(pixels)), by_place(whole_a.T).T


def _to_places(down: np.ndarray, along: np.ndarray, images: tf.Tensor) -> tf.Tensor:
    """Multiply images by one matrix down their columns and one along their rows.

    Args:
        down: ``[6 H/4, H]``.
        along: ``[6 W/4, W]``.
        images: ``[N, H, W, C]``.

    Returns:
        ``[36, P, C]``, a matrix of all windows for each place.
    """
    _, height, width, channels = images.shape.as_list()
    rows = times(along, tf.reshape(images, [-1, width, channels]))
    rows = tf.reshape(rows, [-1, height, WINDOW, width // OUTPUTS * channels])
    columns = tf.reshape(tf.transpose(rows, [2, 1, 0, 3]), [WINDOW, height, -1])
    return tf.reshape(times(down, columns), [WINDOW**2, -1, channels])


def _from_places(down: np.ndarray, along: np.ndarray, places: tf.Tensor) -> tf.Tensor:
    """The way back: [36, P, C] times matrices [H, 6 H/4] and [W, 6 W/4], images [N, H, W, C]."""
    height, width, channels = len(down), len(along), places.shape.as_list()[2]
    columns = times(down, tf.reshape(places, [WINDOW, down.shape[1], -1]))
    columns = tf.reshape(columns, [WINDOW, height, -1, width // OUTPUTS * channels])
    rows = tf.reshape(tf.transpose(columns, [2, 1, 0, 3]), [-1, along.shape[1], channels])
    return tf.reshape(times(along, rows), [-1, height, width, channels])
