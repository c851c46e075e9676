"""Locks: one process at a time where two would spoil each other's files."""

import contextlib
import os
import sys
from typing import Iterator, Optional

from unfair_bp.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def only_process(path: str, doing: str) -> Iterator[None]:
    """Hold a lock file, in which this process's id can be read, until the context ends.

    The system drops the lock of a process that dies, however it dies, so that the file it leaves
    is taken over. The file is removed at the end.

    Without ``fcntl``, as on Windows, nothing is locked, and a warning says so.

    Args:
        path: The lock file; its directory must exist.
        doing: What is being done, as in "trains in logs/case_a", for the error.

    Raises:
        UsageError: If another process holds the lock, or the file cannot be written.
    """
    if fcntl is None:
        print(
            "warning: no locks on this system; see to it that no other process %s" % doing,
            file=sys.stderr,
        )
        yield
        return
    try:
        file = _locked(path)
    except OSError as error:
        raise UsageError("cannot write %s: %s" % (path, error.strerror)) from error
    if file is None:
        raise UsageError("process %s %s; wait until it ends, or stop it" % (_owner(path), doing))
    try:
        yield
    finally:
        os.remove(path)  # before the lock is dropped, so that it is not another's
        os.close(file)


def _locked(path: str) -> Optional[int]:
    """Open the file and lock it; None if another process has."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two steps its owner may have removed the file that was opened.
            if os.path.exists(path) and os.path.samestat(os.fstat(file), os.stat(path)):
                os.ftruncate(file, 0)
                os.write(file, b"%d\n" % os.getpid())
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _owner(path: str) -> str:
    """The process id in a lock file."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        return file.read(20).strip() or "unknown"
    return "unknown"
