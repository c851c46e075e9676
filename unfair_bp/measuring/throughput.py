"""How many runs a machine trains in an hour, by how many train at a time and with how many threads.

Every run is a process of its own, as in a sweep, and maps the same images. The processes are
started once. The combinations then take turns, each using some of the processes for a few seconds.
"""

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from unfair_bp.console import progress_bar
from unfair_bp.data import mapping
from unfair_bp.data.batches import Batch, prefetch, training_batches
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case, iterations_per_epoch
from unfair_bp.measuring.processes import TEST_IMAGES, TRAIN_IMAGES, memory
from unfair_bp.measuring.timing import Quartiles, quartiles

SECONDS = 5.0  # that a combination trains in its turn
WARM_UP = 3  # iterations; memory no longer grows after them


class Combination(NamedTuple):
    """Runs at a time, and the threads of each."""

    workers: int
    threads: int


class Turn(NamedTuple):
    """What a process reports of its turn."""

    iterations: int
    seconds: float


def combinations(cores: int, workers: Sequence[int]) -> List[Combination]:
    """Each number of workers with one thread, and with its share of the cores.

    One run that has all cores is among them.
    """
    pairs = {Combination(1, cores)}
    for count in workers:
        pairs |= {Combination(count, 1), Combination(count, max(1, cores // count))}
    return sorted(pairs)


def measure(
    case: Case, cores: int, workers: Sequence[int], repeats: int, seconds: float = SECONDS
) -> Dict[str, Any]:
    """Let every combination train in turn, with a progress bar.

    Args:
        case: What a run is; its threads are ignored.
        cores: How many the machine has.
        workers: Numbers of runs at a time.
        repeats: Turns of each combination.
        seconds: That a turn takes.

    Returns:
        For JSON: ``throughput``, runs in an hour of each combination, as quartiles; and ``memory``,
        in bytes, of a run with one thread: its peak, and what of it all runs share.
    """
    pairs = combinations(cores, workers)
    needed = {threads: max(w for w, t in pairs if t == threads) for _, threads in pairs}
    iterations = case.epochs * iterations_per_epoch(case, TRAIN_IMAGES)
    rates: Dict[Combination, List[float]] = {pair: [] for pair in pairs}
    random = np.random.RandomState(0)
    with contextlib.ExitStack() as stack:
        processes = stack.enter_context(_processes(case, needed))
        bar = stack.enter_context(
            progress_bar(total=repeats * len(pairs), unit="turn", desc="throughput")
        )
        orders = (random.permutation(len(pairs)) for _ in range(repeats))
        for pair in (pairs[number] for order in orders for number in order):
            turns = _turn(processes[pair.threads][: pair.workers], seconds)
            rates[pair].append(sum(turn.iterations / turn.seconds for turn in turns))
            bar.update()
        held = [_memory(process) for process in processes[1]]
    return {
        "throughput": [
            {
                **pair._asdict(),
                "runs_per_hour": quartiles([3600 * rate / iterations for rate in rates[pair]]),
            }
            for pair in pairs
        ],
        "memory": max(held, key=lambda memory: memory["peak_bytes"] or 0),
    }


@contextlib.contextmanager
def _processes(case: Case, needed: Dict[int, int]) -> "Iterator[Dict[int, List[subprocess.Popen]]]":
    """Processes that are ready to train, by their threads; they end with the context."""
    random = np.random.RandomState(0)
    images = random.randint(
        0, 256, [TRAIN_IMAGES + TEST_IMAGES, *case.architecture.image_shape], dtype=np.uint8
    )
    labels = random.randint(0, case.classes, len(images)).astype(np.uint8)
    split = TRAIN_IMAGES
    dataset = Dataset(
        "random", [str(k) for k in range(case.classes)],
        images[:split], labels[:split], images[split:], labels[split:],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        path = mapping.write(dataset, directory)
        del images, labels, dataset
        processes: Dict[int, List[subprocess.Popen]] = {}
        for threads, count in needed.items():
            words = [json.dumps(asdict(replace(case, threads=threads))), path]
            for _ in range(count):
                process = subprocess.Popen(
                    [sys.executable, "-m", __name__, *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    universal_newlines=True,
                    bufsize=1,
                    start_new_session=True,  # Ctrl-C is for this process, at whose end they end
                )
                stack.enter_context(process)  # closes its input, at which it ends, and waits
                processes.setdefault(threads, []).append(process)
        for process in itertools.chain(*processes.values()):
            _answer(process)
        yield processes


def _turn(processes: "Sequence[subprocess.Popen]", seconds: float) -> List[Turn]:
    """Let processes train at the same time, for the given number of seconds."""
    for process in processes:
        _ask(process, f"{seconds}")
    return [Turn(**_answer(process)) for process in processes]


def _memory(process: "subprocess.Popen") -> Dict[str, Optional[int]]:
    _ask(process, "memory")
    return _answer(process)


def _ask(process: "subprocess.Popen", line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # a process that has ended gives no answer
        process.stdin.write(line + "\n")


def _answer(process: "subprocess.Popen") -> Dict[str, Any]:
    """A line of JSON from a process.

    Raises:
        UsageError: If it has ended, as when there is not enough memory.
    """
    line = process.stdout.readline()
    if not line:
        raise UsageError(
            f"a training process that is measured ended with status {process.wait()}; give fewer "
            "--workers, or a smaller --batch-size"
        )
    return json.loads(line)


def as_text(result: Dict[str, Any]) -> str:
    """The result as a table."""
    rows = result["throughput"]
    cores = max(row["workers"] * row["threads"] for row in rows if row["workers"] == 1)
    (alone,) = (r for r in rows if (r["workers"], r["threads"]) == (1, cores))
    lines = [
        "runs at  threads  runs an hour                            / one run",
        "a time   of each  (training alone)     quartiles   with all threads",
    ]
    for row in rows:
        rate = Quartiles(*row["runs_per_hour"])
        relative = rate.median / alone["runs_per_hour"][1]
        lines.append(
            f"{row['workers']:7}  {row['threads']:7}  {rate.median:16.4g}  "
            f"{rate.low:.4g} - {rate.high:.4g}".ljust(54)
            + f"{relative:12.3f}"
        )
    peak, shared = result["memory"]["peak_bytes"], result["memory"]["shared_bytes"]
    if peak is None or shared is None:
        lines.append("memory   unknown")
    else:
        several = ", ".join(
            f"of {n}: {(shared + n * (peak - shared)) / 2**30:.2f}" for n in (1, 2, 4, 8)
        )
        lines.append(
            f"memory   peak in GiB {several}; {shared / 2**30:.2f} of it, the images and "
            "libraries, is held once"
        )
    return "\n".join(lines)


def _work(case: Case, path: str) -> None:
    """Read lines: train for the number of seconds given, or report the memory."""
    from unfair_bp.backprop.graph import build_graph, starting_weights  # noqa: PLC0415
    from unfair_bp.backprop.graph_mode import tf  # noqa: PLC0415 - imports TensorFlow
    from unfair_bp.running import sessions  # noqa: PLC0415 - imports TensorFlow
    from unfair_bp.running.evaluation import batch_size, evaluate  # noqa: PLC0415

    dataset, graph = mapping.read(path), build_graph(case)
    with tf.Session(graph=graph.graph, config=sessions.config(case)) as session:
        session.run(graph.initializer, graph.start(starting_weights(case)))
        iterate = session.make_callable(
            [graph.outputs.costs, graph.outputs.predictions, graph.train],
            [graph.images, graph.labels],
        )
        size = batch_size(case.layers)
        images, labels = dataset.test_images[:size], dataset.test_labels[:size]
        evaluate(session, graph, images, labels, batch=size, after_batch=lambda done: None)
        with contextlib.closing(prefetch(_endless(dataset, case))) as batches:
            for batch in itertools.islice(batches, WARM_UP):
                iterate(batch.images, batch.labels)
            print(json.dumps({}), flush=True)
            for line in sys.stdin:
                if line == "memory\n":
                    print(json.dumps(memory()), flush=True)
                else:
                    turn = _train(iterate, batches, float(line))
                    print(json.dumps(turn._asdict()), flush=True)


def _train(iterate: Callable[..., Any], batches: Iterator[Batch], seconds: float) -> Turn:
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        batch = next(batches)
        iterate(batch.images, batch.labels)
        done += 1
    return Turn(done, time.perf_counter() - started)


def _endless(dataset: Dataset, case: Case) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from training_batches(dataset.train_images, dataset.train_labels, case, epoch)


def _main(arguments: Tuple[str, str]) -> None:
    case, path = arguments
    _work(Case(**json.loads(case)), path)


if __name__ == "__main__":
    _main(tuple(sys.argv[1:]))
