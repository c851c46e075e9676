"""Example images of a data set, and augmented copies of them."""

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure

from unfair_bp.figures.style import default_style, new_figure, plain


@default_style()
def example_images(
    images: np.ndarray, augmented: np.ndarray, names: Sequence[str], heading: str
) -> Figure:
    """Draw images in a row, and below each its augmented copies.

    Images of three channels are shown in colour; of all others the mean of the channels, in grey.

    Args:
        images: uint8 ``[n, H, W, C]``.
        augmented: uint8 ``[copies, n, H, W, C]``; copies may be 0.
        names: The class of each image.
        heading: What data this is, in a line.
    """
    rows = [images, *augmented]
    figure = new_figure(1.1 * max(len(images), 4) + 0.9, 1.15 * len(rows) + 0.7, heading)
    grid = figure.subplots(len(rows), len(images), squeeze=False)
    for row, shown in enumerate(rows):
        for column, image in enumerate(shown):
            axes = grid[row][column]
            seen = image if image.shape[-1] == 3 else image.mean(axis=-1)
            axes.imshow(seen, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(plain(names[column]), fontsize=9)
        grid[row][0].set_ylabel("augmented" if row else "data", fontsize=9)
    return figure
