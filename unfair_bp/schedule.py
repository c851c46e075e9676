"""Show a schedule: which layers are updated on which iteration, how often, and at what cost.

For example:

    python -m unfair_bp.schedule --case c --png from_the_back.png
    python -m unfair_bp.schedule --case c --gif from_the_back.gif
    python -m unfair_bp.schedule --schedule "9;8-9;7-9"
    python -m unfair_bp.schedule --list
"""

import argparse
import sys
from typing import Sequence

from unfair_bp import commandline, files
from unfair_bp.errors import UsageError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.cases import schedule_of_run


def main(arguments: Sequence[str]) -> int:
    """Print a schedule and, if asked, draw it; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.schedule", description=__doc__)
    commandline.add_case(parser)
    commandline.add_fields(
        parser, ["schedule", "moments", "width", "epochs", "batch_size", "data", "train_size"]
    )
    parser.add_argument(
        "--list", action="store_true", help="list the schedules that have a name, and end"
    )
    parser.add_argument(
        "--png",
        type=commandline.path,
        metavar="FILE",
        help="also draw the schedule into this new file",
    )
    parser.add_argument(
        "--gif",
        type=commandline.path,
        metavar="FILE",
        help="also animate it, iteration by iteration, into this new file",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    options = parser.parse_args(arguments)
    if options.list:
        if len(arguments) > 1:
            raise UsageError("--list cannot be given with another option; give it alone")
        print(schedules.catalogue())
        return 0
    case = commandline.resolve_case(options)
    layers = case.layers
    schedule = schedule_of_run(case, None)
    _check_paths(options)
    print(schedules.as_text(schedule, layers))
    if options.png is not None:
        # Matplotlib takes a second to import.
        from unfair_bp.figures import style  # noqa: PLC0415
        from unfair_bp.figures.schedule import schedule_heatmap  # noqa: PLC0415

        style.save(schedule_heatmap(schedule, layers), options.png, options.overwrite)
        print(f"wrote {options.png}")
    if options.gif is not None:
        from unfair_bp.figures.animation import save_animation  # noqa: PLC0415

        save_animation(schedule, layers, options.gif, options.overwrite)
        print(f"wrote {options.gif}")
    return 0


def _check_paths(options: argparse.Namespace) -> None:
    """Refuse files that cannot be written before anything is printed or drawn."""
    if options.png is not None:
        files.check_kind(options.png, files.PICTURES)
    if options.gif is not None:
        files.check_kind(options.gif, files.ANIMATIONS)
    named = [path for path in (options.png, options.gif) if path is not None]
    files.check_all(named, options.overwrite)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
