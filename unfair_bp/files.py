"""How the package writes files: whole or not at all, locked, never over what a user has made."""

import contextlib
import os
import sys
from typing import Iterator, Optional

from unfair_bp.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UNFINISHED = ".part"  # ends the name of what a process leaves that is killed while it writes


def check(path: str, overwrite: bool) -> None:
    """Refuse a path that cannot be written; to be called before the work, not after it.

    Args:
        path: Where a file is to be.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        UsageError: If something else than a file is there, a file is and may not be replaced, or
            there is no directory for it.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a directory" if os.path.isdir(path) else "a device or such"
        raise UsageError("%s is %s; give the name of a file" % (path, what))
    if os.path.lexists(path) and not overwrite:
        raise UsageError("%s exists; give --overwrite to replace it, or another name" % path)
    directory = os.path.dirname(path) or "."
    if not (os.path.isdir(directory) and os.access(directory, os.W_OK)):
        raise UsageError(
            "cannot write %s: %s is no directory that can be written to; make it, or give "
            "another name" % (path, directory)
        )


def write(path: str, content: bytes) -> None:
    """Write a file beside its place and then rename it: nobody finds half of it.

    Raises:
        OSError: If it cannot be written; what was there is as it was, and nothing is left beside.
    """
    beside = path + UNFINISHED
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(beside)
        raise


@contextlib.contextmanager
def only_process(path: str, doing: str) -> Iterator[None]:
    """Hold a lock file, in which this process's id can be read, until the context ends.

    The system drops the lock of a process that dies, however it dies, so that the file it leaves
    is taken over. The file is removed at the end.

    Args:
        path: The lock file; its directory must exist.
        doing: What is being done, as in "trains in logs/case_a", for the error.

    Raises:
        UsageError: If another process holds the lock, or the file cannot be written.
    """
    try:
        file = _locked(path)
    except OSError as error:
        raise UsageError("cannot write %s: %s" % (path, error.strerror)) from error
    if file is None:
        raise UsageError("process %s %s; wait until it ends, or stop it" % (_owner(path), doing))
    try:
        yield
    finally:
        # Before the lock is dropped, so that it is not another's; somebody may have removed it.
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        os.close(file)


def lock(file: int, wait: bool = False) -> bool:
    """Lock an open file for this process until it is closed.

    Without ``fcntl``, as on Windows, nothing is locked, and a warning says so.

    Args:
        file: Its descriptor.
        wait: Wait while another process has the lock.

    Returns:
        Whether the lock is this process's now.
    """
    if fcntl is None:
        print("warning: no locks on this system; run one process at a time", file=sys.stderr)
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _locked(path: str) -> Optional[int]:
    """Open the file and lock it; None if another process has."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not lock(file):
                os.close(file)
                return None
            # Between the two steps its owner may have removed the file that was opened.
            if os.path.exists(path) and os.path.samestat(os.fstat(file), os.stat(path)):
                os.ftruncate(file, 0)
                os.write(file, b"%d\n" % os.getpid())
                return file
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _owner(path: str) -> str:
    """The process id in a lock file."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        return file.read(20).strip() or "unknown"
    return "unknown"
