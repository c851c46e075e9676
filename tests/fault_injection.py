"""Kill a training run again and again, at random moments, and compare it with one left alone.

    python tests/fault_injection.py --kills 100
    python tests/fault_injection.py --kills 100 --without-locks

Every attempt is a process of its own. SIGKILL ends it at once; SIGTERM and SIGHUP let it save what
it has, once it trains. The next attempt goes on with ``--resume``. Attempts are forked from a
process that has imported TensorFlow and has not used it, which saves each the seconds of the
import. The run that is left alone, and the attempt that ends the killed one, are new processes. At
the end metrics (all but the seconds), weights, moments and the list of files must be the same. The
output counts what each signal met; its last line says how many kills were survived. The status is 1
if anything differs.
"""

import argparse
import collections
import csv
import errno
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import commands
import numpy as np

from unfair_bp import commandline, files, train
from unfair_bp.backprop.graph_mode import tf

# With all that training imports only when it needs it.
from unfair_bp.data import augment
from unfair_bp.running import training  # noqa: F401
from unfair_bp.running.directory import RunDirectory

augment.check_available()

WORDS = shlex.split(
    "--case d --data shapes --width 0.05 --learning-rate 0.003 --batch-size 8 --test-size 40 "
    "--threads 1 --no-plots --checkpoint-minutes 0.0005"
)
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]
ANEW = ("checkpoint/progress", "checkpoint/owner")  # has seconds; another in each run
PATIENCE = 600  # seconds for an attempt to end by itself


# A process for which every file system is one without locks.
WITHOUT_LOCKS = """
import sys
import fault_injection
from unfair_bp import commandline, files, train
files.fcntl.flock = fault_injection.without_locks
sys.exit(commandline.run(train.main, sys.argv[1:]))
"""


def finish(words, log):
    """Train to the end in a process started anew, which has locks if this one has."""
    locks = files.fcntl.flock is not without_locks
    start = ["-m", "unfair_bp.train"] if locks else ["-c", WITHOUT_LOCKS]
    with log.open("ab") as output:
        status = subprocess.call(
            [sys.executable, *start, *words],
            env=commands.environment(),
            cwd=str(pathlib.Path(__file__).resolve().parent),
            stdout=output,
            stderr=output,
            timeout=PATIENCE,
        )
    check(status, log)


def check(status, log):
    """Stop if an attempt that was not killed has failed."""
    if status != 0:
        raise SystemExit(f"an attempt ended with status {status}:\n{log.read_text()[-2000:]}")


def attempt(words, log, seconds, number=signal.SIGKILL):
    """Train in a forked process and send it a signal after some seconds.

    Returns how that ended it: "at once", or "saved"; None if it had ended by itself.
    """
    end = time.monotonic() + seconds
    child = os.fork()
    if child == 0:
        train_and_exit(words, log)
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            check(status, log)
            return None
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "at once"
    if os.WEXITSTATUS(status) == 128 + number:
        return "saved"
    check(status, log)  # it ended by itself in the last moment
    return None


def train_and_exit(words, log):
    """Train in this process, which was forked and must not go on with its parent's work."""
    status = 1
    try:
        descriptor = os.open(str(log), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        status = commandline.run(train.main, words)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def with_resume(words, run):
    """The words that start a run or, if it has begun, go on with it."""
    return [*words, "--run-dir", str(run), *(["--resume"] if RunDirectory(str(run)).exists else [])]


def kill_again_and_again(words, run, log, kills):
    """Kill a run after seconds and by a signal, until it has ended; returns how each kill went."""
    ends = []
    for seconds, number in kills:
        end = attempt(with_resume(words, run), log, seconds, number)
        if end is None:
            return ends
        ends.append(f"{number.name} {end}")
    finish(with_resume(words, run), log)
    return ends


def without_locks(file, operation):
    """Stand in for ``flock`` on a file system that has no locks."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def time_of_an_epoch(words, run, log):
    """Seconds that a forked process takes for a run of one epoch."""
    started = time.monotonic()
    if attempt([*words, "--run-dir", str(run), "--epochs", "1"], log, PATIENCE):
        raise SystemExit(f"an epoch takes more than {PATIENCE} seconds")
    return time.monotonic() - started


def state(run):
    """What must be the same: metrics without the seconds, every variable, and the files' names."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [dict(row, seconds="") for row in csv.DictReader(file)]
    newest = RunDirectory(str(run)).saved_steps()[0]
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / (f"model-{newest}")))
    names = sorted(reader.get_variable_to_shape_map())
    values = {name: reader.get_tensor(name) for name in names if name not in ANEW}
    with np.load(str(run / "weights_after.npz")) as archive:
        values.update({"after " + name: archive[name] for name in archive.files})
    bits = {name: (value.dtype.str, value.shape, value.tobytes()) for name, value in values.items()}
    # Which earlier checkpoint is kept depends on when checkpoints were made.
    files = sorted(
        str(path.relative_to(run))
        for path in run.rglob("*")
        if not path.name.startswith("model-") or f"-{newest}." in path.name
    )
    layers = (run / "layers.csv").read_bytes()
    return {"metrics": rows, "layers": layers, "variables": bits, "files": files}


def main(arguments):
    """Kill, go on, compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--images", type=int, default=400, help="training images")
    parser.add_argument("--without-locks", action="store_true", help="as on a network file system")
    parser.add_argument("--epochs", type=int, help="default: enough for all kills in one run")
    options = parser.parse_args(arguments)
    # An attempt lasts half a run of one epoch in the mean, and takes some of that to begin.
    epochs = options.epochs or 2 + options.kills // 2
    words = [*WORDS, "--train-size", str(options.images), "--epochs", str(epochs)]
    moments = random.Random(options.seed)
    for number in (signal.SIGTERM, signal.SIGHUP):  # nohup and others have them ignored
        signal.signal(number, signal.SIG_DFL)
    if options.without_locks:
        files.fcntl.flock = without_locks
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        whole, log = place / "whole", place / "log.txt"
        begin = time_of_an_epoch(words, place / "short", log)
        kills = [(moments.uniform(0, begin), moments.choice(SIGNALS)) for _ in range(options.kills)]
        ends, runs = [], []
        while len(ends) < options.kills:
            # A run that ends by itself before its kills are used up is followed by another.
            runs.append(place / (f"killed {len(runs)}"))
            ends += kill_again_and_again(words, runs[-1], log, kills[len(ends) :])
        finish([*words, "--run-dir", str(whole)], log)
        # Only now, because TensorFlow reads the states, and none may be forked after that.
        expected = state(whole)
        states = [state(run) for run in runs]
        wrong = {part for found in states for part in expected if found[part] != expected[part]}
        wrong |= {"tracebacks"} if "Traceback" in log.read_text() else set()
        print(f"runs: {len(runs)}, of {epochs} epochs and {options.images} images")
        counts = sorted(collections.Counter(ends).items())
        print(f"ended by: {', '.join(f'{end} {count}' for end, count in counts)}")
        print(f"not as in the run that was left alone: {', '.join(sorted(wrong)) or 'nothing'}")
        print(f"kills survived: {0 if wrong else len(ends)} / {options.kills}")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
