"""Regular files of a tar.gz, read in memory, within bounds, whatever the archive claims."""

import gzip
import posixpath
import tarfile
from typing import BinaryIO, Container, Iterator, Tuple

MAX_UNPACKED = 512 << 20  # bytes; the archives of CIFAR-10 have 186 MB
MAX_MEMBERS = 1000


def read_files(path: str, names: Container[str], limit: int) -> Iterator[Tuple[str, bytes]]:
    """Base name and content of each wanted file, in the order of the archive.

    Args:
        path: The archive.
        names: Base names of the wanted files; the directories within the archive do not matter.
        limit: At most this many bytes of each file.

    Raises:
        ValueError: If the archive is damaged, too large, or has something else than one regular
            file under a wanted name; the text continues a sentence about the archive.
        PermissionError: If it may not be read.
    """
    try:
        with gzip.open(path, "rb") as file:
            stream = _Bounded(file)
            yield from _regular_files(stream, names, limit)
            # To its very end, because that is where the checksum of gzip is.
            while stream.read(1 << 20):
                pass
    except (PermissionError, _RefusedError):
        raise
    except Exception as error:  # garbage makes tarfile raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError("is truncated or not a tar.gz: %s" % reason) from error


class _RefusedError(ValueError):
    """The archive is sound, but not one to read; the text says why."""


class _Bounded:
    """A stream that fails once it has given more than an archive may unpack to."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_UNPACKED

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``."""
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise _RefusedError("unpacks to more than %d bytes" % MAX_UNPACKED)
        return chunk


def _regular_files(
    stream: _Bounded, names: Container[str], limit: int
) -> Iterator[Tuple[str, bytes]]:
    seen = set()
    # Mode "r|" reads the stream once, in blocks: a size that a header makes up costs no memory.
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as tar:
        for count, member in enumerate(tar):
            if count == MAX_MEMBERS:
                raise _RefusedError("has more than %d members" % MAX_MEMBERS)
            name = posixpath.basename(member.name)
            if name not in names:
                continue
            if not member.isfile():
                raise _RefusedError("has %r as a link or such, expected a regular file" % name)
            if name in seen:
                raise _RefusedError("has %r twice" % name)
            seen.add(name)
            yield name, tar.extractfile(member).read(limit)
