"""The ledger: where the scripts of 2018 deviate from calculus or from what the post intends.

Each entry is a switch, ``--quirk NAME``; ``--as-run`` turns on those that a case's script had. The
rule itself stands beside the true one, in the module that ``where`` names. Found by reading the
published scripts and by running their graph on TensorFlow 1.15 and 2.21.
"""

from typing import Dict, NamedTuple, Sequence, Tuple

from unfair_bp.errors import FieldError


class Quirk(NamedTuple):
    """One deviation."""

    scripts: str  # what they computed
    truth: str  # what calculus says, or the post intends
    cases: str  # letters of the cases whose script had it
    where: str  # both rules, as a path in the package


LEDGER: Dict[str, Quirk] = {
    "elu-slope": Quirk(
        scripts="the derivative of ELU is 2 for z > 0",
        truth="1 for z > 0, exp(z) for z <= 0",
        cases="cdef",
        where="backprop.scripts.DoubledSlopeElu",
    ),
    "pool-repeat": Quirk(
        scripts="a pool's gradient is repeated into each of its pixels: 2x2, and 8x8 at the end",
        truth="it is shared among them: divided by 4, and by 64",
        cases="cdef",
        where="backprop.scripts.UndividedAveragePool, backprop.scripts.UndividedGlobalAveragePool",
    ),
    "sum-loss": Quirk(
        scripts="the gradient at the logits is softmax - y, that of the summed cost",
        truth="(softmax - y) / batch, that of the mean",
        cases="cdef",
        where="backprop.scripts.SummedSoftmaxCrossEntropy",
    ),
    "adam-constant": Quirk(
        scripts="Adam divides m and v by 1 - beta at every step, as if it were the first: with "
        "betas of 0.9 the learning rate grows to sqrt(10) = 3.16 times Adam's",
        truth="by 1 - beta^t",
        cases="cdef",
        where="backprop.scripts.ScriptsAdam",
    ),
    "update-first": Quirk(
        scripts="an iteration first moves the weights by m and v of the one before; its gradient "
        "is taken at the moved weights, but layer 1's forward pass reads the old ones (13 of "
        "24 iterations measured; TensorFlow is free to choose)",
        truth="forward, backward, then the move by this iteration's m and v",
        cases="cdef",
        where="backprop.scripts.ScriptsAdam",
    ),
    "double-softmax-cost": Quirk(
        scripts="the logged cost is the cross entropy of softmax(softmax(logits)), at least 1.461; "
        "the gradient is not affected",
        truth="of softmax(logits)",
        cases="cdef",
        where="backprop.scripts.DoubleSoftmaxCrossEntropy",
    ),
    "imgaug-uint8": Quirk(
        scripts="augmented images were cast to uint8: black but for pixels that were exactly 1",
        truth="floats stay floats",
        cases="bdf",
        where="data.augment.through_uint8",
    ),
    "collapsed-rounds": Quirk(
        scripts="TensorFlow merged the nine rounds, which all read the same weights, into one: "
        "every layer is updated once per batch, whatever the schedule",
        truth="every round sees the weights that the last one left",
        cases="cdef",
        where="experiment.cases.schedule_of",
    ),
}

# Quirks of runs that earlier versions made, by their old name: how they are shown, and what they
# computed. Such runs can be read, but not be run again.
RETIRED = {
    "stale-moments": (
        "delayed-gradient",
        "weights moved by m and v of the iteration before, and the gradient was taken before the "
        "move: a delay by one step, which the scripts did not have (theirs is update-first)",
    ),
}
ORDER = (*LEDGER, *(shown for shown, _ in RETIRED.values()))


def as_read(names: Sequence[str]) -> Tuple[str, ...]:
    """The quirks of a stored run, in which a retired one has a name that says what it computed."""
    return tuple(RETIRED[name][0] if name in RETIRED else name for name in names)


def check_runnable(names: Sequence[str]) -> None:
    """Make sure that a run with these quirks can be trained.

    Raises:
        FieldError: If one is retired.
    """
    for shown, meaning in RETIRED.values():
        if shown in names:
            raise FieldError("quirks", f"{shown} cannot be run any more: {meaning}")


def as_run(case: str) -> Tuple[str, ...]:
    """Names of the quirks that a case's script had.

    The scripts of a and b used TensorFlow's own gradients and Adam.
    """
    return tuple(name for name, quirk in LEDGER.items() if case in [*quirk.cases])


def check(names: Sequence[str]) -> None:
    """Make sure that these are quirks, each named once.

    Raises:
        FieldError: If one is not in the ledger, or stands there twice.
    """
    for name in names:
        if name not in ORDER:
            raise FieldError("quirks", f"{name!r} is not known; give one of {', '.join(LEDGER)}")
        if list(names).count(name) > 1:
            raise FieldError("quirks", f"{name} is given twice; give each once")
