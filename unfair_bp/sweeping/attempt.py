"""One attempt at a run: a training process, started and watched by a worker of the cluster."""

import os
import subprocess
import sys
import time
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from unfair_bp import files
from unfair_bp.commandline import USAGE_STATUS
from unfair_bp.console import shell_line
from unfair_bp.running.directory import LOCK, RunDirectory
from unfair_bp.sweeping.images import POLL, STOPPED, mapped
from unfair_bp.sweeping.signs import Watch

PATIENCE = 120.0  # seconds that the last attempt's process may take to save and stop
ERROR = "error: "  # begins the line in which a command says what is wrong


class Job(NamedTuple):
    """What a worker has to know of a run. Paths are relative to the directory ``cwd``."""

    cwd: str
    path: str
    log: str
    words: Tuple[str, ...]
    data: str  # the case's data set
    data_dir: Optional[str]
    sign: str  # the file with the sweep's sign of life
    owner: str


class Outcome(NamedTuple):
    """How an attempt has ended."""

    status: int  # of the process; negative: the signal that killed it
    message: str  # the error that it printed, empty if there was none


def attempt(job: Job) -> Outcome:
    """Train a run in a process of its own until it ends, or the sweep does.

    A run that has begun goes on. What the process prints is added to the run's log.
    """
    if not os.path.isdir(job.cwd):
        return Outcome(
            USAGE_STATUS,
            f"a worker has no directory {job.cwd}; start the sweep in a directory that all "
            "machines share",
        )
    watch = Watch(os.path.join(job.cwd, job.sign), job.owner)
    run = RunDirectory(os.path.join(job.cwd, job.path))
    _wait_until_free(run, watch)
    if not watch.alive():
        return Outcome(STOPPED, "")
    words = [*job.words, f"--run-dir={job.path}", *(["--resume"] if run.exists else [])]
    log = os.path.join(job.cwd, job.log)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "ab") as output:
        line = shell_line(["python", "-m", "unfair_bp.train", *words])
        output.write(f"$ {line}\n".encode("utf-8", "surrogateescape"))
        images = mapped(job.owner, job.cwd, job.data, job.data_dir, watch)
        output.write(images.said)
        output.flush()
        start = output.tell() - len(images.said)
        status = images.status if watch.alive() else STOPPED
        if status == 0:
            status = _supervise(words, job.cwd, output.fileno(), images.environment, watch)
    return Outcome(status, _error(log, start))


def _wait_until_free(run: RunDirectory, watch: Watch) -> None:
    """Wait while the process of an earlier attempt, whose worker is gone, saves and stops."""
    end = time.monotonic() + PATIENCE
    while files.is_locked(run.file(LOCK)) and watch.alive() and time.monotonic() < end:
        time.sleep(POLL)


def _supervise(
    words: Sequence[str], cwd: str, output: int, environment: Dict[str, str], watch: Watch
) -> int:
    """Run the training process to its end; returns its status."""
    process = subprocess.Popen(
        [sys.executable, "-m", "unfair_bp.sweeping.launch", str(os.getpid())]
        + ["unfair_bp.train", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # a terminal's Ctrl-C reaches the sweep alone, which stops the rest
    )
    asked = False
    try:
        while True:
            try:
                return process.wait(POLL)
            except subprocess.TimeoutExpired:
                if not asked and not watch.alive():
                    process.terminate()
                    asked = True
    finally:
        if process.returncode is None:  # the worker's thread was interrupted
            process.terminate()


def _error(log: str, start: int) -> str:
    """The last error that was printed into a log from this position on."""
    with open(log, "rb") as file:
        file.seek(start)
        lines = file.read().decode("utf-8", "replace").splitlines()
    errors = [line[len(ERROR) :] for line in lines if line.startswith(ERROR)]
    return errors[-1] if errors else ""
