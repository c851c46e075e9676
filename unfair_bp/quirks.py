"""Print the ledger: where the scripts of 2018 deviate from calculus or from the post's intent.

For example:

    python -m unfair_bp.quirks
"""

import sys
import textwrap
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.experiment.ledger import LEDGER


def as_text() -> str:
    """Return the ledger as a table."""
    width = max(len(name) for name in LEDGER)
    lines = [f"{'quirk':{width}}  cases  scripts / truth / where"]
    for name, quirk in LEDGER.items():
        label = f"{name:{width}}  {quirk.cases:5}  "
        for text in (quirk.scripts, quirk.truth, f"unfair_bp.{quirk.where}"):
            lines += textwrap.wrap(
                text, 100, initial_indent=label, subsequent_indent=" " * (len(label) + 2)
            )
            label = " " * len(label)
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the ledger; returns the exit status."""
    commandline.Parser(prog="python -m unfair_bp.quirks", description=__doc__).parse_args(arguments)
    print(as_text())
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
