"""The picture of :mod:`unfair_bp.report`: test accuracy over each budget, and differences."""

import textwrap
from typing import Any, Dict, List, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from unfair_bp.errors import UsageError
from unfair_bp.figures.differences import draw_differences
from unfair_bp.figures.looks import looks
from unfair_bp.figures.style import default_style, new_figure, pale_grid, plain
from unfair_bp.results.budgets import EPOCHS, TRAINING_ACCURACY, UPDATES, Budget
from unfair_bp.results.series import Part, Series
from unfair_bp.results.statistics import mean_curve

MOST_BANDS = 4  # of a panel; more would hide each other
MARKED = 20  # points of a curve that get a marker, so that a long one stays a line
WIDTH, ROW = 11.0, 4.1  # inches: of the picture, and of a row of panels
MOST_INCHES = 400  # Matplotlib draws no more than 2^16 pixels in a direction
LONGEST_LINE = 124  # letters of a title
LETTERS_OF_TICKS = 64  # beside each other along the axis of cases
LEAST_PLACES = 4  # along the axis of cases, so that what belongs to one case stays together
OPEN = {"linestyle": ":", "marker": "o", "markersize": 4, "markerfacecolor": "white"}


@default_style()
def comparison_figure(parts: Sequence[Part], whole: bool = True) -> Figure:
    """Draw, for each part, test accuracy over each budget, the differences, and published curves.

    Args:
        parts: At least one; of their budgets, epochs bring the published curves, if there are any.
        whole: Whether the accuracies after the last epoch are drawn, too, in a panel of their own.

    Raises:
        UsageError: If there are more parts than a picture can hold.
    """
    panels = [_panels(part, whole) for part in parts]
    heights = [ROW * ((len(names) + 1) // 2) + 0.4 for names in panels]
    if sum(heights) > MOST_INCHES:
        raise UsageError(
            f"{len(parts)} groups of panels are too many for a picture of {MOST_INCHES} inches; "
            "give a directory with fewer, or --at"
        )
    figure = new_figure(WIDTH, sum(heights))
    grid = figure.add_gridspec(len(parts), 1, hspace=0.06, height_ratios=heights)
    for place, part, names in zip(grid, parts, panels):
        _draw_part(figure, place, part, names)
    return figure


def _panels(part: Part, whole: bool) -> List[str]:
    """The panels of a part: fields of a curve, and ``differences``, ``last``, ``published``."""
    curves = [curve for item in part.series for curve in item.curves]
    names = [
        budget.field
        for budget in part.differences
        if not curves or any(len(budget.points(curve)[0]) for curve in curves)
    ]
    if any(part.differences.values()):
        names.insert(1, "differences")
    if whole:
        names.append("last")
    if EPOCHS in part.differences and any(item.published is not None for item in part.series):
        names.append("published")
    return names


def _draw_part(figure: Figure, place: SubplotSpec, part: Part, names: Sequence[str]) -> None:
    """A title, the legend in a row of its own, and the panels in two columns."""
    rows = (len(names) + 1) // 2
    lines = 1 + (len(part.series) + 2) // 3
    grid = place.subgridspec(1 + rows, 2, height_ratios=[0.06 * lines] + [1] * rows)
    legend = figure.add_subplot(grid[0, :], label="legend")
    legend.axis("off")
    title = "\n".join(textwrap.wrap(part.title, LONGEST_LINE))
    legend.set_title(plain(title), fontsize=11)
    styles = looks([(item.letter, item.name, item.augmented) for item in part.series])
    entries = [
        Line2D([], [], label=plain(item.label), markersize=6, **style)
        for item, style in zip(part.series, styles)
    ]
    legend.legend(handles=entries, loc="center", ncol=3, fontsize=9, frameon=False)
    for number, name in enumerate(names):
        row, column = divmod(number, 2)
        alone = number == len(names) - 1 and column == 0  # the last one of an odd number
        axes = figure.add_subplot(grid[1 + row, slice(0, 2) if alone else column], label=name)
        if name == "differences":
            draw_differences(axes, part.differences)
        elif name == "last":
            _draw_last(axes, part.series, styles)
        elif name == "published":
            _draw_published(axes, part.series, styles)
        else:
            (budget,) = (budget for budget in part.differences if budget.field == name)
            _draw_curves(axes, part.series, styles, budget)


def _draw_curves(
    axes: Axes, series: Sequence[Series], styles: Sequence[Dict[str, Any]], budget: Budget
) -> None:
    """Test accuracy over a budget: the mean, and the range of the seeds.

    Seeds reach different training accuracies, over which there is no range to draw.
    """
    known = budget is not TRAINING_ACCURACY
    several = [item for item in series if len(item.curves) > 1]
    banded = known and 0 < len(several) <= MOST_BANDS
    for item, style in zip(series, styles):
        x, y = budget.points(mean_curve(item.curves))
        axes.plot(x, y, markersize=5, markevery=max(1, -(-len(x) // MARKED)), zorder=3, **style)
        if banded and len(item.curves) > 1:
            accuracies = np.array([curve.accuracy for curve in item.curves])
            lowest, highest = accuracies.min(axis=0), accuracies.max(axis=0)
            axes.fill_between(
                x, lowest, highest, color=style["color"], alpha=0.2, linewidth=0, zorder=1
            )
    if known:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=budget in (EPOCHS, UPDATES), nbins=8))
    axes.set_xlabel(budget.axis)
    over = "over " + budget.axis.split(",")[0]
    _tidy(axes, over + ("; band: lowest to highest seed" if banded else ""))


def _draw_published(axes: Axes, series: Sequence[Series], styles: Sequence[Dict[str, Any]]) -> None:
    """The published curves over epochs, dotted, with the means of these runs beside them."""
    last = max(int(item.curves[0].epochs[-1]) for item in series)
    for item, style in zip(series, styles):
        if item.published is None:
            continue
        mean, published = mean_curve(item.curves), item.published
        axes.plot(mean.epochs, mean.accuracy, markersize=4, **style)
        seen = published.epochs <= max(last, 10)
        axes.plot(published.epochs[seen], published.accuracy[seen], color=style["color"], **OPEN)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epochs")
    _tidy(axes, "dotted: published (full width; c to f fair as rebuilt); solid: these")


def _draw_last(axes: Axes, series: Sequence[Series], styles: Sequence[Dict[str, Any]]) -> None:
    """Test accuracies after the last epoch: mean and interval, and each seed."""
    for place, (item, style) in enumerate(zip(series, styles)):
        finals = [curve.accuracy[-1] for curve in item.curves]
        axes.plot([place + 0.18] * len(finals), finals, ".", color=style["color"], markersize=4)
        if item.final.low is not None:
            ends = [item.final.low, item.final.high]
            axes.plot([place, place], ends, color=style["color"], marker="_", markersize=10)
        axes.plot(place, item.final.mean, markersize=6, **style)
    axes.set_xticks(range(len(series)))
    ticks = [plain(item.tick) for item in series]
    longest = max(len(line) for tick in ticks for line in tick.split("\n"))
    turned: Dict[str, Any] = {}
    if longest * len(ticks) > LETTERS_OF_TICKS:
        turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        ticks = [tick.replace("\n", ", ") for tick in ticks]
    axes.set_xticklabels(ticks, fontsize=9, **turned)
    center, half = (len(series) - 1) / 2.0, max(len(series), LEAST_PLACES) / 2.0 + 0.1
    axes.set_xlim(center - half, center + half)
    axes.margins(y=0.1)
    axes.set_xlabel("case")
    shown = "mean, 95 % interval, seeds (dots)"
    if all(item.final.low is None for item in series):
        shown = "accuracy"
    _tidy(axes, f"last epoch: {shown}")


def _tidy(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel("test accuracy")
    pale_grid(axes)
