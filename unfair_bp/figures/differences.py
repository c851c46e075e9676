"""Differences drawn as differences: a row for each pair, a mark for each equal budget."""

from typing import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from unfair_bp.figures.style import GREEN, PINK, pale_grid, plain
from unfair_bp.results.budgets import EPOCHS, OPERATIONS, TRAINING_ACCURACY, UPDATES, Budget
from unfair_bp.results.differences import Difference

# Colour and marker of what is equal.
LOOKS = {
    OPERATIONS: ("black", "o"),
    UPDATES: (GREEN, "^"),
    EPOCHS: ("#888888", "s"),
    TRAINING_ACCURACY: (PINK, "D"),
}
APART = 0.16  # between the marks of a pair; pairs are 1 apart


def draw_differences(axes: Axes, differences: Mapping[Budget, Sequence[Difference]]) -> None:
    """Draw paired differences of test accuracy with their intervals, pairs from top to bottom.

    Args:
        axes: Where.
        differences: By what is equal; at least one difference in all.
    """
    found = [item for alike in differences.values() for item in alike]
    pairs = list(dict.fromkeys(item.label for item in found))
    shown = [budget for budget in LOOKS if differences.get(budget)]
    for number, budget in enumerate(shown):
        color, marker = LOOKS[budget]
        for item in differences[budget]:
            y = pairs.index(item.label) + APART * (number - (len(shown) - 1) / 2.0)
            value = item.statistic
            if value.low is not None:
                axes.plot([value.low, value.high], [y, y], color=color, marker="|", markersize=6)
            axes.plot(value.mean, y, marker, color=color, markersize=5)
        axes.plot([], [], marker, color=color, markersize=5, label=budget.words)
    axes.axvline(0.0, color="black", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(pairs)))
    axes.set_yticklabels([plain(pair) for pair in pairs], fontsize=9)
    # The row above the first pair is the legend's, if there is one.
    above = 0.12 * (1 + len(pairs)) if len(shown) > 1 else 0.0
    axes.set_ylim(len(pairs) - 0.5, -0.5 - above)
    if len(shown) > 1:
        axes.legend(loc="upper center", ncol=len(shown), fontsize=8, frameon=False, columnspacing=1)
    axes.set_xlabel("difference of test accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    intervals = any(item.statistic.low is not None for item in found)
    equal = shown[0].words if len(shown) == 1 else "..."
    title = f"paired differences at equal {equal}" + (", 95 % intervals" if intervals else "")
    axes.set_title(title, loc="left", fontsize=10)
    pale_grid(axes, "x")
