"""Small training runs whose every iteration is stored, to compare versions of TensorFlow.

    python tests/trajectories.py tests/trajectories.npz

writes the stored file anew: do so only when the mathematics is meant to change.
"""

import sys
from dataclasses import replace

import numpy as np

from unfair_bp.data.batches import training_batches
from unfair_bp.experiment import ledger
from unfair_bp.experiment.architecture import initial_weights
from unfair_bp.experiment.cases import CASES, PROTOCOLS

ITERATIONS = 50
BATCH = 4
NAMES = [
    f"{name} {protocol} {truth}"
    for name in sorted(CASES)
    for protocol in PROTOCOLS
    for truth in ("as described", "as run")
]


def batches(case):
    """The case's batches, of noise; augmentation is a plain flip, as imgaug's draws differ."""
    from unfair_bp.data.augment import through_uint8  # noqa: PLC0415 - it imports imgaug

    random = np.random.RandomState(5)
    pixels = random.randint(0, 256, size=[ITERATIONS * BATCH, 32, 32, 3]).astype(np.uint8)
    classes = random.randint(0, 10, size=ITERATIONS * BATCH)
    plain = replace(case, augment=False, batch_size=BATCH // 2 if case.augment else BATCH)
    for batch in training_batches(pixels, classes, plain, epoch=0):
        images, labels = batch
        if case.augment:
            flipped = images[:, :, ::-1]
            if "imgaug-uint8" in case.quirks:
                flipped = through_uint8(flipped)
            images, labels = np.concatenate([images, flipped]), np.concatenate([labels, labels])
        yield images, labels


def case_of(name):
    """The small case that a stored name stands for."""
    letter, protocol, truth = name.split(" ", 2)
    names = ledger.as_run(letter) if truth == "as run" else ()
    return replace(
        CASES[letter], protocol=protocol, quirks=names, width=1 / 32, batch_size=BATCH, seed=1
    )


def trajectory(name):
    """Cost and the norms of the nine layers' weights after each iteration: [iterations, 10]."""
    from unfair_bp.backprop.graph import build_graph  # noqa: PLC0415 - it imports TensorFlow
    from unfair_bp.backprop.graph_mode import tf  # noqa: PLC0415

    case = case_of(name)
    graph = build_graph(case)
    rows = []
    with tf.Session(graph=graph.graph) as session:
        weights = initial_weights(case.layers, case.seed)
        session.run(graph.initializer, graph.start(weights))
        for _, (images, labels) in zip(range(ITERATIONS), batches(case)):
            feed = {graph.images: images, graph.labels: labels}
            _, costs = session.run((graph.train, graph.outputs.costs), feed)
            norms = [np.linalg.norm(w.astype(np.float64)) for w in session.run(graph.weights)]
            rows.append([np.mean(costs, dtype=np.float64), *norms])
    return np.array(rows)


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **{name: trajectory(name) for name in NAMES})
