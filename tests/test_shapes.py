"""The embedded data set: the same drawings everywhere, and drawings worth learning from."""

import numpy as np
import pytest

from unfair_bp.data import shapes
from unfair_bp.errors import FieldError


@pytest.fixture(scope="module")
def data():
    return shapes.load(600, 400)


def test_form(data):
    """Breaks when the arrays stop having CIFAR-10's form, which training relies on."""
    assert data.name == "shapes"
    assert data.train_images.shape == (600, 32, 32, 3)
    assert data.test_images.shape == (400, 32, 32, 3)
    assert data.train_labels.shape == (600,)
    assert data.test_labels.shape == (400,)
    arrays = data.train_images, data.train_labels, data.test_images, data.test_labels
    assert all(array.dtype == np.uint8 for array in arrays)


def test_default_sizes():
    """Breaks when the default sizes change, on which documented results depend."""
    data = shapes.load()
    assert len(data.train_images) == len(data.train_labels) == 3000
    assert len(data.test_images) == len(data.test_labels) == 1000


def test_classes_are_roughly_balanced(data):
    """Breaks when a class is missing, rare, or has no name."""
    assert len(data.classes) == len(set(data.classes)) == 10
    for labels in (data.train_labels, data.test_labels):
        share = np.bincount(labels, minlength=10) / len(labels)
        assert share.shape == (10,)
        assert share.min() > 0.05
        assert share.max() < 0.15


def test_same_on_every_version():
    """Breaks when the images or labels change at all, or depend on NumPy or a libm."""
    assert shapes.load(300, 100).fingerprint() == (
        "55ae6893ba8c1135a1bf2b20b17e04bc4b4e19ed69eb1c63e670c864ca5faba8"
    )


def test_size_does_not_change_images(data):
    """Breaks when an image depends on how many are drawn, within a block or across blocks."""
    for size in (1, shapes._BLOCK, shapes._BLOCK + 1, 599):
        fewer = shapes.load(size, min(size, 400))
        np.testing.assert_array_equal(fewer.train_images, data.train_images[:size])
        np.testing.assert_array_equal(fewer.train_labels, data.train_labels[:size])
        np.testing.assert_array_equal(fewer.test_images, data.test_images[: min(size, 400)])
        np.testing.assert_array_equal(fewer.test_labels, data.test_labels[: min(size, 400)])


def test_no_image_twice(data):
    """Breaks when training and test share random numbers, or a stream starts over."""
    images = [image.tobytes() for image in data.train_images]
    images += [image.tobytes() for image in data.test_images]
    assert len(set(images)) == 1000


def test_no_drawing_twice_but_for_noise():
    """Breaks when only the noise differs between training and test images."""
    data = shapes.load(100, 100)
    both = data.train_images, data.test_images
    coarse = [images.reshape(100, 8, 4, 8, 4, 3).mean(axis=(2, 4)) for images in both]
    gaps = np.abs(coarse[0][:, np.newaxis] - coarse[1][np.newaxis]).mean(axis=(2, 3, 4))
    assert gaps.min() > 4.0  # noise alone leaves about 1


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ((0, 10), "train_size 0 "),
        ((10, 0), "test_size 0 "),
        ((-1, 10), "train_size -1 "),
        ((10, 10**12), "test_size 1000000000000 "),
    ],
)
def test_sizes_out_of_range(sizes, named):
    """Breaks when an empty or endless split gets as far as training."""
    with pytest.raises(FieldError, match=named):
        shapes.load(*sizes)


def test_contrast(data):
    """Breaks when a drawing is left out or hardly differs from its background."""
    brightness = data.train_images.max(axis=3)
    low, high = np.percentile(brightness, [2, 98], axis=(1, 2))
    assert np.min(high - low) > 60.0


def test_drawings_stay_inside(data):
    """Breaks when positions put a large part of a drawing outside its image."""
    bright = data.train_images.max(axis=3) > 100
    inside = bright[:, 1:-1, 1:-1].sum(axis=(1, 2))
    assert np.min(inside / bright.sum(axis=(1, 2))) > 0.85


@pytest.mark.parametrize("name", shapes.CLASSES)
def test_flips_keep_the_class(name):
    """Breaks when a class has a handedness that a flip would turn into another drawing.

    A drawing that is its own mirror image about some line becomes, flipped, the same drawing
    turned; as drawings come at every angle, that is one of the same class.
    """
    axis = np.linspace(-1.2, 1.2, 25)
    x, y = np.meshgrid(axis, axis)
    p = np.array(0.3)
    drawing = shapes.DRAWINGS[name](x, y, p)
    mirrored = [shapes.DRAWINGS[name](*at, p) for at in ((-x, y), (x, -y), (y, x))]
    assert any(np.allclose(drawing, other) for other in mirrored)


def test_two_classes_share_each_colour(data):
    """Breaks when the colour alone tells the class, or two classes lose their colour."""
    bright = data.train_images.max(axis=3) > 100
    colours = []
    for label in range(10):
        of = data.train_labels == label
        colours.append(data.train_images[of][bright[of]].mean(axis=0))
    for label in range(5):
        gaps = [np.abs(colours[label] - other).max() for other in colours]
        assert sorted(range(10), key=gaps.__getitem__)[:2] == [label, label + 5]
        assert gaps[label + 5] < 35.0
        assert sorted(gaps)[2] > 40.0
