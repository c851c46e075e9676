"""Measure what training costs on this machine, and how near it comes to what it must cost.

The floor of a step is its number of floating-point operations relative to a fair step. Operations
are those of the convolution's sum as it is written. A faster form of the convolution needs fewer
multiplications, so its share of the matrix product's rate may exceed 1.

What is compared takes turns, in a new order each time: the steps, the forms of each layer's
convolution, and the ways of input. Times are medians; those of the steps come with quartiles.
Nothing else should run at the same time.

With --sweep it measures instead how many runs a machine trains in an hour, by how many train at a
time and with how many threads each, and what memory they take.

For example:

    python -m unfair_bp.benchmark --width 0.25
    python -m unfair_bp.benchmark --width 0.25 --sweep --workers 1 2 4 --epochs 10
    python -m unfair_bp.benchmark --png benchmark.png --json benchmark.json
"""

import argparse
import json
import sys
from typing import Sequence

from unfair_bp import commandline, files
from unfair_bp.errors import UsageError
from unfair_bp.measuring.timing import MOST_REPEATS

INPUT_REPEATS = 5


def _parser() -> commandline.Parser:
    """What may be asked for."""
    parser = commandline.Parser(prog="python -m unfair_bp.benchmark", description=__doc__)
    parser.set_defaults(case="a")
    commandline.add_fields(parser, ["width", "batch_size", "threads", "epochs"])
    parser.add_argument("--sweep", action="store_true", help="measure many runs at once")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        metavar="INT",
        help="with --sweep: runs at a time (default: 1, 2, 4, ... up to the number of cores)",
    )
    parser.add_argument("--repeats", type=int, default=11, metavar="INT", help="timed runs (11)")
    parser.add_argument(
        "--input-repeats",
        type=int,
        metavar="INT",
        help=f"timed runs of dozens of iterations, with augmentation and without ({INPUT_REPEATS})",
    )
    for option, meaning in (
        ("--png", "also draw the result into this new file"),
        ("--json", "also write every figure into this new file"),
    ):
        parser.add_argument(option, type=commandline.path, metavar="FILE", help=meaning)
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table and, if asked, write it and draw it; returns the exit status."""
    options = _parser().parse_args(arguments)
    _check(options)
    case = commandline.resolve_case(options)
    if case.batch_size % 2 and not options.sweep:
        raise UsageError(
            f"--batch-size {case.batch_size} is odd; half of an augmented batch is augmented, so "
            "give an even number"
        )
    if options.png is not None:
        files.check_kind(options.png, files.PICTURES)  # before minutes of work
    named = [path for path in (options.png, options.json) if path is not None]
    files.check_all(named, options.overwrite)

    from unfair_bp.figures import style  # noqa: PLC0415 - --help answers at once
    from unfair_bp.figures.benchmark import benchmark_figure  # noqa: PLC0415
    from unfair_bp.measuring import benchmark as measures  # noqa: PLC0415
    from unfair_bp.running import sessions  # noqa: PLC0415 - imports TensorFlow

    with sessions.enough_memory(sessions.too_large(case)):
        if options.sweep:
            result = measures.measure_sweep(case, options.workers, options.repeats)
        else:
            result = measures.measure(case, options.repeats, options.input_repeats or INPUT_REPEATS)
    print(measures.as_text(result))
    if options.json is not None:
        files.write_or_refuse(options.json, (json.dumps(result, indent=1) + "\n").encode())
        print(f"wrote {options.json}")
    if options.png is not None:
        style.save(benchmark_figure(result), options.png, options.overwrite)
        print(f"wrote {options.png}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse numbers out of range, and options that say nothing of what is measured.

    Raises:
        UsageError: If there is one.
    """
    for option in ("repeats", "input_repeats", "workers"):
        given = getattr(options, option)
        for value in given if isinstance(given, list) else [given]:
            if value is not None and not 1 <= value <= MOST_REPEATS:
                name = "--" + option.replace("_", "-")
                raise UsageError(f"{name} {value} is out of range; give 1 to {MOST_REPEATS}")
    if options.sweep and options.threads is not None:
        raise UsageError("--threads cannot be given with --sweep, which tries several numbers")
    if options.sweep and options.input_repeats is not None:
        raise UsageError("--input-repeats cannot be given with --sweep; leave it out")
    if options.sweep and options.png is not None:
        raise UsageError("--png cannot be given with --sweep, which draws nothing; give --json")
    for option in ("workers", "epochs"):
        if getattr(options, option) is not None and not options.sweep:
            raise UsageError(f"--{option} works only with --sweep; add --sweep, or leave it out")


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
