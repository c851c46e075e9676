"""How the tests run commands, in this process or in a new one, and look at what is left on disk."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import numpy as np

from unfair_bp import commandline

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A command in a process whose files may not grow beyond so many bytes, as on a disk that is full.
WITH_QUOTA = """
import importlib, json, resource, sys
from unfair_bp import commandline
name, limit, words = json.loads(sys.argv[1])
command = importlib.import_module("unfair_bp." + name)
if name == "train":
    import unfair_bp.running.training  # TensorFlow, before the limit
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
sys.exit(commandline.run(command.main, words))
"""

# Few channels and few images; a learning rate at which weights move in a few iterations. Pictures
# take longer than such a run and have tests of their own.
SMALL = shlex.split(
    "--data shapes --width 0.05 --learning-rate 0.01 --train-size 14 --test-size 10 --threads 1 "
    "--no-plots"
)


def environment():
    """The environment of a new process: this source tree, and nothing set that changes results."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    for name in ("UNFAIR_BP_DATA", "PYTHONUNBUFFERED"):
        kept.pop(name, None)
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return dict(kept, PYTHONPATH=os.pathsep.join(path for path in paths if path))


def start(words, cwd, stdout=subprocess.PIPE):
    """Start Python with these words; its output is text in pipes, or goes elsewhere."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=str(cwd),
        env=environment(),
        stdout=stdout,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )


def finish(process):
    """Wait for a process; returns its status, standard output and standard error."""
    try:
        stdout, stderr = process.communicate(timeout=900)  # also beside other work
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, stdout, stderr


def run(words, cwd):
    """Run Python with these words to its end."""
    return finish(start(words, cwd))


def with_quota(name, limit, words, cwd):
    """Run a command with files of at most so many bytes; returns the one line of its error."""
    code = json.dumps([name, limit, [str(word) for word in words]])
    status, stdout, stderr = run(["-c", WITH_QUOTA, code], cwd)
    assert status == 2, stdout + stderr
    assert stderr.startswith("error: cannot write ") and stderr.count("\n") == 1, stderr
    assert "File too large" in stderr
    return stderr


def here(main, *arguments):
    """Run a command in this process; returns its exit status."""
    return commandline.run(main, [str(word) for word in arguments])


def snapshot(directory):
    """Every path below a directory, with the content of the files."""
    return {
        str(path.relative_to(directory)): None if path.is_dir() else path.read_bytes()
        for path in pathlib.Path(str(directory)).rglob("*")
    }


def metrics(run_dir):
    """The rows of metrics.csv as lists of strings, without the header and the seconds."""
    header, *rows = (pathlib.Path(str(run_dir)) / "metrics.csv").read_text().splitlines()
    at = header.split(",").index("seconds")
    return [row.split(",")[:at] + row.split(",")[at + 1 :] for row in rows]


def weights(run_dir, name="weights_after.npz"):
    """The arrays of a file of weights, first layer to last."""
    with np.load(str(pathlib.Path(str(run_dir)) / name)) as archive:
        assert archive.files == [f"layer_{number}" for number in range(1, 10)]
        return [archive[name] for name in archive.files]


def same_bits(some, others):
    """Whether two lists of arrays are equal, type and all."""
    return [(w.dtype, w.shape, w.tobytes()) for w in some] == [
        (w.dtype, w.shape, w.tobytes()) for w in others
    ]


def edit_config(run_dir, change):
    """Apply a function to the content of config.json."""
    path = pathlib.Path(str(run_dir)) / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
