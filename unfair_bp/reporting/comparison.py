"""A comparison of runs as Markdown, as a picture, and as one HTML page that holds everything."""

from typing import Dict, List, Mapping, Optional, Sequence

from unfair_bp.experiment import published as published_log
from unfair_bp.reporting.document import Picture, as_html, as_markdown
from unfair_bp.reporting.text import TITLE, count_text, report_blocks, setting_text
from unfair_bp.results import statistics
from unfair_bp.results.collection import Collection, Group, Setting, collect
from unfair_bp.results.statistics import Part, Series

COMMAND = ("python", "-m", "unfair_bp.report")
LONGEST_TICK, LONGEST_LABEL = 9, 24  # letters of a schedule in a picture; typed ones may be long


def markdown(root: str) -> str:
    """The report on the runs below a directory, in Markdown.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return markdown_of(collect(root), root)


def html(root: str, command: Optional[Sequence[str]] = None) -> str:
    """The report with its pictures as one HTML page.

    Args:
        root: Directory with run directories in it.
        command: The words that made it, for the record.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return html_of(collect(root), command or [*COMMAND, root])


def figure(root: str) -> "matplotlib.figure.Figure":  # noqa: F821 - imported where it is needed
    """The picture of the runs below a directory, all settings below each other.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return figure_of(collect(root).settings)


def markdown_of(collection: Collection, root: str) -> str:
    """The report on runs that have been collected, in Markdown."""
    return as_markdown(report_blocks(collection, [*COMMAND, root], {}))


def html_of(collection: Collection, command: Sequence[str]) -> str:
    """The report on runs that have been collected, as one HTML page."""
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    pictures = {
        setting: Picture(style.render(figure_of({setting: groups}), "png"), _description(groups))
        for setting, groups in collection.settings.items()
    }
    return as_html(report_blocks(collection, command, pictures), TITLE)


def _description(groups: Sequence[Group]) -> str:
    """What a setting's picture shows, for those who cannot see it."""
    letters = sorted({group.variant.name for group in groups})
    return (
        "Four panels: test accuracy of %s over epochs, over layer updates, over TFLOP, and after "
        "the last epoch. The tables below hold the numbers after the last epoch."
        % ("case " + letters[0] if len(letters) == 1 else "cases " + ", ".join(letters))
    )


def figure_of(settings: Mapping[Setting, Sequence[Group]]) -> "matplotlib.figure.Figure":  # noqa: F821
    """The picture of runs that have been collected."""
    # Matplotlib takes a second to import.
    from unfair_bp.figures.comparison import comparison_figure  # noqa: PLC0415

    parts = [
        Part(setting_text(setting) + ": " + mode, _series(chosen))
        for setting, groups in settings.items()
        for mode, chosen in _by_mode(groups).items()
    ]
    return comparison_figure(parts)


def _by_mode(groups: Sequence[Group]) -> Dict[str, List[Group]]:
    """Groups of one protocol and one kind of quirks: lines of one colour in a panel are few."""
    modes: Dict[str, List[Group]] = {}
    for group in groups:
        modes.setdefault(group.variant.mode, []).append(group)
    return modes


def _series(groups: Sequence[Group]) -> List[Series]:
    """What is drawn of groups that share a set of panels."""
    posted = published_log.load()
    letters = [group.variant.name for group in groups]
    series = []
    for group in groups:
        variant, tick = group.variant, group.variant.name
        epochs, seeds = count_text(variant.epochs, "epoch"), count_text(len(group.runs), "seed")
        if letters.count(variant.name) > 1:
            tick = "\n".join(
                [variant.name, _cut(variant.schedule, LONGEST_TICK), "%d ep." % variant.epochs]
            )
        schedule = _cut(variant.training, LONGEST_LABEL)
        label = "%s: %s, %s, %s" % (variant.name, schedule, epochs, seeds)
        curves = [statistics.curve(run.metrics) for run in group.runs]
        final = statistics.summary(group)["test_final"]
        log = posted[variant.name] if group.as_posted else None
        theirs = log and statistics.published_curve(variant.name, log)
        series.append(Series(variant.name, tick, label, curves, final, theirs))
    return series


def _cut(text: str, length: int) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= length else text[: length - 3] + "..."
