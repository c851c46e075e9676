"""The network of the post as a table, and what its layers cost: plain numbers, no TensorFlow."""

from dataclasses import dataclass, replace
from typing import Sequence, Tuple

import numpy as np

from unfair_bp.errors import UsageError

IMAGE_SIZE = 32  # height and width of an image, pixels
IMAGE_CHANNELS = 3
CLASSES = 10


@dataclass(frozen=True)
class LayerSpec:
    """One layer: a convolution (stride 1, SAME padding, no bias), ELU, and perhaps a 2x2 pool."""

    kernel: int  # height and width of the kernel
    inputs: int  # channels
    outputs: int  # channels
    stddev: float  # of the truncated normal that the weights start from
    size: int  # height and width of the convolution's input and output, pixels
    pool: bool = False  # 2x2 average pool, stride 2, after the ELU

    @property
    def weight_shape(self) -> Tuple[int, int, int, int]:
        """Shape of the kernel, ``[k, k, inputs, outputs]``."""
        return (self.kernel, self.kernel, self.inputs, self.outputs)

    @property
    def weight_count(self) -> int:
        """Number of weights."""
        return self.kernel**2 * self.inputs * self.outputs

    @property
    def flops(self) -> int:
        """Floating-point operations of the convolution for one image, a multiply-add being two.

        They are those of the sum as it is written; Winograd's filtering needs fewer. The
        weight gradient and the input gradient of a convolution cost the same again, each.
        """
        return 2 * self.size**2 * self.weight_count


# The all-convolutional network of the post. Source: its published scripts.
LAYERS = (
    LayerSpec(kernel=3, inputs=3, outputs=256, stddev=0.05, size=32),
    LayerSpec(kernel=3, inputs=256, outputs=256, stddev=0.04, size=32),
    LayerSpec(kernel=3, inputs=256, outputs=128, stddev=0.06, size=32, pool=True),
    LayerSpec(kernel=3, inputs=128, outputs=128, stddev=0.04, size=16),
    LayerSpec(kernel=3, inputs=128, outputs=128, stddev=0.06, size=16),
    LayerSpec(kernel=3, inputs=128, outputs=64, stddev=0.05, size=16, pool=True),
    LayerSpec(kernel=3, inputs=64, outputs=64, stddev=0.04, size=8),
    LayerSpec(kernel=1, inputs=64, outputs=64, stddev=0.05, size=8),
    LayerSpec(kernel=1, inputs=64, outputs=CLASSES, stddev=0.06, size=8),
)


def scaled(width: float) -> Tuple[LayerSpec, ...]:
    """The network with every channel count times ``width``: never the image's 3 or the 10 outputs.

    A layer whose inputs become fewer starts from weights that are larger by the root of that
    factor: its outputs are sums over the inputs and so keep the size they have in the post's
    network. With the post's deviations a quarter of the width would start from logits that are
    2^8 times smaller, and stay there for epochs.

    Args:
        width: 1.0 is the network of the post; 0.25 gives 64, 64, 32, ... channels.

    Raises:
        UsageError: If a layer would be left without a channel.
    """
    layers = []
    inputs = IMAGE_CHANNELS
    for number, layer in enumerate(LAYERS, start=1):
        last = number == len(LAYERS)
        outputs = layer.outputs if last else round(layer.outputs * width)
        if outputs < 1:
            narrowest = min(spec.outputs for spec in LAYERS[:-1])
            raise UsageError(
                "--width %g leaves layer %d without a channel; give at least %g"
                % (width, number, 1.0 / narrowest)
            )
        stddev = layer.stddev * (layer.inputs / inputs) ** 0.5
        layers.append(replace(layer, inputs=inputs, outputs=outputs, stddev=stddev))
        inputs = outputs
    return tuple(layers)


def initial_weights(layers: Sequence[LayerSpec], seed: int) -> Tuple[np.ndarray, ...]:
    """Draw the weights that training starts from: normal, redrawn beyond two standard deviations.

    They come from NumPy's legacy generator, whose streams never change, so that every version of
    TensorFlow and NumPy starts from the same network.

    Returns:
        One float64 array ``[k, k, inputs, outputs]`` for each layer.
    """
    weights = []
    for number, layer in enumerate(layers, start=1):
        random = np.random.RandomState([seed, number])
        values = random.standard_normal(layer.weight_shape)
        outside = np.abs(values) > 2.0
        while outside.any():
            values[outside] = random.standard_normal(np.count_nonzero(outside))
            outside = np.abs(values) > 2.0
        weights.append(layer.stddev * values)
    return tuple(weights)


def forward_flops(layers: Sequence[LayerSpec]) -> int:
    """Floating-point operations of the convolutions of one forward pass, for one image."""
    return sum(layer.flops for layer in layers)


def backward_flops(layers: Sequence[LayerSpec], updated: Sequence[bool]) -> int:
    """Floating-point operations of the gated backward chain, for one image.

    An updated layer needs its weight gradient; a layer above an updated one needs its input
    gradient as well, because the chain goes through it. Layer 1's input gradient is never needed.

    Args:
        layers: The network.
        updated: For each layer, whether it is updated.
    """
    total = 0
    for i, layer in enumerate(layers):
        total += layer.flops * bool(updated[i])
        total += layer.flops * any(updated[:i])
    return total
