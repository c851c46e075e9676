"""Accuracy and cost over the epochs of a run."""

import math
from itertools import chain
from typing import Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfair_bp.figures.style import BLUE, GRID, ORANGE, default_style, new_figure
from unfair_bp.running.metrics import EpochMetrics

STYLES = (("test, after each epoch", BLUE, "-"), ("train, mean of each epoch", ORANGE, "--"))
MARKED = 20  # epochs up to which each is marked by a point


@default_style()
def learning_curves(metrics: Sequence[EpochMetrics], heading: str) -> Figure:
    """Draw test and train accuracy in one panel, and their costs in another.

    Args:
        metrics: The finished epochs, at least one.
        heading: What was run, in a line.
    """
    figure = new_figure(10.0, 4.0, heading)
    accuracy, cost = figure.subplots(1, 2)
    epochs = [row.epoch for row in metrics]
    last = metrics[-1]
    accuracies = [(row.test_accuracy, row.train_accuracy) for row in metrics]
    costs = [(row.test_cost, row.train_cost) for row in metrics]
    _draw(accuracy, epochs, accuracies)
    _draw(cost, epochs, costs)
    accuracy.set_title(
        f"accuracy, at last: test {last.test_accuracy:.4f}, train {last.train_accuracy:.4f}",
        loc="left",
        fontsize=10,
    )
    cost.set_title(
        f"cost, at last: test {last.test_cost:.4f}, train {last.train_cost:.4f}",
        loc="left",
        fontsize=10,
    )
    accuracy.set_ylabel("accuracy")
    accuracy.set_ylim(0, 1.2)  # room for the legend
    accuracy.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    cost.set_ylabel("cost (nats)")
    highest = max(filter(math.isfinite, chain.from_iterable(costs)), default=0.0)
    cost.set_ylim(0, 1.05 * highest or 1.0)
    accuracy.legend(loc="upper center", ncol=2, fontsize=9)
    return figure


def _draw(axes: Axes, epochs: Sequence[int], pairs: Sequence[Tuple[float, float]]) -> None:
    """One panel: a quantity of the test set and of the training set, a pair for each epoch."""
    marker = "o" if len(epochs) <= MARKED else None
    for values, (label, color, line) in zip(zip(*pairs), STYLES):
        axes.plot(
            epochs, values, color=color, linestyle=line, marker=marker, markersize=4, label=label
        )
    axes.set_xlim(0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
