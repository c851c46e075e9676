"""Where a run can be written: refused before any work is done, rather than after it."""

import contextlib
import errno
import os
import tempfile
from typing import Container, Iterable

from unfair_bp.errors import UsageError
from unfair_bp.files import UNFINISHED


def check_name(path: str) -> None:
    """Refuse a path that TensorFlow takes for another one.

    Raises:
        UsageError: If it does.
    """
    pattern = set("*?[]\\") - {os.sep}
    characters = path.encode("utf-8", "ignore").decode()
    if pattern.intersection(path) or "://" in path or characters != path:
        raise UsageError(
            f"{path!r} cannot be a run directory: TensorFlow reads names with * ? [ ] \\ "
            "or ://, or that are not UTF-8, in its own way; give another name"
        )


def check_writable(path: str) -> None:
    """Refuse a path that cannot be made; tried out with a directory that is removed at once.

    Raises:
        UsageError: If the path is too long, or the nearest directory above it that exists takes no
            directory of ours.
    """
    parent = os.path.abspath(path)
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    try:
        if not os.path.isdir(parent):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with contextlib.suppress(FileNotFoundError):
            os.lstat(path)
        os.rmdir(tempfile.mkdtemp(dir=parent, prefix=".unfair_bp-"))
    except OSError as error:
        reason = error.strerror
        if error.errno != errno.ENAMETOOLONG:
            reason = f"{parent} is not a writable directory ({reason})"
        raise UsageError(
            f"cannot write the run directory {path}: {reason}; give another --run-dir"
        ) from error


def is_empty(path: str, ours: Container[str]) -> bool:
    """Whether this is a directory that holds nothing but, at most, files of these names."""
    try:
        return all(name in ours for name in os.listdir(path))
    except OSError:  # a file, or a directory that may not be read
        return False


def check_links(paths: Iterable[str]) -> None:
    """Refuse to start a run whose files would be written beside those of another one.

    Raises:
        UsageError: If one of these directories is a link.
    """
    for path in paths:
        if os.path.islink(path):
            raise UsageError(
                f"{path} is a link to {os.readlink(path)}, which may hold another run's files; "
                "remove the link, or give another --run-dir"
            )


def check_files(paths: Iterable[str]) -> None:
    """Refuse to begin what could not be written in the end.

    Raises:
        UsageError: If there is a directory in the place of one of these files, or of what is
            written before it has its name.
    """
    for path in (path + end for path in paths for end in ("", UNFINISHED)):
        if os.path.isdir(path):
            raise UsageError(
                f"{path} is a directory, in the place of a file of the run; move it, or give "
                "another --run-dir"
            )
