"""The picture of a schedule: the matrix, its cost, and the updates of each layer."""

from typing import Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from unfair_bp.experiment.architecture import LayerSpec
from unfair_bp.experiment.matrix import Schedule, fair_step_flops, shortened
from unfair_bp.figures.style import SKIPPED, UPDATED, WIDTH, default_style, layer_axis, new_figure

MOST_STRIPES = 120  # of the picture; more would be thinner than a line
STRIPE_INCHES, LEAST_INCHES, MOST_INCHES = 0.3, 2.4, 9.0  # of a stripe; of all of them
SEPARATED_INCHES = 0.12  # height from which stripes have lines between them
MATRIX_INCHES = 4.8
DIGIT_INCHES = 0.075  # of a count, whose bars are an inch high at most
TURNED = 34  # digits of all counts together, from which they are written upwards
PALE = "#C3DFF0"  # a layer whose learning rate is multiplied by almost nothing
RAISED = ("#F3BE9C", "#C44E00")  # by just above 1, and by the largest factor
MOMENTS = {"keep": "", "reset": ", moments reset", "reset-all": ", moments reset-all"}


class Stripes:
    """A schedule cut into stripes of one or several rows, and what they have on average.

    Args:
        schedule: What to cut.
        layers: The network, for the cost.
    """

    def __init__(self, schedule: Schedule, layers: Sequence[LayerSpec]) -> None:
        period = schedule.period
        self.together = -(-period // MOST_STRIPES)  # rows in each stripe but the last
        starts = np.arange(0, period, self.together)
        rows = np.diff([*starts, period])
        self.updated = np.logical_or.reduceat(schedule.table, starts)
        self.rate = np.add.reduceat(schedule.rates, starts) / rows[:, None]
        self.highest = max(1.0, float(self.rate.max()))
        flops = np.add.reduceat(schedule.row_flops(layers), starts) / rows
        self.cost = flops / fair_step_flops(layers)
        # A row that is one iteration is centred on its number; one of several lasts from its first
        # to that of the next row.
        self.held = schedule.hold > 1
        edges = np.append(schedule.hold * starts, schedule.cycle)
        self.edges = edges - (0.0 if self.held else 0.5)


def shades(updated: np.ndarray, rate: np.ndarray, highest: float) -> np.ndarray:
    """The colours of layers: grey if not updated, pale to blue up to rate 1, and orange above.

    Args:
        updated: Whether each layer is updated at all: bool, of any shape.
        rate: What its learning rate is multiplied by, in the same shape.
        highest: The largest rate that there is.

    Returns:
        uint8, RGB in a further axis of 3.
    """
    low = np.clip(rate, 0, 1)[..., None]
    high = np.clip((rate - 1) / max(highest - 1, 1e-9), 0, 1)[..., None]
    blue = low * to_rgb(UPDATED) + (1 - low) * to_rgb(PALE)
    orange = high * to_rgb(RAISED[1]) + (1 - high) * to_rgb(RAISED[0])
    color = np.where(rate[..., None] <= 1, blue, orange)
    color = np.where(updated[..., None], color, to_rgb(SKIPPED))
    return np.rint(255 * color).astype(np.uint8)


def title(schedule: Schedule, letters: int) -> str:
    """What a picture of a schedule is called.

    Args:
        schedule: What is shown.
        letters: The most that its name may take.
    """
    name = shortened(" ".join(schedule.name.split()), letters)
    rows = f"{schedule.period} row" + "s" * (schedule.period > 1)
    held = f" x {schedule.hold} iterations" if schedule.hold > 1 else ""
    return f"schedule {name}, {rows}{held}{MOMENTS[schedule.moments]}"


@default_style()
def schedule_heatmap(schedule: Schedule, layers: Sequence[LayerSpec]) -> Figure:
    """Draw a schedule: the matrix, the cost of each row, and the updates of each layer.

    A stripe is a row. Of a long schedule it is several, and shows their mean.

    Args:
        schedule: What to draw.
        layers: The network, for the cost.
    """
    stripes = Stripes(schedule, layers)
    count = len(stripes.cost)
    height = float(np.clip(STRIPE_INCHES * count, LEAST_INCHES, MOST_INCHES))
    figure = new_figure(WIDTH, height + 2.3, title(schedule, 40))
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 1.4], height_ratios=[height, 1.0])
    matrix = figure.add_subplot(grid[0, 0])
    _draw_matrix(matrix, stripes, separated=height / count >= SEPARATED_INCHES)
    matrix.set_ylabel("iteration" if schedule.spans_run else f"iteration mod {schedule.cycle}")
    _draw_cost(figure.add_subplot(grid[0, 1], sharey=matrix), stripes)
    counts = figure.add_subplot(grid[1, 0], sharex=matrix)
    _draw_counts(counts, schedule.updates(schedule.cycle))
    counts.set_ylabel("updates\nper run" if schedule.spans_run else "updates\nper cycle")
    _draw_legend(figure.add_subplot(grid[1, 1]), schedule, stripes)
    return figure


