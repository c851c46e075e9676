"""The grouped convolution: each group of channels of x makes one of z, with a kernel of its own.

    z_g = x_g * w_g   for g = 1 ... G

x [N, H, W, G C], kernels w [k, m, C, G D], z [N, H, W, G D], each with its groups side by side; *
is the plain convolution. The groups share nothing, so the derivatives are those of G convolutions.
The input gradient is itself a grouped convolution: of dz with the flipped kernels. The middle of
Winograd's filtering is a grouped convolution.

Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural
networks, 2012, section 3.5.
"""

from typing import Any, List, Sequence

from unfair_bp.backprop.convolution import STRIDE_1, Convolution
from unfair_bp.backprop.graph_mode import tf

# TensorFlow 1.15 takes the groups' kernels without an error, and writes outside its memory. Other
# older versions were not tried.
GROUPS_SINCE = (2, 9)


class SplitConvolution:
    """The grouped convolution group by group, which every library of kernels can do."""

    def groups_of(self, images: tf.Tensor, count: int) -> Any:
        """Return x [N, H, W, G C], or dz, as the other methods take it: here in its G groups."""
        return tf.split(images, count, axis=3)

    def forward(self, x: Sequence[tf.Tensor], w: tf.Tensor) -> tf.Tensor:
        """Return z [N, H, W, G D], given x from :meth:`groups_of` and w [k, m, C, G D].

        Raises:
            ValueError: If the shapes do not agree.
        """
        groups = zip(x, tf.split(w, len(x), axis=3))
        return tf.concat([Convolution().forward(x_g, w_g)[0] for x_g, w_g in groups], axis=3)

    def param_grad(
        self, dz: Sequence[tf.Tensor], x: Sequence[tf.Tensor], w: tf.Tensor
    ) -> tf.Tensor:
        """Return the groups' dw [k, m, G, C, D]; of w only the shape matters."""
        groups = zip(dz, x, tf.split(w, len(x), axis=3))
        grads = [Convolution().param_grad(dz_g, (x_g, w_g)) for dz_g, x_g, w_g in groups]
        return tf.stack(grads, axis=2)


class GroupedConvolution(SplitConvolution):
    """The same in one operation; only the weight gradient, which would be slower so, is split."""

    @staticmethod
    def works_here() -> bool:
        """Whether TensorFlow is recent enough."""
        version = tuple(int(part) for part in tf.version.VERSION.split(".")[:2])
        return version >= GROUPS_SINCE

    def groups_of(self, images: tf.Tensor, count: int) -> tf.Tensor:
        """Return x or dz as it is."""
        return images

    def forward(self, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """Return z.

        Raises:
            NotImplementedError: If TensorFlow cannot do it.
        """
        if not self.works_here():
            raise NotImplementedError(
                f"TensorFlow {tf.version.VERSION} has no grouped convolution on a processor; "
                "take SplitConvolution"
            )
        # A kernel with fewer inputs than x has channels tells TensorFlow that there are groups.
        return tf.nn.conv2d(x, w, strides=STRIDE_1, padding="SAME")

    def param_grad(self, dz: tf.Tensor, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        """Return the groups' dw [k, m, G, C, D], of products of matrices; w gives the shape."""
        k, m, inputs, _ = w.shape.as_list()
        count = x.shape.as_list()[3] // inputs
        groups = zip(tf.split(dz, count, axis=3), tf.split(x, count, axis=3))
        taps = [_tap_grads(dz_g, x_g, k, m) for dz_g, x_g in groups]
        # One stack of them all: first by tap, then by group.
        dw = tf.stack([tap_of_group for tap in zip(*taps) for tap_of_group in tap])
        return tf.reshape(dw, [k, m, count, inputs, -1])


def _tap_grads(dz: tf.Tensor, x: tf.Tensor, k: int, m: int) -> List[tf.Tensor]:
    """dw[a, b] [C, D] for each tap of a k x m kernel, row by row: shifted x times dz.

    dw[a, b] = X^T Z,   X [M, C] and Z [M, D] the pixels of x and dz that lie a - p rows and b - q
                        columns apart;   p = (k - 1) / 2, q = (m - 1) / 2

    The pixels of all images stand in one long column, with q zeros after each row and p rows of
    zeros after each image. A shift of at most q pixels to the side, or p up or down, that leaves
    an image ends in these zeros, so that a shift in the plane is one along the column.
    """
    p, q = k // 2, m // 2
    margin = [[0, 0], [0, p], [0, q], [0, 0]]
    pixels_x, pixels_dz = _pixels(tf.pad(x, margin)), _pixels(tf.pad(dz, margin))
    row = x.shape.as_list()[2] + q
    products = []
    for a in range(k):
        for b in range(m):
            shift = (a - p) * row + (b - q)
            # Only pixels for which the shifted one exists, too.
            shifted_x, here = _rows_from(pixels_x, shift), _rows_from(pixels_dz, -shift)
            products.append(tf.matmul(shifted_x, here, transpose_a=True))
    return products


def _pixels(images: tf.Tensor) -> tf.Tensor:
    """The pixels of images [N, H, W, C] as rows of a matrix [N H W, C]."""
    return tf.reshape(images, [-1, images.shape.as_list()[3]])


def _rows_from(pixels: tf.Tensor, first: int) -> tf.Tensor:
    """The rows of a matrix from ``first`` on; if it is below zero, all rows but the last -first."""
    return pixels[first:] if first >= 0 else pixels[:first]
