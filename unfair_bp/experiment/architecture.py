"""Networks as plain values: their layers, what these cost, and the weights training starts from."""

import math
from dataclasses import dataclass, replace
from typing import Any, Iterable, List, Mapping, Sequence, Tuple

import numpy as np

from unfair_bp.errors import FieldError


@dataclass(frozen=True)
class Layer:
    """One layer of an architecture: a convolution (stride 1, SAME padding, no bias) and an ELU.

    Attributes:
        kernel: Height and width of the kernel, an odd number of pixels.
        outputs: Channels.
        stddev: Of the truncated normal that the weights start from.
        pool: Whether a 2x2 average pool, stride 2, follows the ELU.

    Raises:
        FieldError: If a value cannot be used.
    """

    kernel: int
    outputs: int
    stddev: float
    pool: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        for field in ("kernel", "outputs", "stddev", "pool"):
            object.__setattr__(self, field, as_python(getattr(self, field)))
        if not (_is_count(self.kernel) and self.kernel % 2):
            raise FieldError("kernel", f"{self.kernel!r} is not an odd number; give 1 or 3 pixels")
        if not _is_count(self.outputs):
            raise FieldError("outputs", f"{self.outputs!r} is not a count; give 8 channels")
        number = isinstance(self.stddev, (int, float)) and not isinstance(self.stddev, bool)
        if not (number and math.isfinite(self.stddev) and self.stddev > 0):
            raise FieldError("stddev", f"{self.stddev!r} is not a number above 0; give 0.05")
        if not isinstance(self.pool, bool):
            raise FieldError("pool", f"{self.pool!r} is neither True nor False")


@dataclass(frozen=True)
class LayerSpec:
    """A layer in its place in a network, where the number of inputs and the size are known."""

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
        """Floating-point operations of the convolution for one image; a multiply-add counts as two.

        They are those of the sum as it is written; Winograd's filtering needs fewer. The weight
        gradient and the input gradient of a convolution cost the same again, each.
        """
        return 2 * self.size**2 * self.weight_count


@dataclass(frozen=True)
class Architecture:
    """An all-convolutional network for square images.

    The last layer has a channel for each class, and a global average pool follows it.

    Attributes:
        image_size: Height and width of an image, pixels.
        image_channels: Channels of an image.
        layers: The layers, first to last; each a :class:`Layer` or a mapping of its fields.

    Raises:
        FieldError: If the layers do not fit the images or each other.
    """

    image_size: int
    image_channels: int
    layers: Tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Refuse values that do not fit together."""
        for field in ("image_size", "image_channels"):
            object.__setattr__(self, field, as_python(getattr(self, field)))
            if not _is_count(getattr(self, field)):
                raise FieldError(field, f"{getattr(self, field)!r} is not a whole number above 0")
        if not isinstance(self.layers, Iterable):
            raise FieldError("layers", f"is {self.layers!r}, expected a list of Layer")
        object.__setattr__(self, "layers", tuple(_as_layer(layer) for layer in self.layers))
        if not self.layers:
            raise FieldError("layers", "is empty; give at least one layer")
        if self.layers[-1].pool:
            raise FieldError(
                "layers", "has a 2x2 pool after its last layer, where the global pool is; remove it"
            )
        size = self.image_size
        for number, layer in enumerate(self.layers, start=1):
            if layer.pool and size % 2:
                raise FieldError(
                    "layers",
                    f"has a 2x2 pool after layer {number}, whose {size}x{size} pixels it cannot "
                    "halve; leave it out, or give another image_size",
                )
            size //= 2 if layer.pool else 1

    @property
    def image_shape(self) -> Tuple[int, int, int]:
        """Shape of an image, ``(height, width, channels)``."""
        return (self.image_size, self.image_size, self.image_channels)

    @property
    def classes(self) -> int:
        """Number of classes: the channels of the last layer."""
        return self.layers[-1].outputs

    def with_classes(self, classes: int) -> "Architecture":
        """Return the same network with another number of classes."""
        return replace(self, layers=(*self.layers[:-1], replace(self.layers[-1], outputs=classes)))

    def scaled(self, width: float = 1.0) -> Tuple[LayerSpec, ...]:
        """Return the layers with every channel count times ``width``, except images and classes.

        A layer whose inputs become fewer starts from weights that are larger by the root of that
        factor: its outputs are sums over the inputs and so keep the size they have at width 1.
        Without this, a quarter of the width would start from logits 2^8 times smaller, and training
        would not move for several epochs.

        Args:
            width: 1.0 is the network itself; 0.25 makes 64, 64, 32, ... of the post's 256, 256,
                128, ... channels.

        Raises:
            FieldError: If a layer would be left without a channel, or ``width`` is not finite.
        """
        if not math.isfinite(width):
            raise FieldError("width", f"{width:g} is not finite; give a number above 0")
        specs: List[LayerSpec] = []
        size, inputs, full_inputs = self.image_size, self.image_channels, self.image_channels
        for number, layer in enumerate(self.layers, start=1):
            last = number == len(self.layers)
            outputs = layer.outputs if last else round(layer.outputs * width)
            if outputs < 1:
                narrowest = min(hidden.outputs for hidden in self.layers[:-1])
                raise FieldError(
                    "width",
                    f"{width:g} leaves layer {number} without a channel; "
                    f"give more than {0.5 / narrowest:g}",
                )
            stddev = layer.stddev * (full_inputs / inputs) ** 0.5
            specs.append(LayerSpec(layer.kernel, inputs, outputs, stddev, size, layer.pool))
            inputs, full_inputs = outputs, layer.outputs
            size //= 2 if layer.pool else 1
        return tuple(specs)


def as_python(value: Any) -> Any:
    """Return NumPy's scalars and arrays of no dimension as Python's own; all else as it is."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _as_layer(layer: Any) -> Layer:
    if isinstance(layer, Layer):
        return layer
    if not isinstance(layer, Mapping):
        raise FieldError("layers", f"has {layer!r}, which is not a Layer")
    try:
        return Layer(**layer)
    except TypeError as error:
        raise FieldError("layers", f"has {layer!r}, which is not a Layer: {error}") from error


# The all-convolutional network of the post. Source: its published scripts.
ALL_CONVOLUTIONAL = Architecture(
    image_size=32,
    image_channels=3,
    layers=(
        Layer(kernel=3, outputs=256, stddev=0.05),
        Layer(kernel=3, outputs=256, stddev=0.04),
        Layer(kernel=3, outputs=128, stddev=0.06, pool=True),
        Layer(kernel=3, outputs=128, stddev=0.04),
        Layer(kernel=3, outputs=128, stddev=0.06),
        Layer(kernel=3, outputs=64, stddev=0.05, pool=True),
        Layer(kernel=3, outputs=64, stddev=0.04),
        Layer(kernel=1, outputs=64, stddev=0.05),
        Layer(kernel=1, outputs=10, stddev=0.06),
    ),
)


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

    An updated layer needs its weight gradient. A layer above an updated one needs its input
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
