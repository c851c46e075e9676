"""The images of a sweep's runs: read once on each machine, then mapped by every training process.

    python -m unfair_bp.sweeping.images DATA [DATA_DIR]

reads CIFAR as training does, writes it as one file into the package's cache, unless it is there,
and prints the file's path.
"""

import functools
import os
import subprocess
import sys
import threading
from typing import Dict, NamedTuple, Optional, Sequence

from unfair_bp import commandline
from unfair_bp.console import warn
from unfair_bp.data import mapping
from unfair_bp.data.cifar import reading
from unfair_bp.data.cifar.sets import SETS

_ONE_AT_A_TIME = threading.Lock()


class Mapped(NamedTuple):
    """Where a machine has the images of a run."""

    status: int  # of the process that has read them
    said: bytes  # what it printed on standard error
    environment: Dict[str, str]  # what tells training of the file


def mapped(owner: str, cwd: str, data: str, data_dir: Optional[str]) -> Mapped:
    """Let training processes on this machine share the images of a data set.

    Args:
        owner: The sweep. The data set is read once for each.
        cwd: The directory that ``data_dir`` is relative to.
        data: Name of the data set; embedded ones are small, and not shared.
        data_dir: Where it is, if the user has said so.
    """
    if data not in SETS:
        return Mapped(0, b"", {})
    with _ONE_AT_A_TIME:
        found = _mapped(owner, cwd, data, data_dir)
        if found.status < 0:  # the reader was killed: the next run tries again
            _mapped.cache_clear()
        return found


@functools.lru_cache(maxsize=16)
def _mapped(owner: str, cwd: str, data: str, data_dir: Optional[str]) -> Mapped:
    # In a process of its own: a worker would keep some of the memory that reading takes.
    words = [data] if data_dir is None else [data, data_dir]
    process = subprocess.run(
        [sys.executable, "-m", "unfair_bp.sweeping.launch", str(os.getpid())]
        + ["unfair_bp.sweeping.images", *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    path = os.fsdecode(process.stdout).strip()
    environment = {mapping.VARIABLE: path} if path else {}
    return Mapped(process.returncode, process.stderr, environment)


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
    sys.exit(commandline.run(main, sys.argv[1:]))
