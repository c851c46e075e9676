"""The picture of :mod:`unfair_bp.report`: cases side by side, per epoch, per update, per FLOP."""

import textwrap
from itertools import cycle
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from unfair_bp.errors import UsageError
from unfair_bp.figures.style import (
    AMBER,
    BLUE,
    GRID,
    ORANGE,
    SKY,
    default_style,
    new_figure,
    plain,
)
from unfair_bp.results.statistics import Curve, Part, Series, mean_curve

# A colour family for each schedule; augmented runs are lighter and dashed.
STYLES: Dict[str, Dict[str, Any]] = {
    "a": {"color": "#000000", "linestyle": "-", "marker": "o"},
    "b": {"color": "#888888", "linestyle": "--", "marker": "s"},
    "c": {"color": BLUE, "linestyle": "-", "marker": "^"},
    "d": {"color": SKY, "linestyle": "--", "marker": "D"},
    "e": {"color": ORANGE, "linestyle": "-", "marker": "v"},
    "f": {"color": AMBER, "linestyle": "--", "marker": "P"},
}
# Other schedules in the order of appearance: Tol's muted colours, which the colour-blind tell
# apart. There is one marker more, so that a colour comes back with another marker.
OWN_COLORS = (
    *("#117733", "#AA4499", "#999933", "#332288"),
    *("#44AA99", "#882255", "#CC6677", "#88CCEE"),
)
OWN_MARKERS = ("X", "p", "*", "h", "<", ">", "d", "8", "H")
# More groups of the same letter, as with other numbers of epochs.
REPEATED: Sequence[Dict[str, Any]] = (
    {},
    {"linestyle": "-.", "markerfacecolor": "white"},
    {"linestyle": (0, (6, 2, 1, 2, 1, 2)), "fillstyle": "left"},
)
MARKED = 20  # points of a curve that get a marker, so that a long one stays a line
WIDTH, HEIGHT = 11.0, 8.6  # inches, of one part
MOST_PARTS = 40  # of one picture; Matplotlib draws no more than 2^16 pixels in a direction
LONGEST_LINE = 124  # letters of a title
LETTERS_OF_TICKS = 64  # beside each other along the axis of cases
LEAST_PLACES = 4  # along the axis of cases, so that what belongs to one case stays together


@default_style()
def comparison_figure(parts: Sequence[Part]) -> Figure:
    """Draw, for each part, test accuracy over epochs, updates and FLOPs, and the final ones.

    Args:
        parts: At least one. Over epochs, published curves are shown whole, to say how far the
            runs are from them; over updates and FLOPs as far as they are close to the runs.

    Raises:
        UsageError: If there are more parts than a picture can hold.
    """
    if len(parts) > MOST_PARTS:
        raise UsageError(
            f"{len(parts)} settings are too many for one picture, which holds {MOST_PARTS}; "
            "give a directory with fewer"
        )
    figure = new_figure(WIDTH, HEIGHT * len(parts))
    for place, part in zip(figure.add_gridspec(len(parts), 1, hspace=0.06), parts):
        _draw_part(figure, place, part)
    return figure


def _draw_part(figure: Figure, place: SubplotSpec, part: Part) -> None:
    """A title, the legend in a row of its own, and four panels."""
    lines = 1 + (len(part.series) + 2) // 3
    grid = place.subgridspec(3, 2, height_ratios=[0.06 * lines, 1, 1])
    legend = figure.add_subplot(grid[0, :])
    legend.axis("off")
    title = "\n".join(textwrap.wrap(part.title, LONGEST_LINE))
    legend.set_title(plain(title), fontsize=11)
    styles = _styles(part.series)
    entries = _legend_entries(part.series, styles)
    legend.legend(handles=entries, loc="center", ncol=3, fontsize=9, frameon=False)
    several = any(len(item.curves) > 1 for item in part.series)
    band = "; band: lowest to highest seed" if several else ""
    for (row, column), quantity, label in (
        ((1, 0), "epochs", "epochs"),
        ((1, 1), "updates", "updates, mean over the layers"),
        ((2, 0), "tflop", "TFLOP of training"),
    ):
        axes = figure.add_subplot(grid[row, column])
        _draw_curves(axes, part.series, styles, quantity)
        _draw_published(axes, part.series, styles, quantity)
        _tidy(axes)
        axes.set_xlabel(label)
        axes.set_title("over " + label.split(",")[0] + band, loc="left", fontsize=10)
    _draw_final(figure.add_subplot(grid[2, 1]), part.series, styles)


