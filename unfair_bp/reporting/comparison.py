"""A comparison of runs as Markdown, as a picture, and as one HTML page that holds everything."""

from typing import Dict, Optional, Sequence

from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.schedules import parse
from unfair_bp.reporting.differences import EVERYTHING, Wanted, baseline_of
from unfair_bp.reporting.document import Picture, as_html, as_markdown
from unfair_bp.reporting.text import TITLE, report_blocks, setting_text
from unfair_bp.results.collection import Collection, Group
from unfair_bp.results.differences import BASELINE
from unfair_bp.results.run import Setting
from unfair_bp.results.series import parts

COMMAND = ("python", "-m", "unfair_bp.report")


def markdown(collection: Collection, roots: Sequence[str], wanted: Wanted = EVERYTHING) -> str:
    """The report on runs that have been collected below these directories, in Markdown."""
    command = [*COMMAND, *roots]
    if wanted.baseline != BASELINE:
        command += ["--baseline", wanted.baseline]
    if wanted.budgets != EVERYTHING.budgets:
        command += ["--at", *(budget.option for budget in wanted.budgets)]
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


def html(collection: Collection, command: Sequence[str], wanted: Wanted = EVERYTHING) -> str:
    """The report on runs that have been collected, as one HTML page."""
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    pictures: Dict[Optional[Setting], Picture] = {}
    if collection.choices:
        picture = style.render(_tuning_of(collection), "png")
        pictures[None] = Picture(picture, "Validation accuracy over the values that were tried.")
    for setting, groups in collection.settings.items():
        alone = collection._replace(settings={setting: groups})
        picture = style.render(figure(alone, wanted), "png")
        pictures[setting] = Picture(picture, _description(groups))
    return as_html(report_blocks(collection, command, pictures, wanted), TITLE)


def _description(groups: Sequence[Group]) -> str:
    """What a setting's picture shows, for those who cannot see it."""
    labels = list(dict.fromkeys(group.variant.label for group in groups))
    cases = ("case " if len(labels) == 1 else "cases ") + ", ".join(labels)
    return (
        f"Test accuracy of {cases} over each budget and after the last epoch, and paired "
        "differences. The tables below hold the numbers."
    )


def figure(collection: Collection, wanted: Wanted = EVERYTHING) -> "matplotlib.figure.Figure":  # noqa: F821
    """The picture of runs that have been collected; that of the tuning if there are no others."""
    # Matplotlib takes a second to import.
    from unfair_bp.figures.comparison import comparison_figure  # noqa: PLC0415

    if not collection.settings:
        return _tuning_of(collection)
    shown = [
        part
        for setting, groups in collection.settings.items()
        for part in parts(
            groups, setting_text(setting), baseline_of(groups, wanted), wanted.budgets
        )
    ]
    return comparison_figure(shown, whole=wanted.budgets == EVERYTHING.budgets)


def _tuning_of(collection: Collection) -> "matplotlib.figure.Figure":  # noqa: F821
    """The picture of what was picked."""
    from unfair_bp.figures.tuning import tuning_curves  # noqa: PLC0415

    choices = collection.choices
    return tuning_curves(choices, [setting_text(choice.setting) for choice in choices])


def write_png(path: str, collection: Collection, wanted: Wanted, overwrite: bool) -> None:
    """Write the picture of runs that have been collected.

    Raises:
        UsageError: If the file exists and may not be overwritten, or cannot be written.
    """
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    style.save(figure(collection, wanted), path, overwrite)
