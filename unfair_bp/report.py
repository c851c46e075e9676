"""Compare the runs below a directory with each other and with the published ones.

Runs are grouped over seeds, and only runs with the same width, data, batch size, learning rate and
so on stand in one table. The report is Markdown on standard output; it can also be had as a
picture and as one HTML page that holds everything. Only run directories are read.

For example:

    python -m unfair_bp.report logs
    python -m unfair_bp.report logs --png statistics.png --html statistics.html
"""

import os
import sys
from typing import Sequence

from unfair_bp import commandline, files
from unfair_bp.errors import UsageError
from unfair_bp.reporting.comparison import COMMAND, figure_of, html_of, markdown_of
from unfair_bp.results.collection import collect


def _write(path: str, text: str) -> None:
    """Write a text file."""
    from unfair_bp.figures import style  # noqa: PLC0415 - imports Matplotlib

    style.write(path, text.encode())


def _check_files(paths: Sequence[str], overwrite: bool) -> None:
    """Refuse names that cannot be written, before the first of them is."""
    for path in paths:
        files.check(path, overwrite)
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
    paths = [path for path in (options.markdown, options.png, options.html) if path]
    _check_files(paths, options.overwrite)
    collection = collect(options.root)
    for line in collection.left_out:
        print("warning: not counted: %s" % " ".join(line.split()), file=sys.stderr)

    text = markdown_of(collection, options.root)
    if options.png:  # first, because its name may still be refused
        from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

        style.save(figure_of(collection.settings), options.png, options.overwrite)
    if options.html:
        _write(options.html, html_of(collection, [*COMMAND, *arguments]))
    if options.markdown:
        _write(options.markdown, text)
    else:
        sys.stdout.write(text)
    for path in paths:
        print("wrote %s" % path, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
