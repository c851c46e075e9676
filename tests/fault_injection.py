"""Kill a training run again and again, at random moments, and compare it with one left alone.

    python tests/fault_injection.py --kills 100

Every attempt is a process of its own, which SIGKILL ends without a chance to tidy up; the next one
goes on with ``--resume``. At the end metrics (all but the seconds), weights,
moments and the list of files must be those of the run that was left alone. The last line of the
output says how many kills were survived; the status is 1 if anything differs.
"""

import argparse
import csv
import itertools
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile
import time

import commands
import numpy as np

from unfair_bp.graph_mode import tf
from unfair_bp.runs import RunDirectory

WORDS = shlex.split(
    "--case d --data shapes --width 0.05 --learning-rate 0.003 --batch-size 8 --test-size 40 "
    "--threads 1 --no-plots --checkpoint-minutes 0.0005"
)
PATIENCE = 600  # seconds for an attempt to end by itself


def start(words, log):
    """Start a process that trains; its output is appended to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "unfair_bp.train", *words],
            env=commands.environment(),
            stdout=output,
            stderr=output,
        )


def finish(words, log):
    """Train to the end; returns the seconds it took."""
    started = time.monotonic()
    check(start(words, log).wait(PATIENCE), log)
    return time.monotonic() - started


def check(status, log):
    """Stop if an attempt that was not killed has failed."""
    if status != 0:
        raise SystemExit("an attempt ended with status %d:\n%s" % (status, log.read_text()[-2000:]))


def attempt(words, run, log, seconds):
    """Start or go on with a run and kill it after so many seconds; whether it was still running."""
    resume = ["--resume"] if RunDirectory(str(run)).exists else []
    process = start([*words, *resume], log)
    try:
        check(process.wait(seconds), log)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def kill_again_and_again(words, run, log, delays):
    """Kill a run after each of these seconds until it has ended; returns how often it was."""
    for count, seconds in enumerate(delays):
        if not attempt(words, run, log, seconds):
            return count
    resume = ["--resume"] if RunDirectory(str(run)).exists else []
    finish([*words, *resume], log)
    return len(delays)


def state(run):
    """What must be the same: metrics without the seconds, every variable, and the files' names."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [dict(row, seconds="") for row in csv.DictReader(file)]
    newest = RunDirectory(str(run)).saved_steps()[0]
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / ("model-%d" % newest)))
    names = sorted(reader.get_variable_to_shape_map())
    values = {name: reader.get_tensor(name) for name in names if name != "checkpoint/progress"}
    with np.load(str(run / "weights_after.npz")) as archive:
        values.update({"after " + name: archive[name] for name in archive.files})
    bits = {name: (value.dtype.str, value.shape, value.tobytes()) for name, value in values.items()}
    # Which earlier checkpoint is kept depends on when checkpoints were made.
    files = sorted(
        str(path.relative_to(run))
        for path in run.rglob("*")
        if not path.name.startswith("model-") or "-%d." % newest in path.name
    )
    return {"metrics": rows, "variables": bits, "files": files}


def main(arguments):
    """Kill, go on, compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--images", type=int, default=800, help="training images")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args(arguments)
    words = [*WORDS, "--train-size", str(options.images), "--epochs", str(options.epochs)]
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        whole, log = place / "whole", place / "log.txt"
        begin = finish([*words, "--run-dir", str(place / "short"), "--epochs", "1"], log)
        finish([*words, "--run-dir", str(whole)], log)
        delays = [moments.uniform(0, begin) for _ in range(options.kills)]
        survived, wrong = 0, []
        for number in itertools.count():
            # A run that ends by itself before its kills are used up is followed by another.
            killed = place / ("killed %d" % number)
            attempts = [*words, "--run-dir", str(killed)]
            survived += kill_again_and_again(attempts, killed, log, delays[survived:])
            expected, found = state(whole), state(killed)
            wrong = [part for part in expected if found[part] != expected[part]]
            if wrong or survived == options.kills:
                break
        wrong += ["tracebacks"] if "Traceback" in log.read_text() else []
        print("not as in the run that was left alone: %s" % (", ".join(wrong) or "nothing"))
        print("kills survived: %d / %d" % (0 if wrong else survived, options.kills))
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
