"""A comparison of runs as Markdown, as a picture, and as one HTML page that holds everything."""

import os
from typing import Dict, List, Mapping, Optional, Sequence

from unfair_bp import files
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.schedules import parse
from unfair_bp.reporting.budgets import ALL_BUDGETS, Wanted
from unfair_bp.reporting.document import Picture, as_html, as_markdown
from unfair_bp.reporting.text import TITLE, count_text, report_blocks, setting_text
from unfair_bp.results import statistics
from unfair_bp.results.collection import Collection, Group, collect
from unfair_bp.results.differences import BASELINE
from unfair_bp.results.run import EITHER, LONGEST_LABEL, Setting, Variant
from unfair_bp.results.statistics import Part, Series

COMMAND = ("python", "-m", "unfair_bp.report")
LONGEST_TICK = 14  # letters of a schedule along an axis


def markdown(root: str, wanted: Wanted = ALL_BUDGETS) -> str:
    """The report on the runs below a directory, in Markdown.

    Args:
        root: Directory with run directories in it.
        wanted: Which differences to show.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return markdown_of(collect(root), root, wanted)


def html(root: str, command: Optional[Sequence[str]] = None, wanted: Wanted = ALL_BUDGETS) -> str:
    """The report with its pictures as one HTML page.

    Args:
        root: Directory with run directories in it.
        command: The words that made it, for the record.
        wanted: Which differences to show.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return html_of(collect(root), command or [*COMMAND, root], wanted)


def figure(root: str) -> "matplotlib.figure.Figure":  # noqa: F821 - imported where it is needed
    """The picture of the runs below a directory, all settings below each other.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return figure_of(collect(root).settings)


def markdown_of(collection: Collection, root: str, wanted: Wanted = ALL_BUDGETS) -> str:
    """The report on runs that have been collected, in Markdown."""
    command = [*COMMAND, root]
    if wanted.baseline != BASELINE:
        command += ["--baseline", wanted.baseline]
    if wanted.at != ALL_BUDGETS.at:
        command += ["--at", *wanted.at]
    for choice in collection.choices[:1]:
        command += ["--select", choice.setting.selected.replace("_", "-")]
    return as_markdown(report_blocks(collection, command, {}, wanted))


def check_baseline(collection: Collection, text: str) -> None:
    """Refuse a baseline that is not a schedule of any network that was run.

    Raises:
        UsageError: If it is not.
    """
    problems = []
    for setting in collection.settings:
        try:
            parse(text, len(setting.case.layers))
        except FieldError as error:
            problems.append(error.problem)
    if len(problems) == len(collection.settings):
        raise UsageError(f"--baseline {problems[0]}")


def html_of(collection: Collection, command: Sequence[str], wanted: Wanted = ALL_BUDGETS) -> str:
    """The report on runs that have been collected, as one HTML page."""
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    pictures = {
        setting: Picture(style.render(figure_of({setting: groups}), "png"), _description(groups))
        for setting, groups in collection.settings.items()
    }
    return as_html(report_blocks(collection, command, pictures, wanted), TITLE)


def _description(groups: Sequence[Group]) -> str:
    """What a setting's picture shows, for those who cannot see it."""
    labels = list(dict.fromkeys(group.variant.label for group in groups))
    cases = ("case " if len(labels) == 1 else "cases ") + ", ".join(labels)
    return (
        f"Four panels: test accuracy of {cases} over epochs, over layer updates, over TFLOP, and "
        "after the last epoch. The tables below hold the numbers after the last epoch."
    )


def figure_of(settings: Mapping[Setting, Sequence[Group]]) -> "matplotlib.figure.Figure":  # noqa: F821
    """The picture of runs that have been collected."""
    # Matplotlib takes a second to import.
    from unfair_bp.figures.comparison import comparison_figure  # noqa: PLC0415

    parts = [
        Part(f"{setting_text(setting)}: {mode}", [_series(group, chosen) for group in chosen])
        for setting, groups in settings.items()
        for mode, chosen in _by_mode(groups).items()
    ]
    return comparison_figure(parts)


def _by_mode(groups: Sequence[Group]) -> Dict[str, List[Group]]:
    """Groups of one protocol and the same quirks, which share a set of panels.

    A cycle of one row, the same under both protocols, is drawn beside the runs of either.
    """
    rules: Dict[str, List[Group]] = {}
    for group in groups:
        rules.setdefault(group.variant.rules, []).append(group)
    modes = {}
    for alike in rules.values():
        protocols = {group.variant.protocol for group in alike}
        for protocol in sorted(protocols - {EITHER}) or [EITHER]:
            chosen = [group for group in alike if group.variant.protocol in (protocol, EITHER)]
            modes[chosen[0].variant._replace(protocol=protocol).mode] = chosen
    return modes


def _series(group: Group, others: Sequence[Group]) -> Series:
    """What is drawn of a group that shares a set of panels with others, itself included."""
    variant, log = group.variant, statistics.published(group)
    label = variant.shortened(LONGEST_LABEL)
    tick = [variant.shortened(LONGEST_TICK).name]
    namesakes = [other.variant for other in others if other.variant.name == variant.name]
    if variant.augment and not all(other.augment for other in namesakes):
        tick.append("augm.")
    if len({other.epochs for other in namesakes}) > 1:
        tick.append(f"{variant.epochs} ep.")
    what = f"{label.name}: {label.training}" if variant.as_posted else label.training
    epochs, seeds = count_text(variant.epochs, "epoch"), count_text(len(group.runs), "seed")
    return Series(
        name=variant.name,
        letter=_letter(variant),
        augmented=variant.augment,
        tick="\n".join(tick),
        label=f"{what}, {epochs}, {seeds}",
        curves=[statistics.curve(run.metrics) for run in group.runs],
        final=statistics.summary(group)["test"],
        published=statistics.published_curve(variant.name, log) if log else None,
    )


def _letter(variant: Variant) -> str:
    """The letter whose colour a variant has: its own, or that of the same under each protocol."""
    if variant.as_posted:
        return variant.name
    trained = (variant.schedule, variant.augment)
    alike = (case.name for case in CASES.values() if (case.schedule, case.augment) == trained)
    return next(alike, "")


def check_files(paths: Sequence[str], overwrite: bool) -> None:
    """Make sure that files can be written, before the first of them is.

    Raises:
        UsageError: If one cannot be, exists and may not be overwritten, or is named twice.
    """
    for path in paths:
        files.check(path, overwrite)
        if sum(os.path.abspath(path) == os.path.abspath(other) for other in paths) > 1:
            raise UsageError(f"{path} is named twice; give each output its own name")


def write_png(path: str, collection: Collection, overwrite: bool) -> None:
    """Write the picture of runs that have been collected.

    Raises:
        UsageError: If the file exists and may not be overwritten, or cannot be written.
    """
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    style.save(figure_of(collection.settings), path, overwrite)


def write(path: str, text: str) -> None:
    """Write a text file, in place of one that is there.

    Raises:
        UsageError: If it cannot be written.
    """
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    style.write(path, text.encode())
