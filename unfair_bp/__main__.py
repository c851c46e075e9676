"""List the commands of this package, or run one.

For example:

    unfair-bp train --case e
"""

import importlib
import sys
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.errors import UsageError

COMMANDS = (
    "train",
    "sweep",
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
    """Each command, with the first line of its module's docstring."""
    width = max(len(name) for name in COMMANDS)
    lines = []
    for name in COMMANDS:
        module = importlib.import_module(f"unfair_bp.{name}")
        meaning = (module.__doc__ or "").partition("\n")[0]  # python -OO leaves none
        lines.append(f"python -m unfair_bp.{name:{width}}  {meaning}")
    lines += ["", "unfair-bp COMMAND runs the same commands. --help lists the options of each."]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first word names, or print the list; returns the exit status.

    Raises:
        UsageError: If there is no such command.
    """
    if arguments and not arguments[0].startswith("-"):
        name, *rest = arguments
        if name not in COMMANDS:
            raise UsageError(f"{name!r} is not a command; give one of {', '.join(COMMANDS)}")
        return importlib.import_module(f"unfair_bp.{name}").main(rest)
    parser = commandline.Parser(prog="unfair-bp", description=__doc__)
    parser.parse_args(arguments)
    print(as_text())
    return 0


def script() -> int:
    """Run the console script ``unfair-bp``; returns the exit status."""
    return commandline.run(main, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(script())
