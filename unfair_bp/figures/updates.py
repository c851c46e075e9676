"""How often each layer was updated, against what the schedule says."""

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from unfair_bp.figures.style import GRID, ORANGE, UPDATED, new_figure


def update_counts(counted: Sequence[int], expected: Sequence[int], heading: str) -> Figure:
    """Draw the updates of each layer as bars, and what the schedule says as marks.

    Args:
        counted: Updates of each layer, as its own counter has them.
        expected: What they should be after as many iterations.
        heading: What was run, in a line.
    """
    figure = new_figure(7.0, 4.0, heading)
    axes = figure.subplots()
    numbers = np.arange(1, len(counted) + 1)
    axes.bar(numbers, counted, color=UPDATED, width=0.7, label="counted while training")
    axes.plot(
        numbers,
        expected,
        linestyle="none",
        marker="_",
        markersize=26,
        markeredgewidth=2.5,
        color=ORANGE,
        label="the schedule says",
    )
    for number, count in zip(numbers, counted):
        axes.annotate(
            "{:,}".format(count),  # noqa: UP032 - an expression, not a text with one in it
            (number, count),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_xticks(numbers)
    axes.set_xlabel("layer")
    axes.set_ylabel("updates")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(0, 1.3 * max([1, *counted, *expected]))
    axes.legend(loc="upper center", ncol=2, fontsize=9)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    return figure
