"""The grouped convolution: each group of channels of x makes one of z, with a kernel of its own.

    z_g = x_g * w_g   for g = 1 ... G

x [N, H, W, G C], kernels w [k, m, C, G D], z [N, H, W, G D], each with its groups side by side; *
the plain convolution. The groups share nothing, so that the derivatives
are those of G convolutions; the input gradient is itself a grouped convolution, of dz with the
kernels that lead back. Winograd's filtering consists of one.

Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural
networks, 2012, section 3.5.
"""

from typing import Any, Sequence

from unfair_bp.backprop.convolution import STRIDE_1, Convolution, ProductConvolution
from unfair_bp.backprop.graph_mode import tf

# Older versions were not tried, but for 1.15: it takes the groups' kernels without an error, and
# writes where it must not.
GROUPS_SINCE = (2, 9)


class SplitConvolution:
    """The grouped convolution group by group, which every library of kernels can do."""

    @staticmethod
    def groups_of(images: tf.Tensor, count: int) -> Any:
        """Return x [N, H, W, G C], or dz, as the other methods take it: here in its G groups."""
        return tf.split(images, count, axis=3)

    @staticmethod
    def forward(x: Sequence[tf.Tensor], w: tf.Tensor) -> tf.Tensor:
        """Return z [N, H, W, G D], given x from :meth:`groups_of` and w [k, m, C, G D].

        Raises:
            ValueError: If the shapes do not agree.
        """
        groups = zip(x, tf.split(w, len(x), axis=3))
        return tf.concat([Convolution.forward(*group)[0] for group in groups], axis=3)

    @staticmethod
    def param_grad(dz: Sequence[tf.Tensor], x: Sequence[tf.Tensor], w: tf.Tensor) -> tf.Tensor:
        """Return the groups' dw [k, m, G, C, D]; of w only the shape matters."""
        groups = zip(dz, x, tf.split(w, len(x), axis=3))
        return tf.stack([Convolution.param_grad(dz_g, (x_g, w_g)) for dz_g, x_g, w_g in groups], 2)


class GroupedConvolution(SplitConvolution):
    """The same in one operation; only the weight gradient, which would be slower so, is split."""

    @staticmethod
    def works_here() -> bool:
        """Whether TensorFlow is recent enough."""
        version = tuple(int(part) for part in tf.version.VERSION.split(".")[:2])
        return version >= GROUPS_SINCE

    @staticmethod
    def groups_of(images: tf.Tensor, count: int) -> tf.Tensor:
        """Return x or dz as it is."""
        del count
        return images

    @classmethod
    def forward(cls, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """Return z.

        Raises:
            NotImplementedError: If TensorFlow cannot do it.
        """
        if not cls.works_here():
            raise NotImplementedError(
                "TensorFlow %s has no grouped convolution on a processor; take SplitConvolution"
                % tf.version.VERSION
            )
        # A kernel with fewer inputs than x has channels tells TensorFlow that there are groups.
        return tf.nn.conv2d(x, w, strides=STRIDE_1, padding="SAME")

    @staticmethod
    def param_grad(dz: tf.Tensor, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """Return the groups' dw [k, m, G, C, D], of products of matrices; w gives the shape."""
        k, m, inputs, _ = w.shape.as_list()
        count = x.shape.as_list()[3] // inputs
        groups = zip(*(tf.split(images, count, axis=3) for images in (dz, x, w)))
        taps = [ProductConvolution.tap_grads(dz_g, (x_g, w_g)) for dz_g, x_g, w_g in groups]
        # One stack of them all: first by tap, then by group.
        dw = tf.stack([tap_of_group for tap in zip(*taps) for tap_of_group in tap])
        return tf.reshape(dw, [k, m, count, inputs, -1])
