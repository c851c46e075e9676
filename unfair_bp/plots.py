"""Draw a run: learning curves, each layer's updates and weights, and example images.

For example:

    python -m unfair_bp.plots logs/case_e/seed678

Training draws these pictures when it ends. This command draws them again, or draws those of a run
that has not ended. It reads nothing but the run directory and puts the pictures into its figures/,
in place of those that are there.
"""

import sys
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.reporting.pictures import FORMATS, draw, missing


def main(arguments: Sequence[str]) -> int:
    """Draw a run; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.plots", description=__doc__)
    commandline.add_run(parser)
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: png")
    options = parser.parse_args(arguments)
    paths = draw(options.run_dir, options.format)
    for line in missing(paths):
        print(line, file=sys.stderr)
    for path in paths.values():
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
