"""Files that are written whole or not at all."""

import contextlib
import os

from unfair_bp.errors import UsageError

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