def _styles(series: Sequence[Series]) -> List[Dict[str, Any]]:
    """How to draw each series: as the post's case of its schedule, or in a look of its own."""
    keys = [item.letter or (item.name, item.augmented) for item in series]
    own = [key for key in dict.fromkeys(keys) if key not in STYLES]
    colors = dict(zip(dict.fromkeys(name for name, _ in own), cycle(OWN_COLORS)))
    looks: Dict[Any, Dict[str, Any]] = dict(STYLES)
    for (name, augmented), marker in zip(own, cycle(OWN_MARKERS)):
        line = "--" if augmented else "-"
        looks[name, augmented] = {"color": colors[name], "linestyle": line, "marker": marker}
    repeats = [keys[:place].count(key) % len(REPEATED) for place, key in enumerate(keys)]
    return [dict(looks[key], **REPEATED[repeat]) for key, repeat in zip(keys, repeats)]


def _legend_entries(series: Sequence[Series], styles: Sequence[Dict[str, Any]]) -> List[Line2D]:
    entries = [
        Line2D([], [], label=plain(item.label), markersize=6, **style)
        for item, style in zip(series, styles)
    ]
    dots = {"color": "#555555", "linestyle": ":", "marker": "o", "markerfacecolor": "white"}
    if any(item.published is not None for item in series):
        entries.append(Line2D([], [], label="published in 2018, where in range", **dots))
    return entries


def _draw_curves(
    axes: Axes, series: Sequence[Series], styles: Sequence[Dict[str, Any]], quantity: str
) -> None:
    """Test accuracy over one of the curves' quantities: mean, range, and each seed."""
    for item, style in zip(series, styles):
        mean = mean_curve(item.curves)
        x = getattr(mean, quantity)
        axes.plot(x, mean.accuracy, markersize=5, markevery=-(-len(x) // MARKED), zorder=3, **style)
        if len(item.curves) > 1:
            accuracies = np.array([curve.accuracy for curve in item.curves])
            axes.fill_between(
                x,
                accuracies.min(axis=0),
                accuracies.max(axis=0),
                color=style["color"],
                alpha=0.15,
                linewidth=0,
            )
            for curve in item.curves:
                axes.plot(
                    getattr(curve, quantity),
                    curve.accuracy,
                    color=style["color"],
                    linewidth=0.6,
                    alpha=0.5,
                )


def _draw_published(
    axes: Axes, series: Sequence[Series], styles: Sequence[Dict[str, Any]], quantity: str
) -> None:
    """Published curves, dotted."""
    published = {}
    for item, style in zip(series, styles):
        if item.published is not None:
            published[item.name] = (item.published, style["color"])
    for curve, color in published.values():
        axes.plot(
            getattr(curve, quantity),
            curve.accuracy,
            linestyle=":",
            linewidth=1.5,
            color=color,
            marker="o",  # of a run of one epoch there is a single published point in sight
            markersize=4,
            markerfacecolor="white",
        )
    right, bottom, top = _limits(series, [curve for curve, _ in published.values()], quantity)
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, top)
    axes.xaxis.set_major_locator(MaxNLocator(integer=quantity != "tflop", nbins=8))


def _limits(
    series: Sequence[Series], published: Sequence[Curve], quantity: str
) -> Tuple[float, float, float]:
    """Right, bottom and top of a panel: the measured range, and published curves.

    Over updates and FLOPs, published curves count only where they are close to the measured ones:
    points further away would press those into a line.
    """
    curves = [curve for item in series for curve in item.curves]
    right = max(getattr(curve, quantity)[-1] for curve in curves)
    measured = np.concatenate([curve.accuracy for curve in curves])
    low, high = float(measured.min()), float(measured.max())
    span = max(high - low, 0.02)
    middle, reach = (low + high) / 2.0, 1.5 * span
    theirs = [curve.accuracy[getattr(curve, quantity) <= right] for curve in published]
    near = [
        value
        for value in np.concatenate([measured, *theirs])
        if abs(value - middle) <= reach or quantity == "epochs"
    ]
    return 1.04 * right, min(near) - 0.06 * span, max(near) + 0.06 * span


def _draw_final(axes: Axes, series: Sequence[Series], styles: Sequence[Dict[str, Any]]) -> None:
    """Final test accuracies: mean and interval, each seed, and the published one."""
    for place, (item, style) in enumerate(zip(series, styles)):
        finals = [curve.accuracy[-1] for curve in item.curves]
        axes.plot([place + 0.18] * len(finals), finals, ".", color=style["color"], markersize=4)
        if item.final.low is not None:
            ends = [item.final.low, item.final.high]
            axes.plot([place, place], ends, color=style["color"], marker="_", markersize=10)
        axes.plot(place, item.final.mean, markersize=6, **style)
        if item.published is not None:
            axes.plot(
                place - 0.18,
                item.published.accuracy[-1],
                "o",
                color=style["color"],
                markerfacecolor="white",
            )
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
    shown = ["mean", "95 % interval", "seeds (dots)"]
    if all(item.final.low is None for item in series):
        shown = ["accuracy"]
    published = any(item.published is not None for item in series)
    title = "last epoch: " + ", ".join(shown) + ("; published (open)" if published else "")
    axes.set_title(title, loc="left", fontsize=10)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.set_ylabel("test accuracy")
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
