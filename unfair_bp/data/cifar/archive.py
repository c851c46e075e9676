"""Regular files of a tar.gz, read in memory, within bounds, whatever the archive claims.

Read by hand: `gzip` and `tarfile` take as much memory and time as a made-up header asks for. Names
may be long in the manner of GNU or of POSIX; every other extension is skipped.

Formats: RFC 1952; https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

import itertools
import os
import posixpath
import re
import zlib
from typing import BinaryIO, Container, Dict, Iterator, NamedTuple, Optional, Set, Tuple

MAX_PACKED = MAX_UNPACKED = 512 << 20  # bytes; the archives of CIFAR-10 have 170 and 186 MB
MAX_MEMBERS = 1000  # with what describes them further
_MAX_EXTENSION = 1 << 16  # bytes that say more about the next member, such as its long name

_CHUNK = 1 << 16
_BLOCK = 512
_REGULAR = (b"0", b"\0", b"7")
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, directories, pipes
_SPARSE = (b"S", b"M")  # with holes, or over several volumes
_LONG_NAME, _RECORDS, _EXTENSIONS = b"L", b"x", (b"L", b"K", b"x", b"X", b"g")
_RECORD_LENGTH = re.compile(rb"([1-9][0-9]{0,4}) ")
_DECIMAL = re.compile(rb"[0-9]{1,18}")
_OCTAL = re.compile(rb"[0-7]{0,12}")


def read_files(path: str, names: Container[str], limit: int) -> Iterator[Tuple[str, bytes]]:
    """Base name and content of each wanted file, in the order of the archive.

    Args:
        path: The archive.
        names: Base names of the wanted files; the directories within the archive do not matter.
        limit: At most this many bytes of each file.

    Raises:
        ValueError: If the archive is damaged, too large, or has something else than one regular
            file under a wanted name; the text continues a sentence about the archive.
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_PACKED:
            raise ValueError("has %d bytes, expected at most %d" % (size, MAX_PACKED))
        stream = _Unpacked(file)
        yield from _regular_files(stream, names, limit)
        stream.finish()


def _damaged(reason: str) -> ValueError:
    return ValueError("is truncated or not a tar.gz: %s" % reason)


class _Unpacked:
    """What a gzip file unpacks to, as a stream that fails beyond `MAX_UNPACKED`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._left = MAX_UNPACKED

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes; it is an error if there are fewer."""
        chunks = []
        while size:
            chunk = self.some(size)
            if not chunk:
                raise _damaged("its tar ends early")
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def skip(self, size: int) -> None:
        """Read past ``size`` bytes."""
        while size:
            size -= len(self.exactly(min(size, _CHUNK)))

    def some(self, size: int) -> bytes:
        """The next bytes, at least one and at most ``size``, or none at the end."""
        while not self._gzip.eof:
            packed = self._gzip.unconsumed_tail or self._file.read(_CHUNK)
            try:
                chunk = self._gzip.decompress(packed, min(size, _CHUNK))
            except zlib.error as error:
                raise _damaged(str(error)) from error
            if chunk:
                self.check(len(chunk))
                self._left -= len(chunk)
                return chunk
            if not packed and not self._gzip.eof:
                raise _damaged("its gzip ends early")
        return b""

    def finish(self) -> None:
        """Read to the very end, because that is where the checksum of gzip is."""
        while self.some(_CHUNK):
            pass
        if self._gzip.unused_data or self._file.read(1):
            raise _damaged("something follows its end")

    def check(self, size: int) -> None:
        """Fail if so many bytes more are too many."""
        if size > self._left:
            raise ValueError("unpacks to more than %d bytes" % MAX_UNPACKED)


class _Member(NamedTuple):
    """One entry of a tar."""

    name: str  # without the directories
    kind: bytes
    size: int  # of the content that follows


def _regular_files(
    stream: _Unpacked, names: Container[str], limit: int
) -> Iterator[Tuple[str, bytes]]:
    seen: Set[str] = set()
    for member in _members(stream):
        content = b""
        if member.name in names:
            if member.kind not in _REGULAR:
                raise ValueError("has %r as a link or such, expected a regular file" % member.name)
            if member.name in seen:
                raise ValueError("has %r twice" % member.name)
            seen.add(member.name)
            content = stream.exactly(min(member.size, limit))
            yield member.name, content
        stream.skip(_padded(member.size) - len(content))


def _members(stream: _Unpacked) -> Iterator[_Member]:
    """The members; what each holds must be read or skipped before the next is asked for."""
    said: Dict[str, bytes] = {}  # by extensions, of the member that follows
    for count in itertools.count():
        block = _header(stream)
        if block is None:
            return
        if count == MAX_MEMBERS:
            raise ValueError("has more than %d members" % MAX_MEMBERS)
        kind, size = block[156:157], _number(block[124:136])
        if kind in _EXTENSIONS:
            if size > _MAX_EXTENSION:
                raise ValueError("has a header of %d bytes" % size)
            content = stream.exactly(_padded(size))[:size]
            if kind == _LONG_NAME:
                said["path"] = content.split(b"\0")[0]
            elif kind == _RECORDS:
                said.update(_records(content))
            continue
        if kind in _SPARSE or any(key.startswith("GNU.sparse") for key in said):
            raise ValueError("has a member with holes, expected plain files")
        name = said.get("path", block[:100].split(b"\0")[0]).decode("latin-1")
        if name.endswith("/") and kind in _REGULAR:
            kind = b"5"  # how the first tars wrote directories
        size = 0 if kind in _WITHOUT_CONTENT else int(said.get("size", size))
        stream.check(size)  # a header may promise what no archive can hold
        said = {}
        yield _Member(posixpath.basename(name.rstrip("/")), kind, size)


def _header(stream: _Unpacked) -> Optional[bytes]:
    """The block that describes a member; None at the end of the tar."""
    start = stream.some(_BLOCK)
    block = start + stream.exactly(_BLOCK - len(start)) if start else bytes(_BLOCK)
    if not any(block):
        return None
    # Summed as if the field of the sum itself held spaces.
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != _number(block[148:156]):
        raise _damaged("a header of its tar has a wrong checksum")
    return block


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or big-endian if it is too large for them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if not _OCTAL.fullmatch(digits):
        raise _damaged("a header of its tar has %r for a number" % digits)
    return int(digits or b"0", 8)


def _records(content: bytes) -> Dict[str, bytes]:
    """What POSIX says of the next member: lines of length, key and value."""
    said = {}
    at = 0
    while at < len(content):
        length = _RECORD_LENGTH.match(content, at)
        end = at + int(length.group(1)) if length else 0
        if length is None or not length.end() < end <= len(content):
            raise _damaged("a header of its tar has a line of wrong length")
        key, _, value = content[length.end() : end - 1].partition(b"=")
        if key == b"size" and not _DECIMAL.fullmatch(value):
            raise _damaged("a header of its tar has %.40r for a size" % value)
        said[key.decode("latin-1")] = value
        at = end
    return said


def _padded(size: int) -> int:
    """Contents are filled up to whole blocks."""
    return -(-size // _BLOCK) * _BLOCK
