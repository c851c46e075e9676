"""Show what the scripts of 2018 compute: rebuilt, their unfair graphs collapse into fair ones.

The scripts of 2018 put all rounds of a schedule into one graph that takes one batch: each round has
its own forward pass, its own backward chain and its own updates, but nothing says that a round
comes after the one before. All rounds read the same variables, so TensorFlow sees the same
expressions many times, merges them, and computes one round.

Two tables are printed. For the first, such graphs run as they ran in 2018, and again with
TensorFlow's graph optimisations switched off; beside them run this package's ordered per-batch
graphs. The table shows the time of a batch, the number of convolutions that it executes, and how
far each layer's weights have moved. A collapsed graph does the same as the fair one, at the same
cost.

In the scripts' graphs, reads and assignments of a variable have no specified order. Usually a step
is computed from the m and v that the last batch left. So the first batch moves nothing, and without
optimisations a layer takes the same step once for each of its updates, instead of a better step
after each round.

The second table, always at full width, shows which weights an iteration computes with. It compares
the iteration's logits with three forward passes: through the weights before the iteration, through
those after it, and through layer 1's before it with the other layers' after it.

For example:

    python -m unfair_bp.collapse
    python -m unfair_bp.collapse --repeats 30 --png collapse.png
"""

import sys
from dataclasses import replace
from typing import Sequence

from unfair_bp import commandline, files
from unfair_bp.data import shapes
from unfair_bp.errors import UsageError
from unfair_bp.measuring.timing import MOST_REPEATS

LEAST_ITERATIONS = 2  # the learning rate is 0 on the first batch, so one changes nothing
READ_AT_WIDTH = 1.0  # layer 1's convolution must take longer than the move of its weights


def _parser() -> commandline.Parser:
    """What may be asked for."""
    parser = commandline.Parser(prog="python -m unfair_bp.collapse", description=__doc__)
    parser.set_defaults(case="a", width=0.25)
    commandline.add_fields(parser, ["width", "batch_size"])
    parser.add_argument("--iterations", type=int, default=6, metavar="INT", help="batches (6)")
    parser.add_argument("--repeats", type=int, default=10, metavar="INT", help="timed batches (10)")
    parser.add_argument(
        "--png",
        type=commandline.path,
        metavar="FILE",
        help="also draw the result into this new file",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table and, if asked, draw it; returns the exit status."""
    options = _parser().parse_args(arguments)
    for option, value, least in (
        ("--iterations", options.iterations, LEAST_ITERATIONS),
        ("--repeats", options.repeats, 1),
    ):
        if not least <= value <= MOST_REPEATS:
            raise UsageError(f"{option} {value} is out of range; give {least} to {MOST_REPEATS}")
    case = commandline.resolve_case(options)
    most = shapes.LARGEST // (1 + LEAST_ITERATIONS)
    if case.batch_size > most:
        raise UsageError(f"--batch-size {case.batch_size} is too much; give at most {most}")
    if (options.iterations + 1) * case.batch_size > shapes.LARGEST:
        raise UsageError(
            f"--iterations {options.iterations} with --batch-size {case.batch_size} is too much; "
            f"give a product of at most {shapes.LARGEST - case.batch_size}"
        )
    if options.png is not None:
        files.check_kind(options.png, files.PICTURES)  # before minutes of work
        files.check(options.png, options.overwrite)

    from unfair_bp.backprop.graph_mode import tf  # noqa: PLC0415
    from unfair_bp.figures import style  # noqa: PLC0415
    from unfair_bp.figures.collapse import collapse_figure  # noqa: PLC0415
    from unfair_bp.measuring import collapse as measures  # noqa: PLC0415 - --help answers at once
    from unfair_bp.running import sessions  # noqa: PLC0415

    with sessions.enough_memory(sessions.too_large(case)):
        results = measures.measure(case, options.iterations, options.repeats)
    heading = (
        f"TensorFlow {tf.version.VERSION}, width {case.width:g}, "
        f"batches of {case.batch_size}, change after {options.iterations} of them"
    )
    print(f"{heading}\n\n{measures.as_text(results)}\n")
    if options.png is not None:  # before the readings, which take their time, too
        style.save(collapse_figure(results, heading), options.png, options.overwrite)
        print(f"wrote {options.png}")
    full = replace(case, width=READ_AT_WIDTH)
    with sessions.enough_memory(sessions.too_large(full)):
        readings = measures.readings(full, options.iterations)
    print(measures.readings_as_text(readings, full.width))
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
