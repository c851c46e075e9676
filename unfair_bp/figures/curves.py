"""Accuracy and cost over the epochs of a run."""

import math
from typing import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfair_bp.figures.style import BLUE, GRID, ORANGE, new_figure
from unfair_bp.running.metrics import EpochMetrics

MARKED = 20  # epochs up to which each is marked by a point


def learning_curves(metrics: Sequence[EpochMetrics], heading: str) -> Figure:
    """Draw accuracy (left axis) and cost in its own unit (right axis), for test and for train.

    Args:
        metrics: The finished epochs, at least one.
        heading: What was run, in a line.
    """
    figure = new_figure(10.0, 4.0, heading)
    test, train = figure.subplots(1, 2)
    epochs = [row.epoch for row in metrics]
    last = metrics[-1]
    test_costs = _draw(
        test, epochs, [row.test_accuracy for row in metrics], [row.test_cost for row in metrics]
    )
    train_costs = _draw(
        train, epochs, [row.train_accuracy for row in metrics], [row.train_cost for row in metrics]
    )
    test.set_title("test, after each epoch: last %.4f" % last.test_accuracy, loc="left")
    train.set_title("train, during each epoch: last %.4f" % last.train_accuracy, loc="left")
    # The same scale on both sides, so that they can be compared.
    both = [cost for row in metrics for cost in (row.test_cost, row.train_cost)]
    highest = max(filter(math.isfinite, both), default=1.0)
    for costs in (test_costs, train_costs):
        costs.set_ylim(0, 1.05 * highest)
    return figure


def _draw(
    axes: Axes, epochs: Sequence[int], accuracy: Sequence[float], cost: Sequence[float]
) -> Axes:
    """One panel; returns the axes of the cost."""
    marker = "o" if len(epochs) <= MARKED else None
    axes.plot(epochs, accuracy, color=BLUE, marker=marker, markersize=4)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("solid: accuracy", color=BLUE)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    costs = axes.twinx()
    costs.plot(epochs, cost, color=ORANGE, linestyle="--", marker=marker, markersize=4)
    costs.set_ylabel("dashed: cost (nats)", color=ORANGE)
    return costs
