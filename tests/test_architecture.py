"""The table of layers, its scaling, and the weights that training starts from."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
from conftest import LAYERS

from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.architecture import (
    ALL_CONVOLUTIONAL,
    Architecture,
    Layer,
    initial_weights,
)


def test_layers_are_those_of_the_post():
    """Breaks if a kernel, a channel count, a start or a pool is not the post's."""
    rows = [(s.kernel, s.inputs, s.outputs, s.stddev, s.size, s.pool) for s in LAYERS]
    assert rows == [
        (3, 3, 256, 0.05, 32, False),
        (3, 256, 256, 0.04, 32, False),
        (3, 256, 128, 0.06, 32, True),
        (3, 128, 128, 0.04, 16, False),
        (3, 128, 128, 0.06, 16, False),
        (3, 128, 64, 0.05, 16, True),
        (3, 64, 64, 0.04, 8, False),
        (1, 64, 64, 0.05, 8, False),
        (1, 64, 10, 0.06, 8, False),
    ]
    assert ALL_CONVOLUTIONAL.scaled(1.0) == LAYERS


def test_scaling_keeps_image_and_classes():
    """Breaks if the 3 channels of an image or the 10 outputs are scaled, or a seam does not fit."""
    layers = ALL_CONVOLUTIONAL.scaled(0.25)
    assert [layer.outputs for layer in layers] == [64, 64, 32, 32, 32, 16, 16, 16, 10]
    assert [layer.inputs for layer in layers] == [3, 64, 64, 32, 32, 32, 16, 16, 16]


def test_scaling_keeps_the_size_of_signals():
    """Breaks if a narrow network starts with smaller activations than the post's does."""
    for narrow, full in zip(ALL_CONVOLUTIONAL.scaled(0.25), LAYERS):
        assert narrow.inputs * narrow.stddev**2 == pytest.approx(full.inputs * full.stddev**2)
    assert ALL_CONVOLUTIONAL.scaled(0.25)[0].stddev == LAYERS[0].stddev


def test_no_channel_left():
    """Breaks if a width that leaves a layer without a channel is built, or the limit is wrong."""
    assert min(layer.outputs for layer in ALL_CONVOLUTIONAL.scaled(1 / 64)) == 1
    with pytest.raises(UsageError, match="leaves layer 3 without a channel"):
        ALL_CONVOLUTIONAL.scaled(1 / 256)
    with pytest.raises(UsageError, match=r"give more than 0\.0078125$"):
        ALL_CONVOLUTIONAL.scaled(1 / 128)
    assert min(layer.outputs for layer in ALL_CONVOLUTIONAL.scaled(0.0079)) == 1


def test_values_of_numpy_are_taken():
    """Breaks if sizes that come from an array's shape, or from a sweep, are refused."""
    size, channels = np.array([28, 1])
    layers = [
        Layer(kernel=np.int64(3), outputs=np.int32(4), stddev=np.float32(0.5), pool=np.bool_(True)),
        Layer(kernel=np.array(1), outputs=np.array(3), stddev=np.array(0.25)),
    ]
    given = Architecture(image_size=size, image_channels=channels, layers=layers)
    assert given == Architecture(28, 1, (Layer(3, 4, 0.5, pool=True), Layer(1, 3, 0.25)))
    json.dumps(asdict(given))


LAYER = Layer(3, 4, 0.1)


@pytest.mark.parametrize("layers", [None, 5, LAYER, "abc", [(3, 4, 0.1)], [{"kernel": 3}], []])
def test_layers_that_are_none(layers):
    """Breaks if a mistake in a network of one's own is a traceback of Python's."""
    with pytest.raises(FieldError, match=r"^layers "):
        Architecture(image_size=8, image_channels=1, layers=layers)


@pytest.mark.parametrize("width", [float("nan"), float("inf")])
def test_a_width_that_is_not_finite(width):
    """Breaks if it is a traceback of Python's."""
    with pytest.raises(FieldError, match=r"^width "):
        ALL_CONVOLUTIONAL.scaled(width)


def test_initial_weights_are_truncated_normals():
    """Breaks if values beyond two deviations stay, or the scale is another layer's."""
    for layer, w in zip(LAYERS, initial_weights(LAYERS, 1)):
        assert w.shape == layer.weight_shape
        assert np.abs(w).max() <= 2 * layer.stddev
        # A normal cut at two deviations keeps 0.880 of its deviation.
        assert w.std() == pytest.approx(0.880 * layer.stddev, rel=4 / np.sqrt(w.size))
        assert abs(w.mean()) < 4 * layer.stddev / np.sqrt(w.size)


def test_initial_weights_are_the_same_everywhere():
    """Breaks if the weights depend on the version of NumPy or TensorFlow, or not on the seed."""
    digests = []
    for seed in (678, 679):
        digest = hashlib.sha256()
        for w in initial_weights(ALL_CONVOLUTIONAL.scaled(0.125), seed):
            digest.update(np.round(w, 12).tobytes())
        digests.append(digest.hexdigest()[:16])
    assert digests == ["2bf9efa13276bc38", "c2844ecdab7d3756"]
