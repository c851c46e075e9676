"""Print the figures that the post's author published, for all six cases or for one.

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
    """Return the epochs of one case, one on each line."""
    lines = ["  epoch   train cost  accuracy   test cost  accuracy"]
    lines += [
        f"  {row.epoch:5d} {row.train_cost:12.5f} {row.train_accuracy:9.4f}"
        f" {row.test_cost:11.5f} {row.test_accuracy:9.4f}"
        for row in epochs
    ]
    return "\n".join(lines)


def summary_as_text(published: Dict[str, List[PublishedEpoch]]) -> str:
    """Return all cases, one on each line."""
    lines = [
        "                 test accuracy                         train accuracy",
        "  case  epochs   first     best (after epoch)    last           last",
    ]
    for name, epochs in published.items():
        best = max(epochs, key=lambda row: row.test_accuracy)
        first, last = epochs[0], epochs[-1]
        lines.append(
            f"  {name:4}  {len(epochs):6d}   {first.test_accuracy:.4f}   {best.test_accuracy:.4f}"
            f"          {best.epoch:3d}    {last.test_accuracy:.4f}         "
            f"{last.train_accuracy:.4f}"
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
            f"--case {options.case!r} is not known; give one of {', '.join(published)}"
        )
    print(case_as_text(published[options.case]))
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
