"""Differences drawn as differences: a row for each pair, a mark for each equal budget."""

from typing import Mapping, Sequence

from matplotlib.axes import Axes

from unfair_bp.figures.style import GREEN, GRID, PINK, plain
from unfair_bp.results.differences import Difference

# For each field of a curve: what is equal, colour and marker.
EQUAL = {
    "tflop": ("operations", "black", "o"),
    "updates": ("updates", GREEN, "^"),
    "epochs": ("epochs", "#888888", "s"),
    "train": ("training accuracy", PINK, "D"),
}
APART = 0.16  # between the marks of a pair; pairs are 1 apart


def draw_differences(axes: Axes, differences: Mapping[str, Sequence[Difference]]) -> None:
    """Draw paired differences of test accuracy with their intervals, pairs from top to bottom.

    Args:
        axes: Where.
        differences: By what is equal, a key of EQUAL; at least one difference in all.
    """
    found = [item for alike in differences.values() for item in alike]
    pairs = list(dict.fromkeys(_label(item) for item in found))
    shown = [cost for cost in EQUAL if differences.get(cost)]
    for number, cost in enumerate(shown):
        name, color, marker = EQUAL[cost]
        for item in differences[cost]:
            y = pairs.index(_label(item)) + APART * (number - (len(shown) - 1) / 2.0)
            value = item.statistic
            if value.low is not None:
                axes.plot([value.low, value.high], [y, y], color=color, marker="|", markersize=6)
            axes.plot(value.mean, y, marker, color=color, markersize=5)
        axes.plot([], [], marker, color=color, markersize=5, label=name)
    axes.axvline(0.0, color="black", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(pairs)))
    axes.set_yticklabels([plain(pair) for pair in pairs], fontsize=9)
    # The row above the first pair is the legend's.
    axes.set_ylim(len(pairs) - 0.5, -0.5 - 0.12 * (1 + len(pairs)))
    axes.legend(loc="upper center", ncol=len(shown), fontsize=8, frameon=False, columnspacing=1)
    axes.set_xlabel("difference of test accuracy")
    intervals = any(item.statistic.low is not None for item in found)
    title = "paired differences at equal ..." + (", 95 % intervals" if intervals else "")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)


def _label(item: Difference) -> str:
    return f"{item.first.label} - {item.second.label}"
