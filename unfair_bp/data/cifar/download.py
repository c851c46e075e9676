"""Download of one file whose checksum is known, by one process at a time."""

import contextlib
import hashlib
import http.client
import io
import os
import re
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import Any, BinaryIO, Iterator, Optional

from unfair_bp import files
from unfair_bp.console import progress_bar
from unfair_bp.errors import UsageError

TIMEOUT = 30.0  # seconds without a single byte, not for the whole file
# A server that sends less than SLOWEST in the mean of a WINDOW is given up. At that speed the
# archive would take 12 hours; whoever has no better line can still go on, one window at a time.
SLOWEST = 4 << 10  # bytes per second
WINDOW = 60.0  # seconds of waiting for the server; what the disk takes does not count
MAX_SIZE = 256 << 20  # bytes; the archive of CIFAR-10 has 170 MB
_CHUNK = 1 << 12  # bytes; what has arrived of a chunk is lost if the connection ends within it
_LENGTH = re.compile("[0-9]{1,18}")
_BY_HAND = (
    "put the archive by hand into a directory and give that with --data-dir or $UNFAIR_BP_DATA"
)


def fetch(url: str, path: str, md5: str) -> None:
    """Download a file to ``path``, which appears only when complete and verified.

    What has arrived is kept in ``path + ".part"``, so that another call resumes there. The part is
    locked: a second process that wants the file waits, and then uses what the first has brought,
    or goes on where that one failed or was killed. A progress bar is drawn on standard error if
    that is a terminal. Does nothing if there is a file at ``path``.

    Args:
        url: Where the file is.
        path: Where it goes; directories are made as needed.
        md5: The checksum of the file, in hexadecimal.

    Raises:
        UsageError: If it cannot be downloaded or written, or is not the file of that checksum.
    """
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with _held(path + ".part") as part:
            if os.path.exists(path):
                part.truncate(0)  # of no use any more
            else:
                _complete(url, part, md5)
                os.replace(part.name, path)
    except _TransferError as error:
        kept = " (what has arrived is kept)" if os.path.exists(path + ".part") else ""
        raise UsageError(
            "%s: cannot be downloaded to %r: %s; try again%s, or %s"
            % (url, path, error, kept, _BY_HAND)
        ) from error
    except OSError as error:
        raise UsageError(
            "%s: cannot be written to %r: %s; make room or give permission there, set "
            "$XDG_CACHE_HOME to have the cache elsewhere, or %s"
            % (url, path, _one_line(error), _BY_HAND)
        ) from error


class _TransferError(Exception):
    """The server or the way to it failed; the text says how, in one line."""


