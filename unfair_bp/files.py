"""How the package writes files: whole or not at all, locked, never over what a user has made."""

import contextlib
import errno
import os
import shutil
import uuid
from typing import Iterator, Optional, Sequence

from unfair_bp.console import warn
from unfair_bp.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PICTURES = ("png", "svg", "pdf")  # endings
ANIMATIONS = ("gif",)
UNFINISHED = ".part"  # ends the name of a file until all of it is written
# What ``flock`` raises on file systems without locks: some network and user-space ones.
NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}
# What ``fsync`` raises on file systems that write when they like.
NO_SYNC = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has no such flag


def check(path: str, overwrite: bool) -> None:
    """Refuse a path that cannot be written; to be called before the work, not after it.

    Args:
        path: Where a file is to be written.
        overwrite: Whether an existing file may be replaced.

    Raises:
        UsageError: If the path is not a file, or is a file that may not be replaced, or its
            directory does not exist.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a directory" if os.path.isdir(path) else "a device"
        raise UsageError(f"{path} is {what}; give the name of a file")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"{path} exists; give --overwrite to replace it, or another name")
    directory = os.path.dirname(os.path.realpath(path) if os.path.islink(path) else path) or "."
    if not (os.path.isdir(directory) and os.access(directory, os.W_OK)):
        raise UsageError(
            f"cannot write {path}: {directory} is not a writable directory; make it, or give "
            "another name"
        )


def check_kind(path: str, kinds: Sequence[str]) -> None:
    """Refuse a path that does not end as one of some formats.

    Args:
        path: Where a picture is to be written.
        kinds: ``PICTURES`` or ``ANIMATIONS``.

    Raises:
        UsageError: If it has another ending.
    """
    kind = os.path.splitext(path)[1][1:]
    if kind.lower() not in kinds:
        *others, last = (f".{ending}" for ending in kinds)
        endings = f"{', '.join(others)} or {last}" if others else last
        raise UsageError(
            f"{path}: {'.' + kind!r} is not a picture format; give a file that ends in {endings}"
        )


def check_all(paths: Sequence[str], overwrite: bool) -> None:
    """Refuse paths that cannot all be written, before the first of them is.

    Raises:
        UsageError: As :func:`check`, and if two of them are the same file.
    """
    places = [os.path.realpath(path) for path in paths]
    for path, place in zip(paths, places):
        check(path, overwrite)
        if places.count(place) > 1:
            raise UsageError(f"{path} is named twice; give each output its own name")


def write(path: str, content: bytes, new: bool = False) -> None:
    """Write a file under another name and then rename it, so that no reader sees half of it.

    Args:
        path: Where it goes.
        content: All of it.
        new: Take another name that nobody has, and keep the permissions of a file that is there.
            In a directory of the package's own, the name ``path.part`` can only be left by an
            earlier try, and is taken.

    Raises:
        OSError: If it cannot be written; an earlier file is unchanged, and nothing else is left.
    """
    beside = path + UNFINISHED
    if new:
        beside = f"{path}.{uuid.uuid4().hex[:16]}{UNFINISHED}"
    file = open(beside, "xb" if new else "wb")  # noqa: SIM115 - what is not ours is not removed
    try:
        with file:
            if new and os.path.exists(path):
                shutil.copymode(path, beside)
            file.write(content)
            file.flush()
            _sync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(beside)
        raise


def write_or_refuse(path: str, content: bytes) -> None:
    """Write a file that the user named; of a link, what it leads to.

    Args:
        path: Where it goes.
        content: All of it; a library that writes to a full disk by itself would say nothing clear.

    Raises:
        UsageError: If it cannot be written; what was there is as it was.
    """
    try:
        write(os.path.realpath(path), content, new=True)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; make room, or give another name"
        ) from error


def _sync(file: int) -> None:
    """Have an open file written to disk, where the file system can be asked to."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


@contextlib.contextmanager
def only_process(path: str, doing: str) -> Iterator[None]:
    """Hold a lock file until the context ends; the file contains this process's id.

    The system releases the lock of a process that is killed, so its file can be taken over. The
    file is removed at the end.

    Args:
        path: The lock file; its directory must exist.
        doing: What the process does, as in "is training in logs/case_a", for the error.

    Raises:
        UsageError: If another process holds the lock, or the file cannot be written.
    """
    try:
        file = _locked(path)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; make room or give permission there, or remove "
            "what is in its place"
        ) from error
    if file is None:
        raise UsageError(f"process {_owner(path)} {doing}; wait until it ends, or stop it")
    try:
        yield
    finally:
        # While the lock is held. A user may have removed the file, and another process made one.
        with contextlib.suppress(OSError):
            if _is_at(file, path):
                os.remove(path)
        os.close(file)


def is_locked(path: str) -> bool:
    """Whether another process, or another thread, holds this lock file."""
    try:
        file = os.open(path, os.O_RDWR | NO_LINKS)
    except OSError:
        return False
    try:
        return not lock(file)
    except OSError:
        return False
    finally:
        os.close(file)


def lock(file: int) -> bool:
    """Lock an open file for this process until it is closed.

    Where the system or the file system has no locks, a warning says so and nothing is locked.

    Args:
        file: Its descriptor.

    Returns:
        False if another process has the lock.

    Raises:
        OSError: If locking fails for another reason.
    """
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        warn(f"files cannot be locked here ({error.strerror}); run one process at a time")
    return True


def _locked(path: str) -> Optional[int]:
    """Open the file and lock it; None if another process has."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o644)
        try:
            if not lock(file):
                os.close(file)
                return None
            if _is_at(file, path):
                content = os.read(file, 64).strip()
                if content and not content.isdigit():
                    raise OSError(errno.EEXIST, "it is another file, not the package's lock")
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, b"%d\n" % os.getpid())
                return file
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _is_at(file: int, path: str) -> bool:
    """Whether an open file still has this path; its owner may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _owner(path: str) -> str:
    """The process id in a lock file."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        return file.read(20).strip() or "unknown"
    return "unknown"
