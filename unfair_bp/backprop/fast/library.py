"""The convolution with the derivatives that TensorFlow's library of kernels has."""

from typing import Any

from unfair_bp.backprop.convolution import STRIDE_1, Convolution
from unfair_bp.backprop.graph_mode import tf


class LibraryConvolution(Convolution):
    """The same sums as one operation for each derivative."""

    def input_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dx, the sum of :meth:`Convolution.input_grad`."""
        x, w = cache
        return tf.nn.conv2d_backprop_input(tf.shape(x), w, dz, strides=STRIDE_1, padding="SAME")

    def param_grad(self, dz: tf.Tensor, cache: Any) -> tf.Tensor:
        """Return dw, the sum of :meth:`Convolution.param_grad`."""
        x, w = cache
        return tf.nn.conv2d_backprop_filter(x, w.shape, dz, strides=STRIDE_1, padding="SAME")
