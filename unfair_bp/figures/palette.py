"""One palette for all frames of an animation."""

from typing import Sequence

import numpy as np
from PIL import Image

COLORS = 250  # of a file; text and slanted lines are smoothed in a few shades


class Palette:
    """The colours that most pixels have: one palette for all frames, so that none flickers.

    Pillow's own choice of the nearest colour would turn white into a light grey.

    Args:
        samples: Pixels to choose from, uint8 ``[height, width, 3]`` each.
    """

    def __init__(self, samples: Sequence[np.ndarray]) -> None:
        packed, counts = np.unique(np.concatenate([_pack(x) for x in samples]), return_counts=True)
        packed = packed[np.argsort(-counts, kind="stable")]
        # The first, that is most frequent, of colours that agree in four of eight bits.
        _, first = np.unique(packed & 0xF0F0F0, return_index=True)
        self.colors = _unpack(packed[np.sort(first)[:COLORS]])
        self.nearest = np.full(2**24, -1, np.int16)  # of a packed colour; -1: not yet asked for

    def image(self, pixels: np.ndarray) -> Image.Image:
        """The pixels as an image in this palette."""
        packed = _pack(pixels)
        new = np.unique(packed[self.nearest[packed] < 0])
        apart = _unpack(new)[:, None] - self.colors
        self.nearest[new] = np.sum(apart**2, axis=2).argmin(axis=1)
        image = Image.fromarray(self.nearest[packed].astype(np.uint8))
        image.putpalette(self.colors.astype(np.uint8).tobytes())
        return image


def _pack(pixels: np.ndarray) -> np.ndarray:
    """Colours as one number each."""
    return pixels @ np.array([65536, 256, 1])


def _unpack(packed: np.ndarray) -> np.ndarray:
    """The colours of these numbers: int ``[..., 3]``."""
    return packed[..., None] >> [16, 8, 0] & 255