def _draw_matrix(axes: Axes, stripes: Stripes, separated: bool) -> None:
    """The matrix: rows downwards, layers to the right; with lines between the rows or not."""
    count, layers = stripes.rate.shape
    top, bottom = stripes.edges[0], stripes.edges[-1]
    drawn = top + count * (stripes.edges[1] - top)  # the last stripe may be of fewer rows
    extent = (0.5, layers + 0.5, drawn, top)
    pixels = shades(stripes.updated, stripes.rate, stripes.highest)
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="nearest")
    axes.set_ylim(bottom, top)
    for number in range(layers + 1):
        axes.axvline(number + 0.5, color="white", linewidth=1.5)
    if separated:
        for edge in stripes.edges:
            axes.axhline(edge, color="white", linewidth=min(1.5, 30 / count))
    axes.tick_params(labelbottom=False, bottom=False)
    if stripes.held and count < 20:
        axes.set_yticks(stripes.edges)
    else:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=20, min_n_ticks=1))


def _draw_cost(axes: Axes, stripes: Stripes) -> None:
    """The cost of each stripe as a bar beside it, and the mean of all rows as a line."""
    sizes = np.diff(stripes.edges)
    mean = float(np.average(stripes.cost, weights=sizes))
    gap = 0.3 if len(sizes) <= MOST_STRIPES // 2 else 0.0
    axes.barh(stripes.edges[:-1] + sizes / 2, stripes.cost, color=UPDATED, height=(1 - gap) * sizes)
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
            va="bottom",
            fontsize=8,
            rotation=90 if turned else 0,
        )
    room = DIGIT_INCHES * len(str(max(updates))) + 0.1 if turned else 0.25
    axes.set_ylim(0, max(updates) / (1 - min(room, 0.85)))
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=3))
    layer_axis(axes, len(updates), MATRIX_INCHES)


def _draw_legend(axes: Axes, schedule: Schedule, stripes: Stripes) -> None:
    """What the colours say: two of them, or a bar of all."""
    axes.axis("off")
    skipped = Patch(color=SKIPPED, label="not updated")
    if stripes.together == 1 and schedule.factors is None:
        handles = [Patch(color=UPDATED, label="updated"), skipped]
        axes.legend(handles=handles, loc="center", fontsize=9, frameon=False)
        return
    axes.legend(handles=[skipped], loc="upper center", fontsize=9, frameon=False)
    bar = axes.inset_axes([0.04, 0.36, 0.92, 0.2])
    # Half of the bar is up to 1, however much is above.
    knots = [0.0, 1.0, stripes.highest] if stripes.highest > 1 else [0.0, 0.5, 1.0]
    rate = np.interp((np.arange(256) + 0.5) / 128, [0, 1, 2], knots)[None]
    colors = shades(np.ones_like(rate, bool), rate, stripes.highest)
    bar.imshow(colors, extent=(0, 2, 0, 1), aspect="auto")
    bar.set_yticks([])
    bar.set_xticks([0, 1, 2])
    bar.set_xticklabels([f"{knot:.3g}" for knot in knots], fontsize=8)
    together = f"\n{stripes.together} rows to a stripe" if stripes.together > 1 else ""
    words = "learning rate \N{MULTIPLICATION SIGN}"
    if schedule.factors is None:
        words = "share of the rows"
    elif together:
        words = "mean " + words
    bar.set_xlabel(words + together, fontsize=9)
