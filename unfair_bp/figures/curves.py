"""Accuracy and cost over the epochs of a run."""

import math
from itertools import chain
from typing import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfair_bp.figures.style import (
    BLUE,
    GREEN,
    MARKED,
    ORANGE,
    WIDTH,
    default_style,
    new_figure,
    pale_grid,
)
from unfair_bp.running.metrics import EpochMetrics

# Legend, colour and line of each part of the images.
STYLES = {
    "test": ("test, after each epoch", BLUE, "-"),
    "validation": ("validation, likewise", GREEN, "-."),
    "train": ("train, mean of each epoch", ORANGE, "--"),
}


@default_style()
def learning_curves(metrics: Sequence[EpochMetrics], heading: str) -> Figure:
    """Draw test, validation and train accuracy in one panel, and their costs in another.

    Args:
        metrics: The finished epochs, at least one.
        heading: What was run, in a line.
    """
    figure = new_figure(WIDTH, 3.6, heading)
    grid = figure.add_gridspec(2, 2, height_ratios=[0.05, 1])
    accuracy, cost = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    epochs = [row.epoch for row in metrics]
    last = metrics[-1]
    parts = [part for part in STYLES if part in last.results]
    for axes, place in ((cost, 0), (accuracy, 1)):
        _draw(axes, epochs, {part: [row.results[part][place] for row in metrics] for part in parts})
        at_last = ", ".join(f"{part} {last.results[part][place]:.4f}" for part in parts)
        axes.set_title(at_last, loc="left", fontsize=10)
    accuracy.set_ylabel("accuracy")
    accuracy.set_ylim(0, 1.03)
    cost.set_ylabel("cost (nats)")
    costs = chain.from_iterable(line.get_ydata() for line in cost.get_lines())
    highest = max(filter(math.isfinite, costs), default=0.0)
    cost.set_ylim(0, 1.05 * highest or 1.0)
    legend = figure.add_subplot(grid[0, :])  # a row of its own: no curve is covered
    legend.axis("off")
    handles, labels = accuracy.get_legend_handles_labels()
    legend.legend(handles, labels, loc="center", ncol=len(parts), fontsize=9, frameon=False)
    return figure


def _draw(axes: Axes, epochs: Sequence[int], values_of: Mapping[str, Sequence[float]]) -> None:
    """One panel: a quantity of each part of the images, a value for each epoch."""
    marker = "o" if len(epochs) <= MARKED else None
    for part, values in values_of.items():
        label, color, line = STYLES[part]
        axes.plot(
            epochs, values, color=color, linestyle=line, marker=marker, markersize=4, label=label
        )
    axes.set_xlim(0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    pale_grid(axes)
