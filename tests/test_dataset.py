"""Data sets as values: what they are made of, and which networks they fit."""

import re
from dataclasses import replace

import numpy as np
import pytest

from unfair_bp.data import shapes, sources
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.architecture import Architecture, Layer
from unfair_bp.experiment.cases import CASES, OWN_DATA

IMAGES = (np.arange(6 * 28 * 28) % 256).astype(np.uint8).reshape(6, 28, 28, 1)
LABELS = np.array([0, 1, 2, 0, 1, 2])
SOUND = {
    "name": "own",
    "classes": ("x", "y", "z"),
    "train_images": IMAGES,
    "train_labels": LABELS,
    "test_images": IMAGES[:3],
    "test_labels": LABELS[:3],
}


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_arrays_of_any_size_and_integer_are_taken(kind):
    """Breaks if only the form of CIFAR-10 is taken, or only one type of labels."""
    dataset = Dataset(**dict(SOUND, train_labels=LABELS.astype(kind), classes=list("xyz")))
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.classes == ("x", "y", "z")
    assert dataset.first(2, 1).train_labels.tolist() == [0, 1]


BAD = {
    "float images": ("train_images", IMAGES / 255, "type float64, expected uint8"),
    "32-bit images": ("test_images", IMAGES.astype(np.int32), "type int32, expected uint8"),
    "objects": ("train_images", IMAGES.astype(object), "type object, expected uint8"),
    "a list": ("train_images", IMAGES.tolist(), "is a list, expected a NumPy array"),
    "without channels": ("train_images", IMAGES[..., 0], "shape (6, 28, 28)"),
    "not square": ("train_images", IMAGES[:, :14], "height equal to width"),
    "flat": ("train_images", IMAGES.reshape(6, 784), "shape (6, 784)"),
    "no image": ("train_images", IMAGES[:0], "is empty"),
    "images without a pixel": ("train_images", IMAGES[:, :0, :0], "is empty"),
    "no test image": ("test_images", IMAGES[:0], "is empty"),
    "two sizes": ("test_images", IMAGES[:3, :14, :14], "14x14x1, but train_images has 28x28x1"),
    "label -1": ("train_labels", LABELS - 1, "label -1, expected 0 to 2"),
    "label 3": ("test_labels", LABELS[:3] + 1, "label 3, expected 0 to 2"),
    "huge label": ("train_labels", LABELS.astype(np.uint64) + 2**63, "expected 0 to 2"),
    "float labels": ("train_labels", LABELS.astype(float), "type float64, expected integers"),
    "boolean labels": ("train_labels", LABELS == 1, "type bool, expected integers"),
    "text labels": ("train_labels", LABELS.astype(str), "expected integers"),
    "one-hot labels": ("train_labels", np.eye(3, dtype=int)[LABELS], "expected (6,)"),
    "labels in a column": ("train_labels", LABELS[:, None], "expected (6,)"),
    "a label short": ("train_labels", LABELS[:-1], "shape (5,), expected (6,)"),
    "no labels": ("test_labels", LABELS[:0], "is empty"),
    "0 to 1, converted to uint8": ("train_images", IMAGES // 128, "no value but 0 and 1"),
    "masked images": ("train_images", np.ma.masked_array(IMAGES, IMAGES > 9), "masked array"),
    "no classes": ("classes", (), "is empty"),
    "classes that are one text": ("classes", "xyz", "is 'xyz', expected a list"),
    "classes that are numbers": ("classes", range(3), "has 0, expected the name"),
    "a number of classes": ("classes", 3, "is 3, expected a list"),
    "no name": ("name", "", "expected a text"),
    "a name that is no text": ("name", None, "is None, expected a text"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_arrays_that_do_not_fit_are_refused(case):
    """Breaks if training on nonsense could begin, or the line does not name the array."""
    field, value, reason = BAD[case]
    with pytest.raises(FieldError) as caught:
        Dataset(**dict(SOUND, **{field: value}))
    assert caught.value.field == field
    assert str(caught.value).startswith(field + " ") and str(caught.value).isprintable()
    assert reason in str(caught.value)


def test_data_sets_are_values():
    """Breaks if data sets cannot be compared, or other images or names are taken for the same."""
    one = Dataset(**SOUND)
    # The classes become texts of NumPy's.
    copies = {name: np.array(value) for name, value in SOUND.items() if name != "name"}
    assert Dataset(**dict(SOUND, **copies)) == one
    for name in ("train_images", "train_labels", "test_images", "test_labels", "classes"):
        other = replace(one, **{name: getattr(one, name)[::-1]})
        assert other != one
    wide = Dataset(**dict(SOUND, train_labels=np.int64(SOUND["train_labels"])))
    assert wide == one
    assert replace(one, name="another") != one
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)  # its arrays can be changed
    assert one != "own"


def test_more_images_than_there_are_are_refused():
    """Breaks if a smaller data set than asked for is made in silence."""
    for sizes, field in (((7, 1), "train_size"), ((1, 4), "test_size")):
        with pytest.raises(FieldError, match=f"^{field} .* is more than the"):
            Dataset(**SOUND).first(*sizes)


# --- with a case

SMALL = Architecture(28, 1, (Layer(3, 4, 0.1, pool=True), Layer(1, 3, 0.1)))


def case_of(architecture):
    return replace(CASES["c"], data=OWN_DATA, architecture=architecture, schedule="fair")


@pytest.mark.parametrize(
    "architecture, reason",
    [
        (replace(SMALL, image_size=30), "takes images 30x30x1, but own has 28x28x1"),
        (replace(SMALL, image_channels=3), "takes images 28x28x3, but own has 28x28x1"),
        (SMALL.with_classes(2), "has 2 outputs, but own has 3 classes"),
        (SMALL.with_classes(4), "has 4 outputs, but own has 3 classes"),
    ],
)
def test_networks_that_do_not_fit_are_refused(architecture, reason):
    """Breaks if the mistake is met as an error of TensorFlow's, or trains on nonsense."""
    dataset = Dataset(**SOUND)
    dataset.check_fits(case_of(SMALL))
    with pytest.raises(FieldError, match="^architecture " + re.escape(reason)):
        dataset.check_fits(case_of(architecture))


def test_named_data_must_fit_the_network():
    """Breaks if a data set is read for a network that takes other images."""
    case = replace(CASES["a"], data="shapes", train_size=5, test_size=4)
    dataset = sources.load(case)
    assert (len(dataset.train_images), len(dataset.test_images)) == (5, 4)
    assert dataset.classes == shapes.CLASSES
    with pytest.raises(FieldError, match=r"^architecture takes images 28x28x1, but shapes has"):
        sources.load(replace(case, architecture=SMALL, schedule="fair"))


def test_data_of_ones_own_has_no_source():
    """Breaks if a run on a user's arrays is evaluated on other data, or ends in a traceback."""
    with pytest.raises(FieldError, match=r"^data 'own' .* from Python"):
        sources.load(case_of(SMALL))


def test_a_place_for_embedded_data_is_refused(tmp_path):
    """Breaks if the user believes that the images come from there."""
    with pytest.raises(UsageError, match=r"--data-dir .* has no effect"):
        sources.load(replace(CASES["a"], data="shapes"), str(tmp_path))


@pytest.mark.parametrize("data, name", [("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100")])
def test_sizes_are_checked_before_files_are_read(data, name, tmp_path):
    """Breaks if 170 MB are downloaded for a run that cannot be."""
    for field, most in (("train_size", 50_000), ("test_size", 10_000)):
        case = replace(CASES["a"], data=data, **{field: most + 1})
        with pytest.raises(FieldError, match=f"^{field} {most + 1} .* {name} has"):
            sources.load(case, str(tmp_path / "nowhere"))
