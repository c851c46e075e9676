"""The schedules that have a name: the post's, and those of other methods.

Each function returns the matrix of one method, from the words that follow its name:
``lisa:1:20`` is ``lisa(size, "1", "20")``. :data:`METHODS` is the catalogue.

Layers are counted from 1, at the images, to L. Iterations t run from 0 to T - 1.
"""

import math
from typing import Callable, Dict, NamedTuple, Optional

import numpy as np

from unfair_bp.experiment.matrix import LONGEST_PERIOD, Schedule
from unfair_bp.experiment.words import (
    WrongWordError,
    choice,
    fraction,
    held,
    layers_of,
    randomness,
    whole,
)

DRAWN_ROWS = LONGEST_PERIOD  # of a random schedule without a period of its own


class Size(NamedTuple):
    """What a schedule is made for."""

    layers: int
    iterations: int  # of the whole run


class Method(NamedTuple):
    """An entry of the catalogue."""

    build: Optional[Callable[..., Schedule]]  # from a Size and the words; None: a combination
    grammar: str
    meaning: str
    source: str


def permutations(size: int, count: int, random: np.random.RandomState) -> np.ndarray:
    """Independent random orders of 0 ... size - 1: int ``[count, size]``."""
    return random.random_sample([count, size]).argsort(axis=1)


# --- the post's


def fair(size: Size) -> Schedule:
    """Every layer on every iteration: ordinary back propagation."""
    return Schedule("", np.ones([1, size.layers], bool))


def back(size: Size) -> Schedule:
    """Row r updates the last r + 1 layers: the last layer most often, the first once a cycle."""
    return Schedule("", front(size).table[:, ::-1])


def front(size: Size) -> Schedule:
    """Row r updates the first r + 1 layers: the first layer most often, the last once a cycle."""
    return Schedule("", np.tril(np.ones([size.layers, size.layers], bool)))


def single(size: Size) -> Schedule:
    """Row r updates layer r + 1 alone: block-coordinate descent."""
    return Schedule("", np.eye(size.layers, dtype=bool))


def random_layers(
    size: Size, chosen: str, period: Optional[str] = None, seed: str = "0"
) -> Schedule:
    """Each row updates K layers, drawn without replacement."""
    count = whole(chosen, "K", 1, size.layers)
    rows = whole(period or str(9 * size.layers), "PERIOD", 1, LONGEST_PERIOD)
    table, random = np.zeros([rows, size.layers], bool), randomness(seed)
    for row in table:
        row[random.permutation(size.layers)[:count]] = True
    return Schedule("", table)


# --- those of other methods


