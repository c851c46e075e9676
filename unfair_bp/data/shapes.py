"""The embedded data set: ten classes of drawings, made from a seed in about a second.

It needs no download, so every command can be tried, and every test can train, anywhere. The images
look like CIFAR-10's: 32x32 pixels, RGB, uint8, ten classes.

Three requirements shape the code:

* **Augmentation keeps the class.** Flips, rotations and translations must not turn one class into
  another. That is why there is an upright cross but no diagonal one, and why every drawing is
  rotated by a random angle to begin with.
* **A network learns it within a few epochs, but not at once.** Two classes share each of five
  colours, one filled and one thin. The network learns the colours first, which give half of the
  accuracy, and then the drawings.
* **The same bits everywhere.** Results are compared between versions of Python and NumPy, so the
  images must not depend on them. ``RandomState`` has frozen streams. The arithmetic is + - * /,
  sqrt, floor and comparisons on float64, which IEEE 754 rounds in exactly one way. There is no sin,
  cos, exp, hypot or normal deviate: those come from a mathematical library and may differ in the
  last digit.
"""

from typing import Callable, Dict, List, Tuple

import numpy as np

from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError

SEED = 2018
SIDE = 32
LARGEST = 100000  # images of a split: 300 MB

_TRAIN, _TEST = 0, 1  # the split's number seeds its random streams
_BLOCK = 64  # images drawn at once: bounds the memory, does not change the images
_PARAMETERS = 13  # random numbers per image, besides the noise
_NOISE = 12.0  # largest change of a pixel by noise, of 255
_PIXEL = np.arange(SIDE) - (SIDE - 1) / 2.0  # coordinates of pixel centres, 0 in the middle

