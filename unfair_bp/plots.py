"""Draw a run: learning curves, histograms of the weights, example images, updates of each layer.

For example:

    python -m unfair_bp.plots logs/case_e/seed678

Training draws these pictures when it ends; this command draws them again, or those of a run that
has not ended. They are made from the run directory alone and put below its figures/, in place of
those that are there.
"""

import sys
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.reporting.pictures import FORMATS, draw, missing
from unfair_bp.running.directory import RunDirectory


def main(arguments: Sequence[str]) -> int:
    """Draw a run; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.plots", description=__doc__)
    commandline.add_run(parser)
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: png")
    options = parser.parse_args(arguments)
    paths = draw(RunDirectory(options.run_dir), options.format)
    for line in missing(paths):
        print(line, file=sys.stderr)
    for path in paths.values():
        print("wrote %s" % path)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
