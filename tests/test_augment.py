"""Augmentation: what it does to images, how often, and that it follows its seed."""

import sys

import commands
import numpy as np
import pytest

from unfair_bp.data.augment import Augmenter, check_available, through_uint8

TRIES = 400


@pytest.fixture(scope="module")
def augmenter():
    """One augmenter for all tests: it keeps no state between calls."""
    return Augmenter()


@pytest.fixture
def images():
    """Four images without symmetry, values away from the black that an affine fills in."""
    return np.random.RandomState(0).uniform(0.2, 1.0, [4, 32, 32, 3]).astype(np.float32)


def test_follows_the_seed_alone(augmenter, images):
    """Breaks if an earlier call, or the order of calls, changes a batch."""
    first = augmenter(images, 5)
    other = augmenter(images, 6)
    assert augmenter(images, 5).tobytes() == first.tobytes()
    assert Augmenter()(images, 5).tobytes() == first.tobytes()
    assert any(augmenter(images, seed).tobytes() != first.tobytes() for seed in range(6, 60))
    assert other.shape == images.shape


def test_floats_stay_floats(augmenter, images):
    """Breaks if an image is cast to uint8 on the way, which blackens it."""
    for seed in range(60):
        augmented = augmenter(images, seed)
        assert augmented.dtype == np.float32
        assert augmented.min() >= 0.0
        assert augmented.max() <= 1.0
        assert len(np.unique(augmented)) > 1000


def test_input_is_not_changed(augmenter, images):
    """Breaks if the clean half of a batch is augmented too."""
    before = images.copy()
    for seed in range(30):
        augmenter(images, seed)
    np.testing.assert_array_equal(images, before)


def test_how_often_each_step_is_taken(augmenter, images):
    """Breaks if the flip is not always, or shift and upside-down not with probability 0.1 each."""
    flipped = images[:, :, ::-1]
    counts = {"flip": 0, "flip and upside down": 0, "affine": 0}
    for seed in range(TRIES):
        for augmented, flip in zip(augmenter(images, seed), flipped):
            if np.array_equal(augmented, flip):
                counts["flip"] += 1
            elif np.array_equal(augmented, flip[::-1]):
                counts["flip and upside down"] += 1
            else:
                counts["affine"] += 1
    total = TRIES * len(images)
    assert counts["flip"] / total == pytest.approx(0.81, abs=0.04)
    assert counts["flip and upside down"] / total == pytest.approx(0.09, abs=0.03)
    assert counts["affine"] / total == pytest.approx(0.10, abs=0.03)


def test_shifts_and_rotations_stay_in_range(augmenter):
    """Breaks if an image is moved farther than 20 %, turned by more than 25 degrees, or scaled."""
    image = np.zeros([1, 32, 32, 3], np.float32)
    image[0, 15:17, 12:20] = 1.0  # a horizontal bar in the middle, 8 x 2 pixels
    plain = image[0, :, :, 0]
    rows, columns = np.mgrid[:32, :32] - 15.5
    shifts, angles = [], []
    for seed in range(2 * TRIES):
        moved = augmenter(image, seed)[0, :, :, 0].astype(float)
        if np.array_equal(moved, plain):
            continue
        mass = moved.sum()
        assert mass == pytest.approx(plain.sum(), rel=0.1)
        y, x = (rows * moved).sum() / mass, (columns * moved).sum() / mass
        shifts.append((x, y))
        xx, yy = ((columns - x) ** 2 * moved).sum(), ((rows - y) ** 2 * moved).sum()
        xy = ((columns - x) * (rows - y) * moved).sum()
        angles.append(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)))
    shifts, angles = np.array(shifts), np.array(angles)
    limit = 0.2 * 32 + 1.0  # imgaug rounds to pixels and rotates about a pixel's corner
    assert len(shifts) > TRIES / 10
    assert np.abs(shifts).max() <= limit
    assert (np.abs(shifts).max(axis=0) > 0.7 * limit).all()
    assert np.abs(angles).max() <= 26
    assert angles.max() > 15
    assert angles.min() < -15


def test_numpy_is_left_as_it_was():
    """Breaks if the table lent to imgaug stays behind in NumPy 2."""
    assert "imgaug" in sys.modules
    assert hasattr(np, "sctypes") == (int(np.__version__.split(".")[0]) < 2)


def test_through_uint8():
    """Breaks if fractions are rounded instead of cut off, or a 1 does not stay."""
    values = through_uint8(np.array([0.0, 0.4, 0.6, 0.999, 1.0], np.float32))
    assert values.dtype == np.float32
    assert values.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 9, 2), (16, 16, 5)])
def test_images_of_any_size_are_augmented(augmenter, shape):
    """Breaks if images must be those of CIFAR-10: others lose a channel or become black."""
    images = np.random.RandomState(0).uniform(0.2, 1.0, [40, *shape]).astype(np.float32)
    copies = augmenter(images, 5)
    assert copies.shape == images.shape and copies.dtype == np.float32
    flipped = (copies == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert 0.6 < flipped.mean() < 1.0


BROKEN = {
    "OpenCV cannot be loaded": (
        "cv2",
        "raise ImportError('libGL.so.1: cannot open shared object file')",
        "libGL.so.1",
    ),
    "OpenCV is of another kind": ("cv2", "", "cv2"),
    "imgaug says much": ("imgaug", "raise RuntimeError('two\\nlines')", "two lines"),
    "imgaug says nothing": ("imgaug", "raise OSError", "OSError; install imgaug"),
    "imgaug is too old": ("imgaug", "import numpy\nnumpy.no_such_name", "no_such_name"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_library_that_cannot_be_loaded_is_one_line(case, tmp_path):
    """Breaks if the run begins and then ends in a traceback, or NumPy keeps the lent table."""
    module, content, reason = BROKEN[case]
    (tmp_path / (module + ".py")).write_text(content)
    code = (
        "import sys\nsys.path.insert(0, '.')\nimport numpy as np\nbefore = hasattr(np, 'sctypes')\n"
        "from unfair_bp.data.augment import check_available\n"
        "from unfair_bp.errors import LibraryError\n"
        "try:\n    check_available()\nexcept LibraryError as error:\n    print(error)\n"
        "assert hasattr(np, 'sctypes') == before"
    )
    status, output, errors = commands.run(["-c", code], tmp_path)
    assert (status, output.count("\n")) == (0, 1), errors
    assert output.startswith("augmentation needs imgaug and OpenCV, which cannot be loaded: ")
    assert reason in output


def test_libraries_that_are_there_are_found():
    """Breaks if augmentation is refused where it would work."""
    check_available()
