"""Compare the runs below a directory with each other and with the published ones.

Runs are grouped over seeds, and only runs with the same width, data, batch size, learning rate and
so on stand in one table. The report is Markdown on standard output; it can also be had as a
picture and as one HTML page that holds everything. Only run directories are read.

For example:

    python -m unfair_bp.report logs
    python -m unfair_bp.report logs --png comparison.png --html comparison.html
"""

import os
import sys
from typing import Dict, List, Mapping, Optional, Sequence

from unfair_bp import commandline, comparison, outputs, published
from unfair_bp.collection import Collection, Group, Setting, collect
from unfair_bp.comparison import Part, Series
from unfair_bp.document import Picture, as_html, as_markdown
from unfair_bp.errors import UsageError
from unfair_bp.report_text import TITLE, count_text, report_blocks, setting_text

COMMAND = ("python", "-m", "unfair_bp.report")
LONGEST_TICK, LONGEST_LABEL = 9, 24  # letters of a schedule in a picture; typed ones may be long


def markdown(root: str) -> str:
    """The report on the runs below a directory, in Markdown.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return _markdown(collect(root), root)


def html(root: str, command: Optional[Sequence[str]] = None) -> str:
    """The report with its pictures as one HTML page.

    Args:
        root: Directory with run directories in it.
        command: The words that made it, for the record.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return _html(collect(root), command or [*COMMAND, root])


def figure(root: str) -> "matplotlib.figure.Figure":  # noqa: F821 - imported where it is needed
    """The picture of the runs below a directory, all settings below each other.

    Raises:
        UsageError: If there is no such directory, or no run in it has a finished epoch.
    """
    return _figure(collect(root).settings)


def _markdown(collection: Collection, root: str) -> str:
    return as_markdown(report_blocks(collection, [*COMMAND, root], {}))


def _html(collection: Collection, command: Sequence[str]) -> str:
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    pictures = {
        setting: Picture(style.render(_figure({setting: groups}), "png"), _description(groups))
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


def _figure(settings: Mapping[Setting, Sequence[Group]]) -> "matplotlib.figure.Figure":  # noqa: F821
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
    posted = published.load()
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
        curves = [comparison.curve(run.metrics) for run in group.runs]
        final = comparison.summary(group)["test_final"]
        log = posted[variant.name] if group.as_posted else None
        theirs = log and comparison.published_curve(variant.name, log)
        series.append(Series(variant.name, tick, label, curves, final, theirs))
    return series


def _cut(text: str, length: int) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def _write(path: str, text: str) -> None:
    """Write a text file."""
    from unfair_bp.figures import style  # noqa: PLC0415 - imports Matplotlib

    style.write(path, text.encode())


def _check_files(paths: Sequence[str], overwrite: bool) -> None:
    """Refuse names that cannot be written, before the first of them is."""
    for path in paths:
        outputs.check(path, overwrite)
        if sum(os.path.abspath(path) == os.path.abspath(other) for other in paths) > 1:
            raise UsageError("%s is named twice; give each output its own name" % path)


def main(arguments: Sequence[str]) -> int:
    """Report on the runs below a directory; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.report", description=__doc__)
    parser.add_argument(
        "root",
        type=commandline.path,
        metavar="LOG_ROOT",
        help="directory with run directories in it",
    )
    for option, meaning in (
        ("--markdown", "write the Markdown into this new file"),
        ("--png", "also draw the runs into this new file"),
        ("--html", "also write this new page, pictures embedded"),
    ):
        parser.add_argument(option, type=commandline.path, metavar="FILE", help=meaning)
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    options = parser.parse_args(arguments)
    files = [path for path in (options.markdown, options.png, options.html) if path]
    _check_files(files, options.overwrite)
    collection = collect(options.root)
    for line in collection.left_out:
        print("warning: not counted: %s" % " ".join(line.split()), file=sys.stderr)

    text = _markdown(collection, options.root)
    if options.png:  # first, because its name may still be refused
        from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

        style.save(_figure(collection.settings), options.png, options.overwrite)
    if options.html:
        _write(options.html, _html(collection, [*COMMAND, *arguments]))
    if options.markdown:
        _write(options.markdown, text)
    else:
        sys.stdout.write(text)
    for path in files:
        print("wrote %s" % path, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
