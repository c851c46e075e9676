"""Histograms of the weights before and after training, a third of the layers in each row."""

from typing import Dict, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter

from unfair_bp.figures.style import WIDTH, default_style, layer_styles, new_figure, pale_grid
from unfair_bp.running.metrics import skewness

ROWS = 3  # thirds of the layers, as in the post
BINS = (10, 100)  # fewest and most; between, the root of the number of weights
PLOT_INCHES, LEGEND_INCHES = 2.0, 0.17  # heights of a panel's curves, and of a line of its legend


@default_style()
def weight_histograms(
    before: Sequence[np.ndarray], after: Sequence[np.ndarray], heading: str
) -> Figure:
    """Draw the density of each layer's weights, on the left before and on the right after training.

    Both have the same axes and the same bins.

    Args:
        before: Weights of each layer, first to last.
        after: The same after training.
        heading: What was run, in a line.
    """
    groups = np.array_split(np.arange(len(before)), min(ROWS, len(before)))
    legend = LEGEND_INCHES * (len(groups[0]) + 0.5)
    height = PLOT_INCHES + legend
    figure = new_figure(WIDTH, len(groups) * (height + 0.4) + 0.8, heading)
    grid = figure.subplots(len(groups), 2, sharex="row", sharey="row", squeeze=False)
    for row, group in zip(grid, groups):
        reach = max(np.abs(weights[i]).max() for weights in (before, after) for i in group) or 1.0
        for axes, weights, when in zip(row, (before, after), ("before", "after")):
            _draw(axes, {i + 1: weights[i].ravel() for i in group}, reach)
            first, last = group[0] + 1, group[-1] + 1
            layers = f"layer {first}" if first == last else f"layers {first}-{last}"
            axes.set_title(f"{layers}, {when} training", loc="left", fontsize=10)
        shared = row[0]
        shared.set_yscale("log")  # the range is in the tails, which a linear scale hides
        shared.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        shared.yaxis.set_minor_formatter(NullFormatter())
        low, high = shared.get_ylim()
        room = height / (height - legend)  # above the curves, for the legend
        shared.set_ylim(low, low * (high / low) ** room)
        shared.set_ylabel("density")
    for axes in grid[-1]:
        axes.set_xlabel("weight")
    return figure


def _draw(axes: Axes, layers: Dict[int, np.ndarray], reach: float) -> None:
    """One panel: the layers' histograms from -reach to reach, range and skewness in the legend."""
    for (number, values), (color, line) in zip(layers.items(), layer_styles()):
        bins = int(np.clip(np.sqrt(values.size), *BINS))
        density, edges = np.histogram(values, bins, (-reach, reach), density=True)
        skew = round(skewness(values), 2) + 0.0  # -0.001 would be shown as -0.00
        label = f"layer {number}: {values.min():+.3f} to {values.max():+.3f}, skewness {skew:+.2f}"
        # From the axis to the axis: without its first edge a histogram looks lopsided.
        x, y = [edges[0], *edges], [0, *density, 0]
        axes.step(x, y, where="post", color=color, linestyle=line, label=label)
    axes.legend(loc="upper center", fontsize=8)
    pale_grid(axes)
