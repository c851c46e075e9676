"""List the commands of this package."""

import importlib
import sys
from typing import Sequence

from unfair_bp import commandline

COMMANDS = (
    "train",
    "plots",
    "report",
    "evaluate",
    "schedule",
    "quirks",
    "published",
    "collapse",
    "benchmark",
)


def as_text() -> str:
    """Each command, with the first line of what its module says of itself."""
    width = max(len(name) for name in COMMANDS)
    lines = []
    for name in COMMANDS:
        module = importlib.import_module("unfair_bp." + name)
        meaning = (module.__doc__ or "").splitlines()[0]
        lines.append("python -m unfair_bp.%-*s  %s" % (width, name, meaning))
    return "\n".join([*lines, "", "--help lists the options of each."])


def main(arguments: Sequence[str]) -> int:
    """Print the list; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp", description=__doc__)
    parser.parse_args(arguments)
    print(as_text())
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
