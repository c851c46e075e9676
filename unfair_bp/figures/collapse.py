"""The picture of :mod:`unfair_bp.collapse`, drawn from its measurements."""

from typing import Any, Dict, Sequence

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unfair_bp.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    WIDTH,
    default_style,
    layer_axis,
    new_figure,
    pale_grid,
)

# Marks and dashes say the same as the colours.
STYLES: Dict[str, Dict[str, Any]] = {
    "fair": {"color": "black", "linewidth": 1.5},
    "scripts": {"color": ORANGE, "marker": "x", "markersize": 8, "linestyle": "none"},
    "scripts, optimisations off": {"color": BLUE, "marker": "s", "linestyle": "--"},
    "ordered": {"color": GREEN, "marker": "o", "linestyle": "-"},
}
LABELS = {"fair": "the fair schedule"}
PANEL_INCHES = 3.4


@default_style()
def collapse_figure(results: Sequence[Any], heading: str) -> Figure:
    """Draw movement by layer, and the time and the convolutions of a batch.

    Args:
        results: What :func:`unfair_bp.measuring.collapse.measure` returned, the fair graph first.
        heading: What was measured, in a line.
    """
    figure = new_figure(WIDTH, 7.2)
    title = "How far each layer moves: the scripts' graphs, and ordered ones"
    figure.suptitle(f"{title}\n{heading}", fontsize=11)
    grid = figure.add_gridspec(3, 2, height_ratios=[0.08, 1, 1])
    _draw_legend(figure.add_subplot(grid[0, :]))
    moved = [value for result in results for value in result.movement if value > 0]
    for column, schedule in enumerate(["back", "front"]):
        axes = figure.add_subplot(grid[1, column])
        _draw_movement(axes, [results[0], *_of_schedule(results, schedule)])
        axes.set_title(f"from the {schedule}", loc="left", fontsize=10)
        axes.set_yscale("log")
        axes.set_ylim(0.7 * min(moved), 1.4 * max(moved))
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        if column == 0:
            axes.set_ylabel("mean |change| / learning rate")
    _draw_cost(figure.add_subplot(grid[2, :]), results)
    return figure


def _of_schedule(results: Sequence[Any], schedule: str) -> Sequence[Any]:
    return [result for result in results if result.subject.schedule == schedule]


def _style_of(result: Any) -> str:
    """Which of STYLES a graph has; those of the fair schedule do the same."""
    return "fair" if result.subject.schedule == "fair" else result.subject.name


def _draw_legend(axes: Axes) -> None:
    """The colours of all panels, in a row of their own."""
    axes.axis("off")
    for name, style in STYLES.items():
        axes.plot([], [], label=LABELS.get(name, name), **style)
    axes.legend(loc="center", ncol=len(STYLES), fontsize=9, frameon=False)


def _draw_movement(axes: Axes, results: Sequence[Any]) -> None:
    """One line for each graph: how far each layer has moved."""
    layers = len(results[0].movement)
    for result in results:
        axes.plot(range(1, layers + 1), result.movement, **STYLES[_style_of(result)])
    layer_axis(axes, layers, PANEL_INCHES)
    pale_grid(axes)


def _draw_cost(axes: Axes, results: Sequence[Any]) -> None:
    """One bar for each graph: the time of a batch, and beside it how many convolutions ran."""
    for place, result in enumerate(results):
        milliseconds = 1e3 * result.seconds
        axes.barh(place, milliseconds, color=STYLES[_style_of(result)]["color"], height=0.7)
        axes.annotate(
            f"{milliseconds:.0f} ms, {result.convolutions} conv.",
            (milliseconds, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(results)))
    subjects = [result.subject for result in results]
    names = [f"{subject.schedule}: {subject.name}" for subject in subjects]
    axes.set_yticklabels(names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25e3 * max(result.seconds for result in results))
    axes.set_xlabel("median time, ms")
    axes.set_title("one batch: time, convolutions executed", loc="left", fontsize=10)
