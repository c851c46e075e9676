"""The grouped convolution: each group of channels of x makes one of z, with a kernel of its own.

    z_g = x_g * w_g   for g = 1 ... G

x [N, H, W, G C], kernels w_g [k, m, C, D], z [N, H, W, G D], * the convolution of
:mod:`unfair_bp.convolution`. The groups share nothing, so that the derivatives are those of G
convolutions. Winograd's filtering consists of one.

Reference: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural
networks, 2012, section 3.5.
"""

from typing import List, Sequence, Tuple, Type

from unfair_bp.convolution import (
    STRIDE_1,
    Cache,
    Convolution,
    ProductConvolution,
    flipped_and_swapped,
)
from unfair_bp.graph_mode import tf

# Older versions were not tried, but for 1.15: it takes the groups' kernels without an error, and
# writes where it must not.
GROUPS_SINCE = (2, 9)


class SplitConvolution:
    """The grouped convolution group by group, which every library of kernels can do."""

    each: Type[Convolution] = Convolution  # the form of each group's convolution

    @classmethod
    def forward(cls, x: tf.Tensor, kernels: Sequence[tf.Tensor]) -> Tuple[tf.Tensor, List[Cache]]:
        """Return z, and the groups' caches as cache.

        Raises:
            ValueError: If the shapes do not agree.
        """
        groups = tf.split(x, len(kernels), axis=3)
        results = [cls.each.forward(*group) for group in zip(groups, kernels)]
        return tf.concat([z for z, _ in results], axis=3), [cache for _, cache in results]

    @staticmethod
    def output_grad(dz: tf.Tensor, cache: Sequence) -> List[tf.Tensor]:
        """Return dz as both derivatives take it: in its groups."""
        return tf.split(dz, len(cache), axis=3)

    @classmethod
    def input_grad(cls, dz: Sequence[tf.Tensor], cache: Sequence[Cache]) -> tf.Tensor:
        """Return dx, whose groups are the input gradients of the groups."""
        return tf.concat([cls.each.input_grad(*group) for group in zip(dz, cache)], axis=3)

    @classmethod
    def param_grad(cls, dz: Sequence[tf.Tensor], cache: Sequence[Cache]) -> List[tf.Tensor]:
        """Return the groups' dw."""
        return [cls.each.param_grad(*group) for group in zip(dz, cache)]


class GroupedConvolution(SplitConvolution):
    """The same in one operation; only the weight gradient, which would be slower so, is split."""

    each = ProductConvolution

    @staticmethod
    def works_here() -> bool:
        """Whether TensorFlow is recent enough."""
        version = tuple(int(part) for part in tf.version.VERSION.split(".")[:2])
        return version >= GROUPS_SINCE

    @classmethod
    def forward(
        cls, x: tf.Tensor, kernels: Sequence[tf.Tensor]
    ) -> Tuple[tf.Tensor, Tuple[tf.Tensor, Sequence[tf.Tensor]]]:
        """Return z, and (x, kernels) as cache.

        Raises:
            NotImplementedError: If TensorFlow cannot do it.
            ValueError: If the shapes do not agree.
        """
        if not cls.works_here():
            raise NotImplementedError(
                "TensorFlow %s has no grouped convolution on a processor; take SplitConvolution"
                % tf.version.VERSION
            )
        return cls._convolve(x, kernels), (x, kernels)

    @staticmethod
    def output_grad(dz: tf.Tensor, cache: Tuple) -> tf.Tensor:
        """Return dz as it is."""
        del cache
        return dz

    @classmethod
    def input_grad(cls, dz: tf.Tensor, cache: Tuple) -> tf.Tensor:
        """Return dx: the grouped convolution of dz with the kernels that lead back."""
        _, kernels = cache
        return cls._convolve(dz, [flipped_and_swapped(w) for w in kernels])

    @classmethod
    def param_grad(cls, dz: tf.Tensor, cache: Tuple) -> List[tf.Tensor]:
        """Return the groups' dw, from dz and x split."""
        x, kernels = cache
        groups = list(zip(tf.split(x, len(kernels), axis=3), kernels))
        return super().param_grad(super().output_grad(dz, groups), groups)

    @staticmethod
    def _convolve(x: tf.Tensor, kernels: Sequence[tf.Tensor]) -> tf.Tensor:
        # A kernel with fewer inputs than x has channels tells TensorFlow that there are groups.
        return tf.nn.conv2d(x, tf.concat(kernels, axis=3), strides=STRIDE_1, padding="SAME")
