"""How often each layer was updated, against what the schedule says."""

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from unfair_bp.figures.style import (
    ORANGE,
    UPDATED,
    WIDTH,
    default_style,
    layer_axis,
    new_figure,
    pale_grid,
)

INCHES_PER_LAYER = 0.35  # at the least
LEVEL = 12  # layers up to which the counts are not written upwards


@default_style()
def update_counts(counted: Sequence[int], expected: Sequence[int], heading: str) -> Figure:
    """Draw the updates of each layer as bars, and what the schedule says as marks.

    Args:
        counted: Updates of each layer, as metrics.csv has them: by the optimizer's own counter,
            unless the schedule resets it.
        expected: What the schedule says for this number of iterations.
        heading: What was run, in a line.
    """
    width = max(WIDTH, INCHES_PER_LAYER * len(counted) + 1.0)
    figure = new_figure(width, 4.0, heading)
    axes = figure.subplots()
    numbers = np.arange(1, len(counted) + 1)
    axes.bar(numbers, counted, color=UPDATED, width=0.7, label="metrics.csv")
    axes.plot(
        numbers,
        expected,
        linestyle="none",
        marker="_",
        markersize=min(26, 0.7 * 72 * (width - 1.0) / len(counted)),  # as wide as a bar
        markeredgewidth=2.5,
        color=ORANGE,
        label="the schedule says",
    )
    for number, count in zip(numbers, counted):
        axes.annotate(
            f"{count:,}",
            (number, count),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            rotation=0 if len(counted) <= LEVEL else 90,
        )
    layer_axis(axes, len(counted), width - 1.0)
    axes.set_ylabel("updates")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(0, 1.4 * max([1, *counted, *expected]))
    axes.legend(loc="upper center", ncol=2, fontsize=9)
    pale_grid(axes)
    return figure
