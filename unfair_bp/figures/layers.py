"""What becomes of each layer's weights over the epochs of a run: rotation, norm, skewness."""

import math
from typing import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from unfair_bp.figures.style import (
    MARKED,
    WIDTH,
    default_style,
    layer_styles,
    new_figure,
    pale_grid,
)
from unfair_bp.running.metrics import LayerMetrics

# For each panel its field and its title.
PANELS = (
    ("rotation", "rotation: cosine distance from the start"),  # on a logarithmic axis
    ("norm", "norm of the weights"),
    ("skewness", "skewness of the weights"),
)
LEGEND_LINES = 16  # of a column of the legend


@default_style()
def layer_curves(rows: Sequence[LayerMetrics], heading: str) -> Figure:
    """Draw rotation, norm and skewness of each layer's weights, a panel for each.

    Layers turn at rates that differ by orders of magnitude, so that rotation has a logarithmic
    axis, without the zeros of the start. A line has a gap where an epoch is missing.

    Args:
        rows: What was measured, epochs ascending.
        heading: What was run, in a line.
    """
    figure = new_figure(WIDTH, 6.4, heading)
    *panels, legend = figure.subplots(2, 2).ravel()
    known = {row.epoch: row for row in rows}
    epochs = range(rows[-1].epoch + 1)
    layers = len(rows[0].norm)
    marker = "o" if len(epochs) <= MARKED + 1 else None
    for axes, (field, title) in zip(panels, PANELS):
        for layer, (color, line) in zip(range(layers), layer_styles()):
            values = [getattr(known[e], field)[layer] if e in known else math.nan for e in epochs]
            if field == "rotation":
                values = [value if value > 0 else math.nan for value in values]
            axes.plot(
                epochs,
                values,
                color=color,
                linestyle=line,
                marker=marker,
                markersize=3,
                label=f"layer {layer + 1}",
            )
        if field == "rotation" and any(value > 0 for row in rows for value in row.rotation):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(title, loc="left", fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch")
        pale_grid(axes)
    legend.axis("off")
    legend.legend(
        *panels[0].get_legend_handles_labels(),
        loc="center",
        ncol=math.ceil(layers / LEGEND_LINES),
        fontsize=9,
        frameon=False,
    )
    return figure
