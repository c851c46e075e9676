"""What is measured of a whole process: how fast it starts, and how much memory it takes."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from typing import Any, Dict, NamedTuple, Optional, Sequence

import numpy as np

from unfair_bp.data.batches import training_batches
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case

TRAIN_IMAGES, TEST_IMAGES = 50000, 10000  # CIFAR-10's
ITERATIONS, EVALUATIONS = 3, 2  # batches; memory no longer grows after them


class Start(NamedTuple):
    """What a training process does before its first iteration, and at most holds in memory."""

    import_seconds: float  # of TensorFlow
    graph_seconds: float  # from a case to its graph
    peak_bytes: Optional[int]  # resident; None where the system does not say


def seconds_of_help() -> float:
    """Seconds that a new process takes to show the training command's help."""
    started = time.perf_counter()
    _python("-m", "unfair_bp.train", "--help")
    return time.perf_counter() - started


def start_of(case: Case) -> Start:
    """Start a case in a new process on a data set of CIFAR-10's size, and let it run a little."""
    facts = json.loads(_python("-m", "unfair_bp.measuring.processes", json.dumps(asdict(case))))
    return Start(**facts)


def _python(*words: str) -> str:
    """The standard output of another Python.

    Raises:
        UsageError: If it fails, with the last line of its standard error.
    """
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        *_, reason = ["it says nothing", *ended.stderr.splitlines()]
        raise UsageError(
            f"a process that was to be measured ended with status {ended.returncode}: {reason}"
        )
    return ended.stdout


def _start(case: Case) -> Start:
    """Do what training does in a few iterations, an evaluation and a checkpoint."""
    started = time.perf_counter()
    from unfair_bp.backprop.graph_mode import tf  # noqa: PLC0415 - its time is taken

    imported = time.perf_counter()
    from unfair_bp.backprop.graph import build_graph, starting_weights  # noqa: PLC0415
    from unfair_bp.running import sessions  # noqa: PLC0415 - imports TensorFlow
    from unfair_bp.running.evaluation import batch_size, evaluate  # noqa: PLC0415

    begun = time.perf_counter()
    graph = build_graph(case)
    built = time.perf_counter()
    random = np.random.RandomState(0)
    count = TRAIN_IMAGES + TEST_IMAGES
    shape = [count, *case.architecture.image_shape]
    images = random.randint(0, 256, shape, dtype=np.uint8)
    labels = random.randint(0, case.classes, count).astype(np.uint8)
    layers = case.layers
    with graph.graph.as_default():
        saver = tf.train.Saver()
    with sessions.enough_memory(sessions.too_large(case)), tf.Session(
        graph=graph.graph, config=sessions.config(case)
    ) as session:
        session.run(graph.initializer, graph.start(starting_weights(case)))
        batches = training_batches(images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES], case, epoch=0)
        for _, batch in zip(range(ITERATIONS), batches):
            feed = {graph.images: batch.images, graph.labels: batch.labels}
            session.run((graph.train, graph.outputs.costs, graph.outputs.predictions), feed)
        size = batch_size(layers)
        tested = slice(TRAIN_IMAGES, TRAIN_IMAGES + EVALUATIONS * size)
        evaluate(
            session,
            graph,
            images[tested],
            labels[tested],
            batch=size,
            after_batch=lambda done: None,
        )
        with tempfile.TemporaryDirectory() as directory:
            saver.save(session, directory + "/model")
    return Start(imported - started, built - begun, memory()["peak_bytes"])


def memory() -> Dict[str, Optional[int]]:
    """What this process holds in memory, in bytes; None on systems without /proc.

    ``ru_maxrss`` would not do: a new process may inherit it from the one that started it.

    Returns:
        ``peak_bytes``, the most so far; and ``shared_bytes``, what of it are files such as
        libraries and mapped images, which processes share.
    """
    held = dict.fromkeys(("VmHWM", "RssFile"))
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in held:
                held[name] = 1024 * int(value.split()[0])
    return {"peak_bytes": held["VmHWM"], "shared_bytes": held["RssFile"]}


def _main(arguments: Sequence[Any]) -> None:
    case = Case(**json.loads(arguments[0]))
    print(json.dumps(_start(case)._asdict()))


if __name__ == "__main__":
    _main(sys.argv[1:])
