"""How the package speaks to a terminal: bars, warnings, shell lines, and output that is lost."""

import contextlib
import io
import os
import shlex
import sys
import time
from typing import IO, TYPE_CHECKING, Any, Callable, Iterator, Optional, Sequence, Type

from unfair_bp.environment import library

if TYPE_CHECKING:
    from tqdm import tqdm


SECONDS_BETWEEN_LINES = 60.0  # of a bar whose output is not a terminal


def load_bars() -> "Type[tqdm]":
    """Return tqdm, which is imported late because --help answers at once.

    Raises:
        LibraryError: If it cannot be loaded.
    """
    with library("tqdm", "tqdm"):
        from tqdm import tqdm  # noqa: PLC0415
    return tqdm


def progress_bar(*arguments: Any, leave: bool = False, **options: Any) -> "tqdm":
    """Return a bar of tqdm with these arguments; closing it clears it unless ``leave`` is set.

    Where standard error is neither a terminal nor a notebook's, it is a line a minute instead,
    and none if all is done within a minute.

    Raises:
        LibraryError: If tqdm cannot be loaded.
    """
    tqdm = load_bars()
    stream = sys.stderr
    if stream is None:
        return tqdm(*arguments, disable=True, **options)
    # A notebook's standard error is not a terminal but can show a bar.
    if type(stream).__module__.startswith("ipykernel") or stream.isatty():
        return tqdm(*arguments, leave=leave, **options)
    lines = {
        "file": _Lines(stream),
        "mininterval": SECONDS_BETWEEN_LINES / 60,
        "bar_format": "{desc}: {n_fmt} of {total_fmt} {unit}, {remaining} to go{postfix}",
    }
    return tqdm(*arguments, leave=False, **{**lines, **options})


class _Lines:
    """A stream for a bar that writes its states below each other, now and then.

    What a bar writes to move the cursor or to clear itself is left out.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def write(self, text: str) -> None:
        line = text.strip("\r\n: ")  # a bar without a description begins with a colon
        if not line or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            self._stream.write(line + "\n")

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def shell_line(words: Sequence[str]) -> str:
    """Return a command as it would be typed into a shell."""
    return " ".join(shlex.quote(word) for word in words)


def warn(line: str) -> None:
    """Print a warning on standard error; if that cannot be written, training still goes on."""
    with contextlib.suppress(OSError, ValueError):
        print(f"warning: {line}", file=sys.stderr)


class Output:
    """A text stream that may lose its reader: what is written after that goes nowhere.

    Args:
        stream: The stream to write to.

    Attributes:
        error: What the first failed write raised; None if none failed.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: Optional[OSError] = None

    def write(self, text: str) -> int:
        """Write a text; returns its length."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        """Anything else is the stream's."""
        return getattr(self._stream, name)

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def lasting_output() -> Iterator[Callable[[], Optional[OSError]]]:
    """Let the block finish its work even if its output cannot be written.

    Gives a function that flushes standard output and returns what its first failed write raised.
    """
    _open_missing_descriptors()
    before = sys.stdout, sys.stderr
    errors = [getattr(stream, "errors", None) for stream in before]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = (_lasting(stream or nowhere) for stream in before)

        def lost() -> Optional[OSError]:
            sys.stdout.flush()
            return getattr(sys.stdout, "error", None)

        try:
            yield lost
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
            for stream, name in zip(before, errors):
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors=name)


def _lasting(stream: IO[str]) -> IO[str]:
    """Wrap a file, pipe or terminal; a notebook's streams are not one of these and stay."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")  # paths may hold bytes that are not characters
    return Output(stream)


def _open_missing_descriptors() -> None:
    """Open descriptors 0 to 2 if the process was started without them.

    Otherwise the next file that is opened gets such a number, and messages are written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
