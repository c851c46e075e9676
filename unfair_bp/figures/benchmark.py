"""The picture of :mod:`unfair_bp.benchmark`, drawn from its result."""

from typing import Any, Dict, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfair_bp.figures.style import BLUE, ORANGE, WIDTH, default_style, new_figure, pale_grid

WHOLE = {
    "forward": "forward alone",
    "fair": "fair, hand-written",
    "autodiff": "fair, automatic",
    "back, per batch": "cycle on a batch, back",
    "front, per batch": "cycle on a batch, front",
}
FLOOR = {"color": ORANGE, "marker": "_", "markersize": 14, "markeredgewidth": 3, "linestyle": ""}
HIGHEST = 1.35  # of the rows' bars, in fair iterations; higher ones are cut
CUT = ((1.15, 1.2), (1.2, 1.25))  # the lower and the upper edge of the gap in such a bar


@default_style()
def benchmark_figure(result: Dict[str, Any]) -> Figure:
    """Draw what each row of the schedules takes beside its floor, and the other steps likewise.

    Args:
        result: What :func:`unfair_bp.measuring.benchmark.measure` returned.
    """
    environment, settings = result["environment"], result["settings"]
    heading = (
        f"TensorFlow {environment['tensorflow']} ({environment['kernels']}), "
        f"{environment['processor']}; "
        f"width {settings['width']:g}, batches of {settings['batch_size']}"
    )
    figure = new_figure(WIDTH, 6.8, heading)
    grid = figure.add_gridspec(2, 2, height_ratios=[1.4, 1])
    first = figure.add_subplot(grid[0, 0])
    second = figure.add_subplot(grid[0, 1], sharey=first)
    for axes, name in ((first, "back"), (second, "front")):
        _draw_rows(axes, [step for step in result["steps"] if step["name"] == name], _fair(result))
        axes.set_title(f"from the {name}", loc="left", fontsize=10)
        axes.set_xlabel("row of the schedule")
    first.set_ylabel("time of an iteration / fair iteration")
    first.set_ylim(0, HIGHEST)
    first.legend(loc="upper left", fontsize=8)
    _draw_whole(figure.add_subplot(grid[1, :]), result)
    return figure


def _fair(result: Dict[str, Any]) -> Dict[str, Any]:
    return next(step for step in result["steps"] if step["name"] == "fair")


def _relative(steps: Sequence[Dict[str, Any]], fair: Dict[str, Any]) -> np.ndarray:
    """Quartiles of the time of each step, in median times of a fair one: ``[steps, 3]``."""
    return np.array([step["seconds"] for step in steps]) / fair["seconds"][1]


def _draw_rows(axes: Axes, steps: Sequence[Dict[str, Any]], fair: Dict[str, Any]) -> None:
    """One bar for each row up to its median, a line over its quartiles, a mark at its floor.

    A bar that is too high for the panel has a gap, and its median and quartiles as numbers; so has
    one whose upper quartile is too high, but without the gap.
    """
    quartiles = _relative(steps, fair)
    low, median, high = quartiles.T
    rows = np.array([step["row"] for step in steps])
    axes.bar(rows, median, color=BLUE, width=0.7, label="measured, with quartiles")
    fits = median <= HIGHEST
    axes.errorbar(
        rows[fits],
        median[fits],
        [(median - low)[fits], (high - median)[fits]],
        fmt="none",
        ecolor="black",
        capsize=3,
        linewidth=1,
    )
    for row in rows[~fits]:
        axes.fill_between([row - 0.36, row + 0.36], *CUT, color="white")
    for row, (first, middle, third) in zip(rows[high > HIGHEST], quartiles[high > HIGHEST]):
        axes.annotate(
            f"{middle:.2f} ({first:.2f} to {third:.2f}) \N{RIGHTWARDS ARROW}",
            (row, 0.03),
            ha="center",
            va="bottom",
            fontsize=8,
            color="white",
            rotation=90,
        )
    floors = [step["flops"] / fair["flops"] for step in steps]
    axes.plot(rows, floors, label="floor: operations", **FLOOR)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    pale_grid(axes)


def _draw_whole(axes: Axes, result: Dict[str, Any]) -> None:
    """The steps that are not rows of a schedule, as horizontal bars with their numbers."""
    steps = [step for step in result["steps"] if step["name"] in WHOLE]
    fair = _fair(result)
    median = _relative(steps, fair)[:, 1]
    floors = [step["flops"] / fair["flops"] for step in steps]
    places = np.arange(len(steps))
    axes.barh(places, median, color=BLUE, height=0.6)
    axes.plot(floors, places, **{**FLOOR, "marker": "|"})
    for place, (value, floor, step) in enumerate(zip(median, floors, steps)):
        milliseconds = 1e3 * step["seconds"][1]
        digits = 0 if milliseconds >= 100 else 1
        inside = value > 0.6 * max(median)
        axes.annotate(
            f"{value:.2f} (floor {floor:.2f}), {milliseconds:.{digits}f} ms",
            (value, place),
            (-8 if inside else 8, 0),
            textcoords="offset points",
            va="center",
            ha="right" if inside else "left",
            fontsize=8,
            color="white" if inside else "black",
        )
    axes.set_yticks(places)
    axes.set_yticklabels([WHOLE[step["name"]] for step in steps], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("time / fair iteration")
    axes.set_title("whole steps", loc="left", fontsize=10)
