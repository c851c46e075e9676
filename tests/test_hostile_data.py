"""Files made to do harm: each is refused in one line, quickly, and leaves nothing behind."""

import contextlib
import gzip
import io
import os
import pickle
import socket
import struct
import sys
import tarfile
import time
import tracemalloc
import zlib

import commands
import pytest
from cifar10_files import (
    NAMES,
    Call,
    batches,
    binary,
    member_archive,
    python2,
    refusal,
    small_and_alone,  # noqa: F401 - for every test
    write_archive,
    write_binary,
    write_pickled,
)

from unfair_bp.data.cifar import archive, cifar10, unpickle

ROWS, LABELS = batches()["test_batch"]
SOUND = python2(ROWS, LABELS)
DAMAGED = "truncated or not a tar.gz"


@contextlib.contextmanager
def bounded(seconds=5.0, megabytes=40):
    """Fails if what is done takes longer, or more memory at any time."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < seconds
        assert tracemalloc.get_traced_memory()[1] < megabytes << 20
    finally:
        tracemalloc.stop()


# --- Pickles


def shared_key(depth=40):
    """A key of tuples that share their halves: hashing it takes 2 ** depth steps."""
    return b"\x80\x02})q\x00" + b"h\x00\x86q\x00" * depth + b"K\x01s."


def before_data(operations):
    """A sound batch with more operations in front of its dictionary's first entry."""
    head = b"\x80\x02}q\x01("
    assert SOUND.startswith(head)
    return head + operations + SOUND[len(head) :]


