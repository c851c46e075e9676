"""Print the numbers that the post's author published, of all six cases or of one.

For example:

    python -m unfair_bp.published
    python -m unfair_bp.published --case c

Training figures are means over an epoch's batches, test figures are of the whole test set after
it. Costs of a and b are cross entropies; those of c to f are cross entropies of
softmax(softmax(logits)), never below 1.461, and cannot be compared with any other cost.
"""

import sys
from typing import Dict, List, Sequence

from unfair_bp import commandline
from unfair_bp.errors import UsageError
from unfair_bp.experiment.published import PublishedEpoch, load


def case_as_text(epochs: Sequence[PublishedEpoch]) -> str:
    """The epochs of one case, one a line."""
    lines = ["  epoch   train cost  accuracy   test cost  accuracy"]
    lines += ["  %5d %12.5f %9.4f %11.5f %9.4f" % row for row in epochs]
    return "\n".join(lines)


def summary_as_text(published: Dict[str, List[PublishedEpoch]]) -> str:
    """All cases, one a line."""
    lines = [
        "                 test accuracy                         train accuracy",
        "  case  epochs   first     best (after epoch)    last           last",
    ]
    for name, epochs in published.items():
        best = max(epochs, key=lambda row: row.test_accuracy)
        lines.append(
            "  %-4s  %6d   %.4f   %.4f          %3d    %.4f         %.4f"
            % (
                name,
                len(epochs),
                epochs[0].test_accuracy,
                best.test_accuracy,
                best.epoch,
                epochs[-1].test_accuracy,
                epochs[-1].train_accuracy,
            )
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the published numbers; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.published", description=__doc__)
    parser.add_argument("--case", metavar="X", help="every epoch of one case, a to f")
    options = parser.parse_args(arguments)
    published = load()
    if options.case is None:
        print(summary_as_text(published))
        return 0
    if options.case not in published:
        raise UsageError(
            "--case %r is not known; give one of %s" % (options.case, ", ".join(published))
        )
    print(case_as_text(published[options.case]))
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
