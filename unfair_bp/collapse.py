"""Show why the published unfair runs were not unfair: their graphs collapsed into fair ones.

The scripts of 2018 put all nine rounds of a schedule into one graph that takes one batch: each
round has its own forward pass, its own backward chain and its own updates, but nothing says that
a round comes after the one before. All rounds read the same variables, so TensorFlow sees the same
expressions nine times, merges them, and computes one round.

This builds such graphs and runs them as they were run and again with TensorFlow's graph
optimisations switched off; beside them this package's ordered per-batch graphs. For each it counts
the convolutions that are executed, times a batch, and measures how far every layer has moved. A
collapsed graph does what the fair one does, at the fair one's cost.

Reads and assignments of the scripts' variables have no specified order. Usually every step is made
of the m and v that the last batch left: so the first batch moves nothing, and without optimisations
a layer takes the same step once for each of its updates, not a better one after each round. The
second table, at the full width, tells which weights an iteration computes with: its logits are
compared with forward passes through the weights before its move, after it, and through layer 1's
before it and the others' after it.

For example:

    python -m unfair_bp.collapse
    python -m unfair_bp.collapse --repeats 30 --png collapse.png
"""

import sys
from dataclasses import replace
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.errors import UsageError

READ_AT_WIDTH = 1.0  # layer 1's convolution must take longer than the move of its weights


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table and, if asked, draw it; returns the exit status."""
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
    options = parser.parse_args(arguments)
    for option, value in (("--iterations", options.iterations), ("--repeats", options.repeats)):
        if value < 1:
            raise UsageError("%s %d is out of range; give at least 1" % (option, value))
    case = commandline.resolve_case(options)

    from unfair_bp.backprop.graph_mode import tf  # noqa: PLC0415
    from unfair_bp.figures import style  # noqa: PLC0415
    from unfair_bp.figures.collapse import collapse_figure  # noqa: PLC0415
    from unfair_bp.measuring import collapse as measures  # noqa: PLC0415 - --help answers at once

    if options.png is not None:
        style.check_picture(options.png, options.overwrite)  # before minutes of work

    results = measures.measure(case, options.iterations, options.repeats)
    settings = (tf.version.VERSION, case.width, case.batch_size, options.iterations)
    heading = "TensorFlow %s, width %g, batches of %d, change after %d of them" % settings
    print("%s\n\n%s\n" % (heading, measures.as_text(results)))
    full = replace(case, width=READ_AT_WIDTH)
    print(measures.readings_as_text(measures.readings(full, options.iterations)))
    if options.png is not None:
        figure = collapse_figure(results, heading)
        style.save(figure, options.png, options.overwrite)
        print("wrote %s" % options.png)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