# Each class is a function of coordinates: the distance from a point to the drawing's edge (negative
# inside), in units of the drawing's radius. Unlike a mask, a distance gives smooth edges at any
# size: a pixel less than half a pixel from the edge mixes both colours.
# `max` of two distances is the intersection of two drawings, `min` is their union, `-` turns a
# drawing inside out, and abs(distance) - w is a line of width 2w along its edge.
#
# x, y: coordinates [N, 32, 32] around the drawing's centre, rotated by its angle.
# p: a random number in [0, 1) per image [N, 1, 1], for the proportions (line widths, periods).
_Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _disc(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """All points within the radius; p is not used."""
    return np.sqrt(x * x + y * y) - 1.0


def _ring(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """A line along a circle."""
    width = 0.08 + 0.05 * p
    return np.abs(_disc(x, y, p) + width) - width


def _square(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Both coordinates below 0.85, which makes it about as large as the disc."""
    return np.maximum(np.abs(x), np.abs(y)) - 0.85


def _frame(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """A line along a square's edge."""
    width = 0.08 + 0.05 * p
    return np.abs(_square(x, y, p) + width) - width


def _triangle(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Below two slanting lines and above a horizontal one: an equilateral triangle."""
    slanting = 0.8660254037844386 * np.abs(x) + 0.5 * y
    return np.maximum(slanting, -y) - 0.7


def _cross(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Two bars at right angles."""
    width = 0.1 + 0.06 * p
    across = np.maximum(np.abs(x) - 1.05, np.abs(y) - width)
    upright = np.maximum(np.abs(x) - width, np.abs(y) - 1.05)
    return np.minimum(across, upright)


def _bar(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Long in one direction, thin in the other."""
    return np.maximum(np.abs(x) - 1.1, np.abs(y) - (0.14 + 0.08 * p))


def _wave(x: np.ndarray, period: np.ndarray) -> np.ndarray:
    """How far x is from the nearest multiple of the period."""
    return np.abs(x - period * np.floor(x / period + 0.5))


def _stripes(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Parallel lines as wide as their gaps, within a disc."""
    period = 0.5 + 0.15 * p
    return np.maximum(_wave(x, period) - period / 4.0, _disc(x, y, p) - 0.1)


def _checkerboard(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Points in a stripe of exactly one of two directions, in a square: four by four fields."""
    field = 0.4 + 0.07 * p
    a = _wave(x - field / 2.0, 2.0 * field) - field / 2.0
    b = _wave(y - field / 2.0, 2.0 * field) - field / 2.0
    either_not_both = np.maximum(np.minimum(a, b), -np.maximum(a, b))
    # Slightly less than four fields; otherwise the edge of a fifth would show as a thin line.
    return np.maximum(either_not_both, np.maximum(np.abs(x), np.abs(y)) - 2.0 * field + 0.06)


def _nearest(x: np.ndarray) -> np.ndarray:
    """Which of the three columns (or rows) of dots, -1, 0 or 1, is nearest."""
    return np.clip(np.floor(x / 0.75 + 0.5), -1.0, 1.0)


def _dots(x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """A lattice of three by three discs."""
    near_x, near_y = x - 0.75 * _nearest(x), y - 0.75 * _nearest(y)
    return np.sqrt(near_x * near_x + near_y * near_y) - (0.17 + 0.06 * p)


# A label is the index of its class in this table. The two classes of a column share a colour (see
# _colours); one is filled and the other thin.
DRAWINGS: Dict[str, _Distance] = dict(
    disc=_disc, square=_square, triangle=_triangle, stripes=_stripes, checkerboard=_checkerboard,
    ring=_ring, frame=_frame, cross=_cross, bar=_bar, dots=_dots,
)  # fmt: skip
# Red, green and blue of each colour, 0..255.
_PALETTE = np.array(
    [[225, 75, 75], [75, 205, 75], [85, 105, 235], [215, 200, 60], [200, 80, 210]], np.float64
)
_COLOUR_SPREAD = 30.0  # largest change of a colour's red, green and blue
CLASSES: Tuple[str, ...] = tuple(DRAWINGS)


def load(train_size: int = 3000, test_size: int = 1000) -> Dataset:
    """Draw the data set; a smaller one is the beginning of a larger one.

    Raises:
        FieldError: If a size is less than 1 or more than `LARGEST`.
    """
    check_sizes(train_size, test_size)
    train_images, train_labels = _draw_split(_TRAIN, train_size)
    test_images, test_labels = _draw_split(_TEST, test_size)
    return Dataset("shapes", CLASSES, train_images, train_labels, test_images, test_labels)


def check_sizes(train_size: int, test_size: int) -> None:
    """Make sure that so many images can be drawn.

    Raises:
        FieldError: If a size is less than 1 or more than `LARGEST`.
    """
    for field, size in (("train_size", train_size), ("test_size", test_size)):
        if not 1 <= size <= LARGEST:
            raise FieldError(field, f"{size} is out of range for shapes; give 1 to {LARGEST}")


def _draw_split(split: int, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Images and labels of one split.

    Every image takes the same number of draws from each stream, one image after the other, so
    image i does not depend on the size.
    """
    parameters = np.random.RandomState([SEED, split, 0])
    noise = np.random.RandomState([SEED, split, 1])
    images: List[np.ndarray] = []
    labels: List[np.ndarray] = []
    for start in range(0, size, _BLOCK):
        count = min(_BLOCK, size - start)
        block_images, block_labels = _draw_block(
            parameters.random_sample((count, _PARAMETERS)),
            noise.random_sample((count, SIDE, SIDE, 3)),
        )
        images.append(block_images)
        labels.append(block_labels)
    return np.concatenate(images), np.concatenate(labels)


def _draw_block(u: np.ndarray, noise: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Images and labels from random numbers in [0, 1): u [N, 13], noise [N, 32, 32, 3]."""
    labels = (u[:, 0] * len(CLASSES)).astype(np.uint8)
    drawn = _coverage(labels, u)[..., np.newaxis]
    background, foreground = _colours(labels, u)
    images = (foreground - background) * drawn
    images += background
    images += (2.0 * _NOISE) * noise
    images += 0.5 - _NOISE  # the noise is centred, and the floor below rounds to nearest
    return np.clip(np.floor(images, out=images), 0.0, 255.0, out=images).astype(np.uint8), labels


def _coverage(labels: np.ndarray, u: np.ndarray) -> np.ndarray:
    """How much of each pixel [N, 32, 32] the drawing covers, 0..1."""
    column = u[:, :, np.newaxis, np.newaxis]
    p = column[:, 1]
    radius = 9.0 + 3.0 * column[:, 2]  # in pixels
    room = SIDE / 2.0 - 1.0 - radius  # how far the centre may go from the image's
    x = _PIXEL[np.newaxis, np.newaxis, :] - (2.0 * column[:, 3] - 1.0) * room
    y = _PIXEL[np.newaxis, :, np.newaxis] - (2.0 * column[:, 4] - 1.0) * room

    # Rotate by any angle without sin and cos: t is the tangent of half the angle. From -1 to 1 it
    # covers half a circle, and the sign adds the other half.
    t = 2.0 * column[:, 5] - 1.0
    sign = np.where(column[:, 6] < 0.5, -1.0, 1.0)
    cos, sin = sign * (1.0 - t * t) / (1.0 + t * t), sign * 2.0 * t / (1.0 + t * t)
    turned_x, turned_y = (cos * x + sin * y) / radius, (cos * y - sin * x) / radius

    outside = np.empty((len(labels), SIDE, SIDE))  # in pixels
    for label, distance in enumerate(DRAWINGS.values()):
        of = labels == label
        outside[of] = distance(turned_x[of], turned_y[of], p[of]) * radius[of]
    return np.clip(0.5 - outside, 0.0, 1.0)


def _colours(labels: np.ndarray, u: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Background and foreground colours, [N, 1, 1, 3] each, 0..255: drawings are light on dark.

    Each colour of the palette belongs to two classes, so a network that sees only colours is right
    half of the time. With small initial weights the network is nearly linear, and a linear network
    that averages over the image sees only its mean colour: training needs that to start from.
    """
    background = 5.0 + 30.0 * u[:, 7:10]
    foreground = _PALETTE[labels % len(_PALETTE)] + _COLOUR_SPREAD * (2.0 * u[:, 10:13] - 1.0)
    return background[:, np.newaxis, np.newaxis, :], foreground[:, np.newaxis, np.newaxis, :]
