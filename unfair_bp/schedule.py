"""Show a schedule: which layers are updated on which iteration, how often, and at what cost.

For example:

    python -m unfair_bp.schedule --case c --png from_the_back.png
    python -m unfair_bp.schedule --schedule "9;8-9;7-9"
"""

import sys
from typing import Sequence

from unfair_bp import commandline, schedules
from unfair_bp.architecture import scaled


def main(arguments: Sequence[str]) -> int:
    """Print a schedule and, if asked, draw it; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.schedule", description=__doc__)
    commandline.add_case(parser)
    commandline.add_fields(parser, ["schedule", "width"])
    parser.add_argument("--png", metavar="FILE", help="also draw the schedule into this new file")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    options = parser.parse_args(arguments)
    case = commandline.resolve_case(options)
    schedule = schedules.parse(case.schedule)
    layers = scaled(case.width)
    print(schedules.as_text(schedule, layers))
    if options.png:
        # Matplotlib takes a second to import.
        from unfair_bp.figures import style  # noqa: PLC0415
        from unfair_bp.figures.schedule import schedule_heatmap  # noqa: PLC0415

        style.save(schedule_heatmap(schedule, layers), options.png, options.overwrite)
        print("wrote %s" % options.png)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
