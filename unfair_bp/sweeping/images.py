"""The images of a sweep's runs: read once on each machine, then mapped by every training process.

    python -m unfair_bp.sweeping.images DATA [DATA_DIR]

reads CIFAR as training does, writes it as one file into the package's cache, unless it is there,
and prints the file's path.
"""

import os
import signal
import subprocess
import sys
import threading
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from unfair_bp import commandline
from unfair_bp.console import warn
from unfair_bp.data import mapping
from unfair_bp.data.cifar import reading
from unfair_bp.data.cifar.sets import SETS
from unfair_bp.sweeping.signs import Watch

POLL = 0.5  # seconds between two looks at a process and at the sweep
KILLED = 128  # and more: the status of a process that a signal has ended
STOPPED = KILLED + signal.SIGTERM
_ONE_AT_A_TIME = threading.Lock()
_FOUND: "Dict[Tuple[str, str, str, Optional[str]], Mapped]" = {}  # by sweep and data set


class Mapped(NamedTuple):
    """Where a machine has the images of a run."""

    status: int  # of the process that has read them
    said: bytes  # what it printed on standard error
    environment: Dict[str, str]  # what tells training of the file


def mapped(owner: str, cwd: str, data: str, data_dir: Optional[str], watch: Watch) -> Mapped:
    """Let training processes on this machine share the images of a data set.

    Args:
        owner: The sweep. The data set is read once for each.
        cwd: The directory that ``data_dir`` is relative to.
        data: Name of the data set; embedded ones are small, and not shared.
        data_dir: Where it is, if the user has said so.
        watch: What is known of the sweep; reading ends with it.
    """
    if data not in SETS:
        return Mapped(0, b"", {})
    with _ONE_AT_A_TIME:
        key = owner, cwd, data, data_dir
        found = _FOUND.get(key) or _read(cwd, data, data_dir, watch)
        # A reader that was stopped or killed is not remembered: the next run tries again.
        if 0 <= found.status < KILLED:
            _FOUND[key] = found
        return found


def _read(cwd: str, data: str, data_dir: Optional[str], watch: Watch) -> Mapped:
    # In a process of its own: a worker would keep some of the memory that reading takes.
    words = [data] if data_dir is None else [data, data_dir]
    process = subprocess.Popen(
        [sys.executable, "-m", "unfair_bp.sweeping.launch", str(os.getpid())]
        + ["unfair_bp.sweeping.images", *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    asked = False
    while True:
        if not asked and not watch.alive():
            process.terminate()
            asked = True
        try:
            printed, said = process.communicate(timeout=POLL)
            break
        except subprocess.TimeoutExpired:
            pass
    path = os.fsdecode(printed).strip()
    return Mapped(process.returncode, said, {mapping.VARIABLE: path} if path else {})


def main(arguments: Sequence[str]) -> int:
    """Write the data set that the words name, and print the path; returns the exit status."""
    data, *place = arguments
    dataset, cache = reading.load(SETS[data], *place), reading.cache()
    try:
        print(mapping.write(dataset, cache))
    except OSError as error:
        warn(f"cannot write into {cache} ({error.strerror}); each run holds a copy of the images")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # what is unfinished is removed
    sys.exit(commandline.run(main, sys.argv[1:]))
