"""A sign of life that a sweep gives, wherever its runs are: a file on the file system they share.

While the sweep lives, the file's content changes. An attempt whose sweep has removed the file, was
killed, or has been replaced by another sweep, stops its training process.
"""

import contextlib
import os
import time
import uuid
from typing import Optional

from unfair_bp import files
from unfair_bp.errors import UsageError

SILENCE = 120.0  # seconds after which a sweep that gives no sign is taken for dead
EVERY = 5.0  # seconds between two signs


def cannot_write(path: str, error: OSError) -> UsageError:
    """The error of a sweep whose directory cannot be written."""
    return UsageError(
        f"cannot write {path}: {error.strerror or error}; make room or give permission, then run "
        "the same command again, or give another --root"
    )


class SignOfLife:
    """The sign that a sweep gives.

    Args:
        path: The file; its directory must exist.

    Attributes:
        owner: What distinguishes this sweep from all others.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.owner = uuid.uuid4().hex
        self._count = 0
        self._given: Optional[float] = None

    def give(self) -> None:
        """Write the file, unless that was done a moment ago.

        Raises:
            UsageError: If it cannot be written.
        """
        now = time.monotonic()
        if self._given is None or now - self._given >= EVERY:
            self._count, self._given = self._count + 1, now
            try:
                files.write(self.path, f"{self.owner} {self._count}\n".encode())
            except OSError as error:
                raise cannot_write(self.path, error) from error

    def end(self) -> None:
        """Remove the file: the processes of this sweep then save and stop."""
        with contextlib.suppress(OSError):
            os.remove(self.path)


class Watch:
    """What an attempt knows of the sweep that it runs for.

    Args:
        path: The file with the sweep's sign of life.
        owner: The sweep's own word in it.
        silence: Seconds without a new sign after which the sweep is dead.
    """

    def __init__(self, path: str, owner: str, silence: float = SILENCE) -> None:
        self._path, self._owner, self._silence = path, owner, silence
        self._seen, self._when = "", time.monotonic()

    def alive(self) -> bool:
        """Whether the sweep is still there and wants its runs to go on."""
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                content = file.read()
        except FileNotFoundError:
            return False
        except OSError:
            content = self._seen  # a network file system may recover
        now = time.monotonic()
        if content != self._seen:
            self._seen, self._when = content, now
        return content.startswith(self._owner + " ") and now - self._when < self._silence
