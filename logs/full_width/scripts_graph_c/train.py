"""Train the scripts' own graph of case c for an epoch: nine unordered rounds in one step.

    python logs/full_width/scripts_graph_c/train.py --seed 0 --data-dir data

The weights start from those of 2018; the seed decides on the order of the images. It prints the
training accuracy of every 500 iterations, from the forward pass before an update, and in the end
the test accuracy.
"""

import argparse
from dataclasses import replace

import numpy as np

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.scripts import initial_weights_2018
from unfair_bp.data import sources
from unfair_bp.data.batches import prefetch, scale, training_batches
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import CASES
from unfair_bp.measuring.scripts_graph import scripts_graph
from unfair_bp.running import sessions

EVERY, TESTED_TOGETHER = 500, 250

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--data-dir")
options = parser.parse_args()
case = replace(CASES["c"], seed=options.seed, quirks=ledger.as_run("c"))
data = sources.load(case, options.data_dir)
built = scripts_graph(case)
print(f"TensorFlow {tf.version.VERSION}, {data.name}", flush=True)
with tf.Session(graph=built.train.graph, config=sessions.config(case)) as session:
    start = initial_weights_2018(case.layers)
    session.run(built.initializer, dict(zip(built.starts, start)))
    correct = []
    batches = prefetch(training_batches(data.train_images, data.train_labels, case, epoch=0))
    for number, batch in enumerate(batches, start=1):
        feed = {built.images: batch.images, built.labels: batch.labels}
        feed.update(built.first_feed if number == 1 else {})
        logits, _ = session.run([built.logits, built.train], feed)
        correct += list(np.argmax(logits, axis=1) == batch.labels)
        if number % EVERY == 0:
            recent = np.mean(correct[-EVERY * case.batch_size :])
            print(
                f"iterations {number - EVERY + 1:4d}-{number:4d}  train accuracy {recent:.4f}  "
                f"mean so far {np.mean(correct):.4f}",
                flush=True,
            )
    tested = 0
    for first in range(0, len(data.test_images), TESTED_TOGETHER):
        part = slice(first, first + TESTED_TOGETHER)
        logits = session.run(built.logits, {built.images: scale(data.test_images[part])})
        tested += int(np.sum(np.argmax(logits, axis=1) == data.test_labels[part]))
    print(f"test accuracy {tested / len(data.test_images):.4f}")
