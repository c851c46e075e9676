"""Train every combination of the values given, many runs at once, here or on a cluster.

Options shown with [X ...] below take several values, --seed also a span like 0-4. Each run is a
training process of its own, with one thread unless told otherwise. Finished runs are left alone and
unfinished ones resume, so the same command continues a sweep that was stopped.

For example:

    python -m unfair_bp.sweep --case a c e --seed 0-2 --quick --root logs/sweep
    python -m unfair_bp.sweep --case c --learning-rate 1e-4 3e-4 --width 0.25 --root logs/rates
"""

import os
import sys
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.console import shell_line
from unfair_bp.errors import UsageError
from unfair_bp.running.signals import Interrupted
from unfair_bp.sweeping import loop, plan, summary


def _parser() -> commandline.Parser:
    """What may be asked for."""
    parser = commandline.Parser(prog="python -m unfair_bp.sweep", description=__doc__)
    parser.set_defaults(threads=[1])
    commandline.add_case(parser, several=True)
    commandline.add_quick(parser)
    commandline.add_fields(parser, several=True)
    commandline.add_data_dir(parser)
    commandline.add_training(parser)
    parser.add_argument(
        "--root",
        type=commandline.path,
        default=os.path.join("logs", "sweep"),
        metavar="DIR",
        help="where the run directories are, named by what differs (default: logs/sweep)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="INT", help="runs at a time (default: one per core)"
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="have the workers of this Dask scheduler train, such as tcp://HOST:8786",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the runs, and train nothing")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Train what is not done yet; returns the exit status."""
    options = _parser().parse_args(arguments)
    runs = plan.plan(options, options.root)
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers {options.workers} is out of range; give at least 1")
    if options.dry_run:
        print(summary.plan_text(runs))
        return 0
    workers = options.workers or loop.runs_at_a_time([run.case for run in runs])
    try:
        results = loop.sweep(runs, options.root, options.scheduler, workers)
    except Interrupted as interrupt:
        again = shell_line(["python", "-m", "unfair_bp.sweep", *arguments])
        print(f"interrupted, every run is saved; go on with: {again}", file=sys.stderr)
        return interrupt.status
    print(summary.table(results))
    print(f"report: {shell_line(['python', '-m', 'unfair_bp.report', options.root])}")
    failed = summary.failures(results)
    if failed:
        first = failed[0]
        raise UsageError(
            f"{len(failed)} of {len(results)} runs failed; {first.run.path}: {first.message}; see "
            f"{first.run.log}, then run the same command to try again"
        )
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
