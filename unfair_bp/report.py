"""Compare the runs below one or more directories with each other and with the published ones.

Runs are grouped over seeds, and only runs with the same width, data, batch size, learning rate and
so on stand in one table. The report is Markdown on standard output; it can also be had as a
picture and as one HTML page that holds everything. Only run directories are read.

For example:

    python -m unfair_bp.report logs
    python -m unfair_bp.report logs/study/answer logs/study/controls
    python -m unfair_bp.report logs --baseline random:3 --at flops
    python -m unfair_bp.report logs --png statistics.png --html statistics.html
"""

import sys
from typing import Sequence

from unfair_bp import commandline, files
from unfair_bp.console import warn
from unfair_bp.reporting import comparison
from unfair_bp.reporting.differences import Wanted
from unfair_bp.results.budgets import BUDGETS
from unfair_bp.results.collection import collect
from unfair_bp.results.differences import BASELINE
from unfair_bp.results.selection import SELECTABLE, select


def _parser() -> commandline.Parser:
    """What may be asked for."""
    parser = commandline.Parser(prog="python -m unfair_bp.report", description=__doc__)
    parser.add_argument(
        "roots",
        nargs="+",
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
    parser.add_argument(
        "--baseline",
        default=BASELINE,
        metavar="SCHEDULE",
        help=f"what every other schedule is compared with ({BASELINE})",
    )
    parser.add_argument(
        "--at",
        choices=[budget.option for budget in BUDGETS],
        help="compare only where this is equal (default: a table for each)",
    )
    parser.add_argument(
        "--select",
        choices=[name.replace("_", "-") for name in SELECTABLE],
        help="for each schedule, report only the runs at the value that has the best validation "
        "accuracy on those with --validation-size, which are not reported",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Report on the runs below one or more directories; returns the exit status."""
    options = _parser().parse_args(arguments)
    paths = [path for path in (options.markdown, options.png, options.html) if path]
    if options.png:
        files.check_kind(options.png, files.PICTURES)
    files.check_all(paths, options.overwrite)
    collection = collect(*options.roots)
    comparison.check_baseline(collection, options.baseline)
    budgets = [budget for budget in BUDGETS if options.at in (None, budget.option)]
    wanted = Wanted(options.baseline, tuple(budgets))
    if options.select:
        collection = select(collection, options.select.replace("-", "_"))
    for line in collection.left_out:
        warn(f"not counted: {' '.join(line.split())}")
    text = comparison.markdown(collection, options.roots, wanted)
    if options.png:
        comparison.write_png(options.png, collection, wanted, options.overwrite)
    if options.html:
        page = comparison.html(collection, [*comparison.COMMAND, *arguments], wanted)
        files.write_or_refuse(options.html, page.encode())
    if options.markdown:
        files.write_or_refuse(options.markdown, text.encode())
    else:
        sys.stdout.write(text)
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