HOSTILE_PICKLES = {
    "empty": (b"", "ends early, after 0 bytes"),
    "one byte": (b"\x80", "ends early, after 1 bytes"),
    "text": (b"<!DOCTYPE html>", "damaged"),
    "truncated": (SOUND[: len(SOUND) // 2], "ends early"),
    "without its last byte": (SOUND[:-1], "ends early"),
    "something behind it": (SOUND + b"tail", "4 bytes after its end"),
    "two pickles": (SOUND + SOUND, "bytes after its end"),
    "nothing on the stack": (b"\x80\x02.", "damaged"),
    "no mark": (b"\x80\x02N" + b"u.", "damaged"),
    "odd number of items": (b"\x80\x02}(Nu.", "damaged"),
    "item of a list": (b"\x80\x02]NNs.", "damaged"),
    "element of a dictionary": (b"\x80\x02}Na.", "damaged"),
    "unknown memo": (b"\x80\x02h\x07.", "damaged"),
    "call of a string": (b"\x80\x02U\x01x)R.", "damaged"),
    "state of a list": (b"\x80\x02]Nb.", "damaged"),
    "no text": (b"\x80\x02X\x01\x00\x00\x00\xff.", "damaged"),
    "negative length": (b"\x80\x02T\xff\xff\xff\xff.", "ends early"),
    "4 GB of bytes": (b"\x80\x02B\xff\xff\xff\xff.", "ends early"),
    "frame of exabytes": (b"\x80\x04\x95" + b"\xff" * 8 + b"N.", "no dictionary"),
    "8 byte length": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "BINBYTES8"),
    "8 byte length of text": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "BINUNICODE8"),
    "8 byte length of an array": (b"\x80\x05\x96" + b"\xff" * 8 + b".", "not a pickled"),
    "integer of 2 GB": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "LONG4"),
    "integer of ten million digits": (b"L" + b"9" * 10_000_000 + b"L\n.", "operation LONG"),
    "integer of ten million digits, short": (b"I" + b"9" * 10_000_000 + b"\n.", "operation INT"),
    "memo index of ten million digits": (b"Np" + b"9" * 10_000_000 + b"\n.", "operation PUT"),
    "memo of 17 GB": (b"\x80\x02Nr\xff\xff\xff\xff.", "no dictionary"),
    "shared tuples in a key": (shared_key(), "no entry 'data'"),
    "shared tuples in a key, deeper": (shared_key(30_000), "no entry 'data'"),
    "tuple of tuples": (b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns.", "no entry 'data'"),
    "deeper tuple of tuples": (b"\x80\x02)" + b"\x85" * 5_000_000 + b".", "far more objects"),
    "list in itself": (b"\x80\x02]q\x00h\x00a.", "no dictionary"),
    "dictionary as its own key": (b"\x80\x02}q\x00h\x00Ns.", "no entry 'data'"),
    "a million marks": (b"\x80\x02" + b"(" * 1_000_000 + b".", "far more objects"),
    "a million copies": (b"\x80\x02N" + b"2" * 1_000_000 + b".", "operation DUP"),
    "a million references": (b"\x80\x02]q\x00(" + b"h\x00" * 1_000_000 + b"e.", "far more objects"),
    "ten million lists": (b"\x80\x02" + b"]" * 10_000_000 + b".", "far more objects"),
    "calls of calls": (
        b"\x80\x02cnumpy\nndarray\nq\x00)" + (b"q\x01h\x00h\x01R\x85") * 30_000 + b".",
        "no dictionary",
    ),
    "long name": (b"\x80\x02c" + b"x" * 10_000_000 + b"\ny\n.", "damaged"),
    "long name on the stack": (
        b"\x80\x04X\x80\x96\x98\x00" + b"x" * 10_000_000 + b"\x8c\x01y\x93.",
        "damaged",
    ),
    "persistent object": (b"\x80\x02U\x01xQ.", "BINPERSID"),
    "extension registry": (b"\x80\x02\x82\x01.", "EXT1"),
    "old instance": (b"\x80\x02(ios\nsystem\n.", "INST"),
    "old object": (b"\x80\x02(cos\nsystem\no.", "refers to 'os.system'"),
    "new object": (b"\x80\x02cnumpy\ndtype\n)\x81.", "NEWOBJ"),
    "eval": (b"\x80\x02c__builtin__\neval\nU\x011\x85R.", "'__builtin__.eval'"),
    "eval in a batch": (before_data(b"cbuiltins\neval\nU\x011\x85RN"), "'builtins.eval'"),
    "name with a line break": (b"\x80\x04\x8c\x02o\n\x8c\x01s\x93.", r"'o\n.s'"),
    "array without a state": (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n)RU\x06labels]u.",
        "no array",
    ),
    "shape of 600 digits": (
        SOUND.replace(b"(K\x01M\x14\x00M", b"(K\x01\x8a\xff" + b"\x7f" * 255 + b"M"),
        "another shape",
    ),
    "negative shape": (SOUND.replace(b"(K\x01M\x14\x00M", b"(K\x01J\xff\xff\xff\xffM"), "shape"),
    "unhashable shape": (SOUND.replace(b"(K\x01M\x14\x00M", b"(K\x01]M"), "another shape"),
    "code as its type": (SOUND.replace(b"U\x02u1", b"U\x02O8"), "another type than uint8"),
    "call as its type": (SOUND.replace(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"), "another type"),
    "characters beyond a byte": (
        SOUND.replace(
            b"T" + struct.pack("<i", ROWS.size) + ROWS.tobytes(),
            b"c_codecs\nencode\nX"
            + struct.pack("<I", 2 * ROWS.size)
            + "\u0100".encode() * ROWS.size
            + b"U\x06latin1\x86R",
        ),
        "without the 61440 bytes",
    ),
}


@pytest.mark.parametrize("case", list(HOSTILE_PICKLES))
def test_hostile_pickles_are_refused(case, tmp_path):
    """Breaks if a pickle costs more than its size, or the line does not say what is wrong."""
    content, reason = HOSTILE_PICKLES[case]
    assert content != SOUND
    directory = write_pickled(tmp_path / "b")
    (directory / "data_batch_2").write_bytes(content)
    with bounded(megabytes=80):
        text = refusal(directory, directory / "data_batch_2")
    assert reason in text
    assert len(text) < 500 + len(str(directory))


def test_the_shared_key_is_what_it_says():
    """Breaks if the pickle of shared tuples is none: with few of them Python's own reads it."""
    (key,) = pickle.loads(shared_key(3))
    assert key == ((((), ()), ((), ())), (((), ()), ((), ())))


def test_no_more_operations_than_allowed(monkeypatch):
    """Breaks if the bound is off by one, or a batch of 10,000 named images goes beyond it."""
    monkeypatch.setattr(unpickle, "MAX_OPERATIONS", 3)
    assert unpickle.load(b"\x80\x02N.", {}) is None
    with pytest.raises(unpickle.ForeignPickleError, match="far more"):
        unpickle.load(b"\x80\x02)\x85.", {})
    monkeypatch.undo()
    record = {
        "labels": [9] * 10_000,
        "filenames": [b"some_name_s_%06d.png" % i for i in range(10_000)],
    }
    for protocol in (2, 3, 4):
        read = unpickle.load(pickle.dumps(record, protocol), {("_codecs", "encode"): "encode"})
        assert dict(read.items[:1])["labels"] == record["labels"]


def test_names_are_neither_imported_nor_called(tmp_path, monkeypatch):
    """Breaks if the module of a name is imported; the plain unpickler shows that it would be."""
    (tmp_path / "hostile_module.py").write_text(
        "def run(*arguments):\n    raise SystemExit('ran')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    directory = write_pickled(tmp_path / "b")
    for call in (b"chostile_module\nrun\n)R.", b"\x8c\x0ehostile_module\x8c\x03run\x93)R."):
        (directory / "test_batch").write_bytes(b"\x80\x04" + call)
        assert "'hostile_module.run'" in refusal(directory, directory / "test_batch")
        assert "hostile_module" not in sys.modules
    with pytest.raises(SystemExit):
        pickle.loads(b"\x80\x04" + call)


def test_every_protocol_of_a_call_is_refused(tmp_path):
    """Breaks if one way of writing a call is overlooked."""
    directory = write_pickled(tmp_path / "b")
    mark = tmp_path / "was here"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (directory / "test_batch").write_bytes(pickle.dumps(Call(os.mkdir, str(mark)), protocol))
        refusal(directory, directory / "test_batch")
        assert not mark.exists()


# --- Archives


def block(name, kind=b"0", size=b"00000000000", magic=b"ustar\x0000"):
    """A header of tar with a right checksum."""
    head = bytearray(512)
    head[: len(name)], head[156:157], head[257:265], head[124 : 124 + len(size)] = (
        name,
        kind,
        magic,
        size,
    )
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def extension(kind, content, size=None):
    """A member that says something of the next."""
    length = len(content) if size is None else size
    return block(b"x", kind, b"%011o" % length) + content + bytes(-len(content) % 512)


END = bytes(1024)
HUGE = b"77777777777"  # 8 GB
LARGEST = b"\x80" + b"\xff" * 11
WANTED = b"b/data_batch_1.bin"

HOSTILE_TARS = {
    "empty": (b"", "data_batch_1.bin is missing"),
    "end at once": (END, "data_batch_1.bin is missing"),
    "half a header": (block(WANTED)[:300], DAMAGED),
    "random": (bytes(range(256)) * 40, DAMAGED),
    "wrong checksum": (block(WANTED)[:-1] + b"\1" + END, "wrong checksum"),
    "no octal number": (block(WANTED, size=b"0x10") + END, "for a number"),
    "signed number": (block(WANTED, size=b"-1") + END, "for a number"),
    "number with an underscore": (block(WANTED, size=b"1_0") + END, "for a number"),
    "negative size": (block(WANTED, size=b"\xff" * 12) + END, "for a number"),
    "size of 8 GB": (block(WANTED, size=HUGE) + END, "unpacks to more than"),
    "largest size": (block(WANTED, size=LARGEST) + END, "unpacks to more than"),
    "size of 8 GB, not wanted": (block(b"x", size=HUGE) + END, "unpacks to more than"),
    "ends within a file": (block(WANTED, size=b"00000170000") + bytes(100), "ends early"),
    "ends within another": (block(b"x", size=b"00000170000") + bytes(100), "ends early"),
    "symbolic link": (block(WANTED, b"2") + END, "link or such"),
    "hard link": (block(WANTED, b"1") + END, "link or such"),
    "character device": (block(WANTED, b"3") + END, "link or such"),
    "block device": (block(WANTED, b"4") + END, "link or such"),
    "directory": (block(WANTED, b"5") + END, "link or such"),
    "directory of the first tars": (block(WANTED + b"/", b"\0", magic=b"") + END, "link or such"),
    "pipe": (block(WANTED, b"6") + END, "link or such"),
    "unknown kind": (block(WANTED, b"Z") + END, "link or such"),
    "holes": (block(WANTED, b"S") + END, "with holes"),
    "holes of POSIX": (
        extension(b"x", b"22 GNU.sparse.major=1\n") + block(WANTED) + END,
        "with holes",
    ),
    "long name of 8 GB": (block(b"x", b"L", HUGE) + END, "a header of 8589934591 bytes"),
    "records of 8 GB": (block(b"x", b"x", HUGE) + END, "a header of 8589934591 bytes"),
    "global records of 1 MB": (extension(b"g", bytes(1 << 20)) + END, "a header of 1048576 bytes"),
    "record without a length": (extension(b"x", b"path=x\n") + block(WANTED), "wrong length"),
    "record of length 0": (extension(b"x", b"0 path=x\n") + block(WANTED), "wrong length"),
    "record that is too long": (extension(b"x", b"99 path=x\n") + block(WANTED), "wrong length"),
    "record of many digits": (extension(b"x", b"9" * 60_000) + block(WANTED), "wrong length"),
    "negative size in a record": (extension(b"x", b"11 size=-1\n") + block(WANTED), "for a size"),
    "size of 1 EB in a record": (
        extension(b"x", b"27 size=999999999999999999\n") + block(WANTED),
        "unpacks to more than",
    ),
    "many members": (block(b"x") * 1001 + END, "more than 1000 members"),
    "many long names": (extension(b"L", b"x") * 1001 + block(b"x") + END, "more than 1000 members"),
    "file twice": (
        (block(WANTED, size=b"%011o" % 61460) + binary(ROWS, LABELS).ljust(61952, b"\0")) * 2 + END,
        "twice",
    ),
    "empty file": (block(WANTED) + END, "0 bytes, expected 61460"),
}


@pytest.mark.parametrize("case", list(HOSTILE_TARS))
def test_hostile_tars_are_refused(case, tmp_path):
    """Breaks if a header is believed, or costs the memory that it claims."""
    content, reason = HOSTILE_TARS[case]
    place = tmp_path / "a.tar.gz"
    place.write_bytes(gzip.compress(content))
    with bounded(megabytes=5):
        text = refusal(place)
    assert reason in text
    assert len(text) < 500 + len(str(place))
    assert os.listdir(str(tmp_path)) == ["a.tar.gz"]


def test_a_thousand_members_are_read(tmp_path):
    """Breaks if the bound on members is off by one."""
    place = tmp_path / "a.tar.gz"
    place.write_bytes(gzip.compress(block(b"x") * 1000 + END))
    assert "is missing" in refusal(place)


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_layout_of_tar_is_read(layout, tmp_path):
    """Breaks if long names, or what POSIX writes besides them, are not understood."""
    place = tmp_path / "a.tar.gz"
    above = "deep/" * (1 if layout == tarfile.USTAR_FORMAT else 60) + "\u00e4/"
    with tarfile.open(str(place), "w:gz", format=layout) as tar:
        for name in NAMES:
            content = binary(*batches()[name])
            info = tarfile.TarInfo(above + name + ".bin")
            info.size = len(content)
            if layout == tarfile.PAX_FORMAT:
                info.mtime, info.pax_headers = 1.5, {"comment": "a\nb=c", "size": str(len(content))}
            tar.addfile(info, io.BytesIO(content))
    assert cifar10.load(str(place)).train_images.shape[0] == 100


def test_the_bounds_of_archives_are_sharp(tmp_path, monkeypatch):
    """Breaks if an archive of the largest size is refused, or one of a byte more is read."""
    place = write_archive(tmp_path / "a.tar.gz", write_binary(tmp_path / "b"))
    packed, unpacked = place.stat().st_size, len(gzip.decompress(place.read_bytes()))
    for name, size in (("MAX_PACKED", packed), ("MAX_UNPACKED", unpacked)):
        monkeypatch.setattr(archive, name, size)
        assert len(cifar10.load(str(place)).test_images) == len(ROWS)
        monkeypatch.setattr(archive, name, size - 1)
        assert str(size - 1) in refusal(place)
        monkeypatch.undo()
        monkeypatch.setattr(cifar10, "IMAGES_PER_BATCH", len(ROWS))


def test_the_largest_archive_is_that_of_cifar10_and_no_giant():
    """Breaks if the official archives, of 170 and 186 MB, are too large, or gigabytes are not."""
    for most in (archive.MAX_PACKED, archive.MAX_UNPACKED):
        assert 186 << 20 < most < 1 << 30


def test_what_follows_the_end_is_seen_wherever_it_begins(tmp_path, monkeypatch):
    """Breaks if a tail is seen only if it is read together with the end."""
    place = write_archive(tmp_path / "a.tar.gz", write_binary(tmp_path / "b"))
    sound = place.read_bytes()
    monkeypatch.setattr(archive, "_CHUNK", len(sound))
    assert len(cifar10.load(str(place)).test_images) == len(ROWS)
    place.write_bytes(sound + b"x")
    assert "something follows its end" in refusal(place)


def test_a_long_name_is_that_of_one_member(tmp_path):
    """Breaks if what an extension says of a member is believed of those behind it, too."""
    members = []
    for name in NAMES:
        content = binary(*batches()[name])
        head = block(name.encode() + b".bin", size=b"%011o" % len(content))
        if not members:
            said = extension(b"L", name.encode() + b".bin\0")
            head = said + block(b"short", size=b"%011o" % len(content))
        members.append(head + content + bytes(-len(content) % 512))
    place = tmp_path / "a.tar.gz"
    place.write_bytes(gzip.compress(b"".join(members) + END))
    assert cifar10.load(str(place)).train_labels.tolist()[: len(LABELS)] == batches()[NAMES[0]][1]


def test_members_outside_the_archive_change_nothing(tmp_path):
    """Breaks if a member is extracted, wherever its name or link points."""
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    members = [
        (str(victim), tarfile.REGTYPE, b"overwritten"),
        ("../victim", tarfile.REGTYPE, b"overwritten"),
        ("link", tarfile.SYMTYPE, b""),
        ("device", tarfile.CHRTYPE, b""),
        ("pipe", tarfile.FIFOTYPE, b""),
        *(("/" + name + ".bin", tarfile.REGTYPE, binary(*batches()[name])) for name in NAMES),
    ]
    before = commands.snapshot(tmp_path)
    place = member_archive(tmp_path / "a.tar.gz", *members)
    cifar10.load(str(place))
    place.unlink()
    assert commands.snapshot(tmp_path) == before


def zeros(megabytes):
    """A gzip of as many zeros, a thousandth of that size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return b"".join([*packed, packer.flush()])


def bomb(head, megabytes):
    """A gzip of a header and zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(head), *(packer.compress(bytes(1 << 20)) for _ in range(megabytes))]
    return b"".join([*packed, packer.flush()])


@pytest.mark.parametrize("name", [b"x", WANTED], ids=["another file", "a batch"])
def test_bombs_are_not_unpacked(name, tmp_path, monkeypatch):
    """Breaks if a small archive takes the memory that it unpacks to."""
    monkeypatch.setattr(archive, "MAX_UNPACKED", 64 << 20)
    monkeypatch.setattr(cifar10, "_MAX_FILE", 1 << 20)
    place = tmp_path / "a.tar.gz"
    place.write_bytes(bomb(block(name, size=b"%011o" % (60 << 20)), 100))
    assert place.stat().st_size < 200_000
    with bounded(seconds=20, megabytes=5):
        text = refusal(place)
    assert ("more than 1048576 bytes" if name == WANTED else "more than 67108864 bytes") in text


def test_a_bomb_behind_the_end_of_the_tar_is_not_unpacked(tmp_path, monkeypatch):
    """Breaks if what follows the last member is unpacked without a bound."""
    monkeypatch.setattr(archive, "MAX_UNPACKED", 16 << 20)
    place = tmp_path / "a.tar.gz"
    place.write_bytes(zeros(17))
    with bounded(seconds=20, megabytes=5):
        assert "unpacks to more than 16777216 bytes" in refusal(place)


def test_archives_of_many_parts_are_refused(tmp_path):
    """Breaks if empty gzips in a row are read one by one, or what follows the end is ignored."""
    place = tmp_path / "a.tar.gz"
    sound = write_archive(place, write_binary(tmp_path / "b")).read_bytes()
    for tail in (gzip.compress(b"") * 100_000, bytes(1), sound):
        place.write_bytes(sound + tail)
        with bounded(megabytes=10):
            assert "something follows its end" in refusal(place)


def test_huge_archives_are_not_opened(tmp_path):
    """Breaks if the size on disk is not looked at before the content."""
    place = tmp_path / "a.tar.gz"
    with open(str(place), "wb") as file:
        file.truncate(1 << 40)  # all of it a hole
    with bounded(megabytes=5):
        assert "has 1099511627776 bytes, expected at most" in refusal(place)


def test_huge_batches_are_not_read_whole(tmp_path):
    """Breaks if a file is read to its end whatever its size."""
    for write, name in ((write_binary, "data_batch_1.bin"), (write_pickled, "data_batch_1")):
        directory = write(tmp_path / name.replace(".", ""))
        with open(str(directory / name), "r+b") as file:
            file.truncate(1 << 40)
        with bounded(megabytes=150):
            assert "more than 67108864 bytes" in refusal(directory, directory / name)


# --- Things that are no files


def make_socket(path):
    """A socket with that name."""
    with socket.socket(socket.AF_UNIX) as bound:
        cwd = os.getcwd()
        os.chdir(os.path.dirname(path))  # because the names of sockets are short
        try:
            bound.bind(os.path.basename(path))
        finally:
            os.chdir(cwd)


def dangling(path):
    """A link to nothing."""
    os.symlink("nothing", path)


def loop(path):
    """A link to itself."""
    os.symlink(os.path.basename(path), path)


def zero_device(path):
    """A link to a device that never ends."""
    os.symlink("/dev/zero", path)


SPECIAL = {
    "pipe": (os.mkfifo, "not a regular file"),
    "directory": (os.mkdir, "not a regular file"),
    "socket": (make_socket, "not a regular file"),
    "endless device": (zero_device, "not a regular file"),
    "link to nothing": (dangling, "No such file"),
    "link to itself": (loop, "symbolic links"),
}


@pytest.mark.parametrize("kind", list(SPECIAL))
def test_special_files_in_place_of_a_batch(kind, tmp_path):
    """Breaks if any of these is opened: a pipe waits, a device does not end."""
    make, reason = SPECIAL[kind]
    directory = write_pickled(tmp_path / "b")
    victim = directory / "data_batch_5"
    victim.unlink()
    make(str(victim))
    with bounded():
        assert reason in refusal(directory, victim)


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if kind != "directory"])
def test_special_files_in_place_of_an_archive(kind, tmp_path):
    """Breaks if an archive that is none is called incomplete, or waited for."""
    make, reason = SPECIAL[kind]
    place = tmp_path / "p"
    place.mkdir()
    make(str(place / "cifar-10-binary.tar.gz"))
    with bounded():
        assert reason in refusal(place, place / "cifar-10-binary.tar.gz")