@contextlib.contextmanager
def _transfer() -> Iterator[None]:
    """Tell what the network does wrong from what the disk does wrong."""
    try:
        yield
    # ValueError: an address that the server redirects to, and that is none.
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _TransferError(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    """What an error says; a server may have put anything into it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text[:300])


@contextlib.contextmanager
def _held(name: str) -> Iterator[BinaryIO]:
    """The part, open for reading and appending, while no other process has it.

    It is gone afterwards if it is empty then.
    """
    while True:
        with open(name, "a+b") as part:
            if not files.lock(part.fileno()):
                print(
                    "another process downloads to %r: waiting for it (Ctrl-C to stop)" % name,
                    file=sys.stderr,
                    flush=True,  # before Python 3.9 standard error may wait for its buffer
                )
                files.lock(part.fileno(), wait=True)
            if not _is_at(name, part):
                continue  # whoever had the lock has renamed or removed it
            try:
                yield part
            finally:
                # Before the lock goes, or this would remove what the next process writes.
                if _is_at(name, part) and not _size(part):
                    os.remove(name)
            return


def _is_at(name: str, file: BinaryIO) -> bool:
    """Whether an open file is what has that name."""
    try:
        return os.path.samestat(os.stat(name), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _complete(url: str, part: BinaryIO, md5: str) -> None:
    """Append what is missing to the part, and verify it; emptied if it is another file."""
    if _size(part) and _md5(part) == md5:
        return  # only the last step was missing
    try:
        total = _receive(url, part)
    except _RangeError:
        # The part is no beginning of what the server has; start again.
        part.truncate(0)
        total = _receive(url, part)
    size, actual = _size(part), _md5(part)
    if actual == md5:
        os.fsync(part.fileno())
    elif total is not None and size < total:
        # http.client reports a body that ends early to nobody who reads it in pieces.
        raise _TransferError("the connection ended after %d of %d bytes" % (size, total))
    else:
        part.truncate(0)
        raise UsageError(
            "%s: what was downloaded has MD5 %s, expected %s; it was deleted, try again, or %s"
            % (url, actual, md5, _BY_HAND)
        )


class _RangeError(Exception):
    """The server has nothing behind what is there already."""


def _receive(url: str, part: BinaryIO) -> Optional[int]:
    """Append what is missing to ``part``, or write it anew if the server sends everything.

    Returns:
        The size that the server states for the whole file, if it does.
    """
    start = _size(part)
    with contextlib.closing(_open(url, start)) as response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if _LENGTH.fullmatch(length) else None
        if response.headers.get_content_type() == "text/html":
            raise _TransferError("the server sent a page of text in its place")
        if total is not None and total > MAX_SIZE:
            raise _TransferError("it has %d bytes, expected at most %d" % (total, MAX_SIZE))
        part.truncate(start)
        with progress_bar(
            desc=os.path.basename(url),
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            leave=True,
        ) as bar:
            for chunk in _chunks(response):
                part.write(chunk)
                part.flush()
                bar.update(len(chunk))
                if _size(part) > MAX_SIZE:
                    part.truncate(0)
                    raise _TransferError("it has more than %d bytes" % MAX_SIZE)
    return total


class _Steady(io.RawIOBase):
    """What a server sends, from the status line on; it fails if that comes too slowly."""

    def __init__(self, sent: io.RawIOBase) -> None:
        self._sent = sent
        self._arrived, self._waited = 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> Optional[int]:
        # Not after reading, which would lose what has just been read.
        if self._waited >= WINDOW:
            if self._arrived < SLOWEST * self._waited:
                raise OSError(
                    "the server is too slow: %d bytes in %.0f seconds, expected at least %d a "
                    "second" % (self._arrived, self._waited, SLOWEST)
                )
            self._arrived, self._waited = 0, 0.0
        start = time.monotonic()
        count = self._sent.readinto(buffer)
        self._waited += time.monotonic() - start
        self._arrived += count or 0
        return count

    def close(self) -> None:
        self._sent.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_Steady(self.fp.detach()))


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_secure_connection, request)


def _connection(host: str, **named: Any) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(host, **named)
    connection.response_class = _Response
    return connection


def _secure_connection(host: str, **named: Any) -> http.client.HTTPSConnection:
    connection = http.client.HTTPSConnection(host, **named)
    connection.response_class = _Response
    return connection


def _open(url: str, start: int) -> http.client.HTTPResponse:
    """The server's answer to a request for the bytes from ``start`` on."""
    request = urllib.request.Request(url)
    if start:
        # No If-Range: a file that has changed on the server is caught by the checksum.
        request.add_header("Range", "bytes=%d-" % start)
    with _transfer():
        try:
            opener = urllib.request.build_opener(_Http, _Https)
            response = opener.open(request, timeout=TIMEOUT)
            if not isinstance(response, http.client.HTTPResponse):
                response.close()
                raise OSError("the server redirects to %.80r" % response.geturl())
            return response
        except urllib.error.HTTPError as error:
            error.close()
            if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _RangeError from error
            raise


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _transfer():
            chunk = response.read(_CHUNK)
        if not chunk:
            return
        yield chunk


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5()
    file.seek(0)
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        digest.update(chunk)
    return digest.hexdigest()
