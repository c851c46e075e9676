"""The picture of a schedule: the matrix, its cost, and the updates of each layer."""

from typing import Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

from unfair_bp.experiment.architecture import LayerSpec
from unfair_bp.experiment.schedules import Schedule, fair_step_flops
from unfair_bp.figures.style import SKIPPED, UPDATED, new_figure

ROWS_SHOWN = 60  # of a long schedule; more would be thinner than a line


def schedule_heatmap(schedule: Schedule, layers: Sequence[LayerSpec]) -> Figure:
    """Draw a schedule: the matrix, the cost of each row, and the updates of each layer.

    Args:
        schedule: What to draw; of a long one, the first rows.
        layers: The network, for the cost.
    """
    rows = min(schedule.period, ROWS_SHOWN)
    table = schedule.table[:rows]
    height = max(2.4, 0.3 * rows)
    figure = new_figure(8.0, height + 2.2)
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 1.4], height_ratios=[height, 1.0])
    matrix = figure.add_subplot(grid[0, 0])
    cost = figure.add_subplot(grid[0, 1], sharey=matrix)
    counts = figure.add_subplot(grid[1, 0], sharex=matrix)
    numbers = np.arange(1, len(layers) + 1)
    edges = np.arange(len(layers) + 1) + 0.5

    filled = np.where(table[..., None], _rgb(UPDATED), _rgb(SKIPPED))
    matrix.imshow(filled, extent=(edges[0], edges[-1], rows - 0.5, -0.5), aspect="auto")
    matrix.set_xticks(edges, minor=True)
    matrix.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    matrix.grid(which="minor", color="white", linewidth=1.5)
    matrix.tick_params(which="minor", length=0)
    matrix.tick_params(labelbottom=False, bottom=False)
    matrix.set_yticks(np.arange(0, rows, 1 + rows // 20))
    matrix.set_ylabel("iteration mod %d" % schedule.period)
    shown = "" if rows == schedule.period else " (first %d of %d rows)" % (rows, schedule.period)
    matrix.set_title("schedule %s%s: updated layers in blue" % (schedule.name, shown), loc="left")

    relative = schedule.row_flops(layers)[:rows] / fair_step_flops(layers)
    cost.barh(np.arange(rows), relative, color=UPDATED, height=0.7)
    cost.axvline(schedule.relative_cost(layers), color="black", linestyle="--", linewidth=1)
    cost.set_xlim(0, 1.05)
    cost.tick_params(which="both", axis="y", left=False, labelleft=False)
    cost.set_xlabel("FLOPs / fair; mean %.3f" % schedule.relative_cost(layers))

    updates = schedule.updates(schedule.period)
    counts.bar(numbers, updates, color=UPDATED, width=0.7)
    for number, count in zip(numbers, updates):
        counts.annotate(
            str(count), (number, count), (0, 2), textcoords="offset points", ha="center", fontsize=8
        )
    counts.set_xticks(numbers)
    counts.tick_params(which="minor", length=0)
    counts.set_ylim(0, 1.3 * max(updates))
    counts.yaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=3))
    counts.set_xlabel("layer")
    counts.set_ylabel("updates\nper cycle")
    return figure


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