def test_special_files_that_the_user_names(tmp_path):
    """Breaks if what the user names is opened before it is looked at."""
    for kind in ("pipe", "socket", "endless device", "link to nothing", "link to itself"):
        place = tmp_path / kind.replace(" ", "")
        SPECIAL[kind][0](str(place))
        with bounded():
            text = refusal(place)
        assert "No such file" in text or "symbolic links" in text or "holds no CIFAR-10" in text


def test_an_archive_that_is_a_directory_is_searched(tmp_path):
    """Breaks if a directory with an archive's name is opened as a file."""
    place = tmp_path / "p"
    (place / "cifar-10-binary.tar.gz").mkdir(parents=True)
    assert "cifar-10-binary.tar.gz" in refusal(place, place / "cifar-10-binary.tar.gz")


def test_the_command_answers_in_one_line(tmp_path):
    """Breaks if a hostile file gets past the command as a traceback or another status."""
    directory = write_pickled(tmp_path / "b")
    (directory / "data_batch_1").write_bytes(shared_key())
    status, output, errors = commands.run(
        [
            "-m",
            "unfair_bp.train",
            "--case",
            "a",
            "--data-dir",
            directory,
            "--run-dir",
            tmp_path / "r",
        ],
        tmp_path,
    )
    assert status == 2 and "Traceback" not in output
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert "no entry 'data'" in errors and str(directory / "data_batch_1") in errors
    assert not (tmp_path / "r").exists()
