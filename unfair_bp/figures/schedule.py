"""The picture of a schedule: the matrix, its cost, and the updates of each layer."""

from typing import Sequence, Tuple

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from unfair_bp.experiment.architecture import LayerSpec
from unfair_bp.experiment.schedules import Schedule, fair_step_flops, shortened
from unfair_bp.figures.style import SKIPPED, UPDATED, default_style, layer_axis, new_figure

MOST_STRIPES = 120  # of the picture; more would be thinner than a line
STRIPE_INCHES, LEAST_INCHES, MOST_INCHES = 0.3, 2.4, 9.0  # of a stripe; of all of them
SEPARATED_INCHES = 0.12  # height from which stripes have lines between them
WIDTH, MATRIX_INCHES = 8.0, 4.8
TURNED = 34  # digits of all counts together, from which they are written upwards


@default_style()
def schedule_heatmap(schedule: Schedule, layers: Sequence[LayerSpec]) -> Figure:
    """Draw a schedule: the matrix, the cost of each row, and the updates of each layer.

    A stripe is a row. Of a long schedule it is several, and its colours say in which share of them
    a layer is updated.

    Args:
        schedule: What to draw.
        layers: The network, for the cost.
    """
    period, together = schedule.period, -(-schedule.period // MOST_STRIPES)
    starts = np.arange(0, period, together)
    sizes = np.diff([*starts, period])
    share = np.add.reduceat(schedule.table.astype(float), starts) / sizes[:, None]
    cost = np.add.reduceat(schedule.row_flops(layers), starts) / sizes / fair_step_flops(layers)
    height = float(np.clip(STRIPE_INCHES * len(starts), LEAST_INCHES, MOST_INCHES))
    figure = new_figure(WIDTH, height + 2.3, _heading(schedule, together))
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 1.4], height_ratios=[height, 1.0])
    matrix = figure.add_subplot(grid[0, 0])
    separated = height / len(starts) >= SEPARATED_INCHES
    _draw_matrix(matrix, share, (together, period), separated)
    _draw_cost(figure.add_subplot(grid[0, 1], sharey=matrix), cost, starts - 0.5, sizes)
    _draw_counts(figure.add_subplot(grid[1, 0], sharex=matrix), schedule.updates(period))
    return figure


def _heading(schedule: Schedule, together: int) -> str:
    words = "blue: the layer is updated"
    if together > 1:
        words = f"{together} iterations to a stripe; the bluer, the more of them update the layer"
    return f"schedule {shortened(schedule.name, 40)}: {words}"


def _draw_matrix(axes: Axes, share: np.ndarray, rows_of: Tuple[int, int], separated: bool) -> None:
    """The matrix: rows downwards, layers to the right.

    Args:
        axes: Where.
        share: In which share of a stripe's rows each layer is updated: ``[stripes, layers]``.
        rows_of: The number of rows in a stripe, and in the schedule.
        separated: Whether there are lines between the rows.
    """
    together, period = rows_of
    stripes, layers = share.shape
    mixed = share[..., None] * to_rgb(UPDATED) + (1 - share[..., None]) * to_rgb(SKIPPED)
    pixels = np.rint(255 * mixed).astype(np.uint8)
    extent = (0.5, layers + 0.5, stripes * together - 0.5, -0.5)
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="nearest")
    axes.set_ylim(period - 0.5, -0.5)  # the last stripe may be of fewer rows
    axes.set_xticks(np.arange(layers + 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    if separated:
        axes.set_yticks(np.arange(period + 1) - 0.5, minor=True)
        axes.grid(which="minor", axis="y", color="white", linewidth=min(1.5, 30 / stripes))
    axes.tick_params(which="minor", length=0)
    axes.tick_params(labelbottom=False, bottom=False)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=20, min_n_ticks=1))
    axes.set_ylabel(f"iteration mod {period}")


def _draw_cost(axes: Axes, cost: np.ndarray, tops: np.ndarray, sizes: np.ndarray) -> None:
    """The cost of each stripe as a bar beside it, and the mean of all rows as a line."""
    mean = float(np.average(cost, weights=sizes))
    gap = 0.3 if len(cost) <= MOST_STRIPES // 2 else 0.0
    axes.barh(tops + sizes / 2, cost, color=UPDATED, height=(1 - gap) * sizes)
    axes.axvline(mean, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(0, 1.05)
    axes.tick_params(which="both", axis="y", left=False, labelleft=False)
    axes.set_xlabel(f"FLOPs / fair; mean {mean:.3f}")


def _draw_counts(axes: Axes, updates: np.ndarray) -> None:
    """The updates of each layer in a cycle."""
    numbers = np.arange(1, len(updates) + 1)
    axes.bar(numbers, updates, color=UPDATED, width=0.7)
    turned = sum(len(str(count)) for count in updates) > TURNED
    for number, count in zip(numbers, updates):
        axes.annotate(
            str(count),
            (number, count),
            (0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            rotation=90 if turned else 0,
        )
    axes.set_ylim(0, (1.9 if turned else 1.3) * max(updates))
    axes.tick_params(which="minor", length=0)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=3))
    axes.set_ylabel("updates\nper cycle")
    layer_axis(axes, len(updates), MATRIX_INCHES)
