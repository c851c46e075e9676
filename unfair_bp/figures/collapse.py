"""The picture of :mod:`unfair_bp.collapse`, drawn from its measurements."""

from typing import Any, Dict, List, Sequence

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unfair_bp.figures.style import BLUE, GREEN, GRID, ORANGE, new_figure

# Marks and dashes say the same as the colours.
STYLES: Dict[str, Dict[str, Any]] = {
    "scripts": {"color": ORANGE, "marker": "x", "markersize": 8, "linestyle": "none"},
    "scripts, optimisations off": {"color": BLUE, "marker": "s", "linestyle": "--"},
    "ordered": {"color": GREEN, "marker": "o", "linestyle": "-"},
}
FAIR = {"color": "black", "linewidth": 1.5}
TITLES = {"back": "from the back", "front": "from the front"}


def collapse_figure(results: Sequence[Any], heading: str) -> Figure:
    """Draw movement by layer, and the time and the convolutions of a batch.

    Args:
        results: What :func:`unfair_bp.collapse.measure` returned, the fair graph first.
        heading: What was measured, in a line.
    """
    figure = new_figure(12.0, 4.8)
    figure.suptitle(
        "The scripts' unfair graphs move every layer as the fair one does\n" + heading, fontsize=11
    )
    grid = figure.add_gridspec(1, 3, width_ratios=[1, 1, 1.1])
    moved = [value for result in results for value in result.movement if value > 0]
    for column, schedule in enumerate(TITLES):
        axes = figure.add_subplot(grid[0, column])
        chosen = [result for result in results if result.subject.schedule == schedule]
        _movement(axes, results[0], chosen)
        axes.set_title(TITLES[schedule], loc="left", fontsize=10)
        axes.set_yscale("log")
        axes.set_ylim(0.7 * min(moved), 6.0 * max(moved))  # room for the legend
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        if column == 0:
            axes.set_ylabel("mean |change of weights| / learning rate")
    _cost(figure.add_subplot(grid[0, 2]), results)
    return figure


def _movement(axes: Axes, fair: Any, results: Sequence[Any]) -> None:
    """One line for each graph: how far each layer has moved."""
    numbers = range(1, len(fair.movement) + 1)
    axes.plot(numbers, fair.movement, label="fair", **FAIR)
    for result in results:
        axes.plot(
            numbers, result.movement, label=result.subject.name, **STYLES[result.subject.name]
        )
    axes.set_xticks(list(numbers))
    axes.set_xlabel("layer")
    axes.legend(loc="upper left" if results[0].subject.schedule == "back" else "upper right")
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)


def _cost(axes: Axes, results: Sequence[Any]) -> None:
    """One bar for each graph: the time of a batch, and beside it how many convolutions ran."""
    labels: List[str] = []
    longest = max(result.seconds for result in results)
    for place, result in enumerate(results):
        subject = result.subject
        plain = subject.schedule == "fair"
        color = FAIR["color"] if plain else STYLES[subject.name]["color"]
        axes.barh(place, 1e3 * result.seconds, color=color, height=0.7)
        axes.annotate(
            "%.0f ms, %d conv." % (1e3 * result.seconds, result.convolutions),
            (1e3 * result.seconds, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        labels.append("%s: %s" % (subject.schedule, subject.name.replace(", ", ",\n")))
    axes.set_yticks(range(len(results)))
    axes.set_yticklabels(labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.5e3 * longest)
    axes.set_xlabel("median time, ms")
    axes.set_title("one batch: median time, convolutions executed", loc="left", fontsize=10)
