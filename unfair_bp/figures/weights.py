"""Histograms of the weights before and after training, in three panels as in the post."""

from typing import Dict, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter

from unfair_bp.figures.style import BLUE, GREEN, GRID, ORANGE, new_figure

PANELS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, ":"))
BINS = (10, 100)  # fewest and most; between, the root of the number of weights


def skewness(values: np.ndarray) -> float:
    """How lopsided values are: E[(w - mean)^3] / std^3, 0 if symmetric or all the same.

    Negative where the tail to the left is the longer one.
    """
    centered = values.astype(np.float64) - np.mean(values, dtype=np.float64)
    variance = np.mean(centered**2)
    return float(np.mean(centered**3) / variance**1.5) if variance > 0 else 0.0


def weight_histograms(
    before: Sequence[np.ndarray], after: Sequence[np.ndarray], heading: str
) -> Figure:
    """Draw the density of each layer's weights, above before and below after training.

    Args:
        before: Weights of layers 1 to 9.
        after: The same after training.
        heading: What was run, in a line.
    """
    figure = new_figure(12.0, 6.6, heading)
    grid = figure.subplots(2, len(PANELS), sharex="col", squeeze=False)
    for row, (when, weights) in enumerate({"before": before, "after": after}.items()):
        for column, numbers in enumerate(PANELS):
            axes = grid[row][column]
            _draw(axes, {number: weights[number - 1].ravel() for number in numbers})
            axes.set_title(
                "layers %d-%d, %s training" % (numbers[0], numbers[-1], when), loc="left"
            )
            if column == 0:
                axes.set_ylabel("density of the weights")
            if row == 1:
                axes.set_xlabel("weight")
    return figure


def _draw(axes: Axes, layers: Dict[int, np.ndarray]) -> None:
    """One panel: the layers' histograms over one set of bins, range and skewness in the legend."""
    reach = max(np.abs(values).max() for values in layers.values()) or 1.0
    for (number, values), (color, line) in zip(layers.items(), STYLES):
        bins = int(np.clip(np.sqrt(values.size), *BINS))
        density, edges = np.histogram(values, bins, (-reach, reach), density=True)
        label = "layer %d: %+.3f to %+.3f, skewness %+.2f" % (
            number,
            values.min(),
            values.max(),
            round(skewness(values), 2) + 0.0,  # -0.001 would be shown as -0.00
        )
        # From the axis to the axis: without its first edge a histogram looks lopsided.
        x, y = [edges[0], *edges], [0, *density, 0]
        axes.step(x, y, where="post", color=color, linestyle=line, label=label)
    axes.set_yscale("log")  # the range is in the tails, which a linear scale hides
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.45)  # room for the legend
    axes.legend(loc="upper center", fontsize=8)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