def freezeout(size: Size, t0: str = "0.8", shape: str = "cubic", scale: str = "scaled") -> Schedule:
    """Layer i's rate falls to zero along a cosine until t_i T, the first layer's first.

    t_i = s(t0 + (1 - t0) (i - 1) / (L - 1)),   s(x) = x, x^2 or x^3
    factor = (1 + cos(pi t / (t_i T))) / 2,     divided by t_i if scaled

    From then on the layer is frozen: it is not updated. Each row has the factor of its first
    iteration. 0.01 <= t0 <= 1.
    """
    power = {"linear": 1, "squared": 2, "cubic": 3}
    choice(shape, "SHAPE", tuple(power))
    choice(scale, "SCALE", ("scaled", "unscaled"))
    start = fraction(t0, "T0")
    place = np.linspace(1, 0, size.layers)[::-1]  # (i - 1) / (L - 1); of one layer, the end
    until = (start + (1 - start) * place) ** power[shape]
    hold = -(-size.iterations // LONGEST_PERIOD)
    rows = -(-size.iterations // hold)
    done = (np.arange(rows) * hold / size.iterations)[:, np.newaxis]
    factors = (1 + np.cos(np.pi * np.minimum(done / until, 1))) / 2
    if scale == "scaled":
        factors = factors / until
    return Schedule("", done < until, hold, factors, spans=size.iterations)


def freeze(size: Size, part: str = "1") -> Schedule:
    """Layers are frozen one after the other, from the first on, evenly over the run or a part.

    Layer i < L is updated while t < i T / L; the last layer always. A part shortens T. In runs of
    10,000 iterations and more, a stage is rounded up to whole iterations.
    """
    stages = back(size).table[::-1]
    return _staged(size, stages, part)


def unfreeze(size: Size, part: str = "1") -> Schedule:
    """Layers join one after the other, the last first, evenly over the run or a part of it.

    Stage e = 0 ... L - 1 updates the last e + 1 layers: ``back``, each row held for T / L. A part
    shortens T, and the rest of the run trains all layers, as gradual unfreezing does.
    """
    return _staged(size, back(size).table, part)


def _staged(size: Size, stages: np.ndarray, part: str) -> Schedule:
    """Stages of equal length within the first part of a run; the last one lasts until its end."""
    within = max(1, round(fraction(part, "FRACTION") * size.iterations))
    if size.iterations < LONGEST_PERIOD:
        hold, stage = 1, np.arange(size.iterations) * len(stages) // within
    else:
        hold = -(-within // len(stages))
        stage = np.arange(-(-size.iterations // hold))
    return Schedule("", stages[np.minimum(stage, len(stages) - 1)], hold, spans=size.iterations)


def lisa(size: Size, chosen: str = "2", hold: str = "20", seed: str = "0") -> Schedule:
    """The first and the last layer always; GAMMA of the others, drawn anew every K iterations.

    After 10,000 draws the cycle begins again. Moments are kept, as in the authors' code; the runs
    of the paper lost them at every draw, which is ``--moments reset-all``.
    """
    return _lisa(size, chosen, hold, seed, [0, -1])


def lisa_head(size: Size, chosen: str = "2", hold: str = "20", seed: str = "0") -> Schedule:
    """The last layer always; GAMMA of the others, drawn anew every K iterations."""
    return _lisa(size, chosen, hold, seed, [-1])


def _lisa(size: Size, chosen: str, hold: str, seed: str, always: list) -> Schedule:
    table = np.zeros([DRAWN_ROWS, size.layers], bool)
    table[:, always] = True
    others = np.flatnonzero(~table[0])
    if not len(others):
        raise WrongWordError(f"a network of {size.layers} layers has none to draw from")
    count = whole(chosen, "GAMMA", 1, len(others))
    table[:, others] = permutations(len(others), DRAWN_ROWS, randomness(seed)) < count
    return Schedule("", table, held(hold))


def badam(size: Size, hold: str = "100", order: str = "random", seed: str = "0") -> Schedule:
    """One layer at a time, for K iterations each; at each switch Adam starts from zero.

    Order: ascending, descending, or a new permutation in each sweep over the layers, the same
    again after about 10,000 switches. For K = 1 a layer drawn twice in a row does not restart.
    """
    choice(order, "ORDER", ("random", "ascending", "descending"))
    random, each = randomness(seed), np.eye(size.layers, dtype=bool)
    table = each[::-1] if order == "descending" else each
    if order == "random":
        sweeps = max(1, DRAWN_ROWS // size.layers)
        table = each[permutations(size.layers, sweeps, random).ravel()]
    return Schedule("", table, held(hold), moments="reset-all")


def multirate(size: Size, fast: str, every: str) -> Schedule:
    """The fast layers on each iteration; the others on each K-th, with K times the rate.

    K times the rate is meant for SGD. Adam's step hardly depends on the gradient's size, so with
    Adam the rate of the slow layers wants tuning.
    """
    period = whole(every, "K", 1, LONGEST_PERIOD)
    table = np.tile(layers_of(fast, size.layers), [period, 1])
    slow = ~table[0]
    table[0] = True
    factors = np.broadcast_to(np.where(slow, float(period), 1.0), table.shape)
    return Schedule("", table, factors=factors)


def clock(size: Size, periods: str) -> Schedule:
    """Layer i is updated when t mod P_i = 0."""
    numbers = [whole(word.strip(), "P", 1, LONGEST_PERIOD) for word in periods.split(",")]
    if len(numbers) != size.layers:
        raise WrongWordError(f"it has {len(numbers)} periods; give one for each of {size.layers}")
    if 1 not in numbers:
        raise WrongWordError("no layer is updated on iteration 1; give one layer the period 1")
    rows = 1
    for number in numbers:
        rows = rows * number // math.gcd(rows, number)
    if rows > LONGEST_PERIOD:
        raise WrongWordError(f"its cycle has {rows} rows; give at most {LONGEST_PERIOD}")
    return Schedule("", np.arange(rows)[:, np.newaxis] % numbers == 0)


def segprop(size: Size, head: str, segments: str, hold: str) -> Schedule:
    """The head always, and one segment after the other for H iterations each."""
    rows = [layers_of(segment, size.layers) for segment in segments.split(",")]
    return Schedule("", np.array(rows) | layers_of(head, size.layers), held(hold, "H"))


# --- the catalogue

POST = "Unfair Back Propagation with TensorFlow, 2018"
METHODS: Dict[str, Method] = {
    "fair": Method(fair, "fair", "every layer on every iteration", POST),
    "back": Method(back, "back", "the last layers more often than the first", POST),
    "front": Method(front, "front", "the first layers more often than the last", POST),
    "single": Method(
        single,
        "single",
        "one layer on each iteration, first to last",
        "Liu et al., HiFT, EMNLP 2024, arXiv 2401.15207",
    ),
    "random": Method(
        random_layers,
        "random:K[:PERIOD[:SEED]]",
        "K layers drawn for each of PERIOD iterations (default: 9 per layer), then the same again",
        "a control",
    ),
    "freezeout": Method(
        freezeout,
        "freezeout[:T0[:linear|squared|cubic[:scaled|unscaled]]]",
        "each layer's rate falls to zero, the first layer's first; then it is frozen",
        "Brock et al., FreezeOut, 2017, arXiv 1706.04983",
    ),
    "freeze": Method(
        freeze,
        "freeze[:FRACTION]",
        "layers are frozen from the first on, over a fraction of the run",
        "Raghu et al., SVCCA, NeurIPS 2017, arXiv 1706.05806",
    ),
    "unfreeze": Method(
        unfreeze,
        "unfreeze[:FRACTION]",
        "layers join from the last on, over a fraction of the run",
        "Howard and Ruder, ULMFiT, ACL 2018, arXiv 1801.06146",
    ),
    "lisa": Method(
        lisa,
        "lisa[:GAMMA[:K[:SEED]]]",
        "both ends always, GAMMA layers between them drawn every K iterations",
        "Pan et al., LISA, NeurIPS 2024, arXiv 2403.17919",
    ),
    "lisa-head": Method(
        lisa_head,
        "lisa-head[:GAMMA[:K[:SEED]]]",
        "as lisa, but of the ends only the last layer is always updated",
        "adapted from LISA",
    ),
    "badam": Method(
        badam,
        "badam[:K[:random|ascending|descending[:SEED]]]",
        "one layer for K iterations, then the next; Adam starts anew at each switch",
        "Luo et al., BAdam, NeurIPS 2024, arXiv 2404.02827",
    ),
    "multirate": Method(
        multirate,
        "multirate:FAST:K",
        "the layers FAST always, the others on each K-th iteration with K times the rate",
        "Vlaar and Leimkuhler, Multirate training, ICML 2022, arXiv 2106.10771 (without drift)",
    ),
    "clock": Method(clock, "clock:P1,P2,...", "layer i on each P_i-th iteration", "general form"),
    "segprop": Method(
        segprop,
        "segprop:HEAD:SEGMENT,SEGMENT,...:H",
        "the layers HEAD always, and one segment after the other for H iterations each",
        "SegProp, TMLR submission 7218, 2026 (our reading of its abstract)",
    ),
    "shuffled": Method(
        None,
        "shuffled:NAME[:SEED]",
        "the rows of a schedule in random order, cycle by cycle: same counts, same cost",
        "a control: does the order matter?",
    ),
    "share": Method(
        None,
        "share:NAME",
        "every layer always, its rate scaled to its mean rate in a schedule",
        "a control: is skipping more than a lower rate?",
    ),
}
