"""What a value was picked on: validation accuracy over the values that were tried."""

from typing import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from unfair_bp.figures.looks import looks
from unfair_bp.figures.style import WIDTH, default_style, new_figure, pale_grid, plain
from unfair_bp.results.run import EITHER
from unfair_bp.results.selection import Choice
from unfair_bp.results.series import letter_of


@default_style()
def tuning_curves(choices: Sequence[Choice], headings: Sequence[str]) -> Figure:
    """Draw the validation accuracy of each value, a panel for each setting; rings: picked.

    Args:
        choices: At least one.
        headings: For each choice, in words, the setting of the runs it is made for.
    """
    settings = dict(zip((choice.setting for choice in choices), headings))
    figure = new_figure(WIDTH, 4.4 * len(settings))
    panels = figure.subplots(len(settings), 1, squeeze=False).ravel()
    for axes, (setting, heading) in zip(panels, settings.items()):
        alike = [choice for choice in choices if choice.setting == setting]
        variants = [choice.variant.shortened() for choice in alike]
        styles = looks([(letter_of(item), item.name, item.augment) for item in variants])
        for choice, variant, style in zip(alike, variants, styles):
            values, accuracies = zip(*choice.tried)
            words = [variant.training, variant.mode, f"after epoch {choice.epoch}"]
            label = ", ".join(word for word in words if word != EITHER)
            axes.plot(values, accuracies, label=label, **style)
            best = dict(choice.tried)[choice.value]
            axes.plot(choice.value, best, "o", color="black", fillstyle="none", markersize=14)
        tried = sorted({value for choice in alike for value, _ in choice.tried})
        if tried[0] > 0:
            axes.set_xscale("log")
        axes.set_xticks(tried)
        axes.set_xticklabels([f"{value:g}" for value in tried])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(0.12)
        axes.set_title(plain("picked for: " + heading), loc="left", fontsize=9, wrap=True)
        axes.set_xlabel(alike[0].setting.selected.replace("_", " "))
        axes.set_ylabel("accuracy on images held out of training; ring: picked")
        pale_grid(axes)
        axes.legend(fontsize=9, frameon=False)
    return figure
