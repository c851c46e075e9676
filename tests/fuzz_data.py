"""Feed damaged and hostile files to the reader of CIFAR-10, by the thousand.

    python tests/fuzz_data.py --files 100000 --seed 0

Each file is a sound one of two images, or a hostile one, that was changed at random; it is read by
`cifar10.load` as a file in a directory or as an archive. The reader must return valid arrays or
raise a UsageError of one line that names the place. The last line of the output counts what
happened; the exit status is 1 if anything else did, if a file took long, or if code was run.
"""

import argparse
import builtins
import collections
import contextlib
import faulthandler
import gzip
import io
import os
import pathlib
import pickle
import random
import resource
import shutil
import signal
import struct
import sys
import tarfile
import tempfile
import time
import types
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
from cifar10_files import NAMES, Call, binary, python2, python3

from unfair_bp.data.cifar import archive, cifar10
from unfair_bp.errors import UsageError

IMAGES = 2  # in a batch, in place of 10,000: the checks are the same
SECONDS_PER_FILE = 5.0
MAX_UNPACKED = 4 << 20  # bytes, in place of 512 MB, so that bombs are quick to make
MAX_MEMORY = 2 << 30  # bytes above what the imports take
BLOCK = 512

# Few different values, so that archives are small.
ROWS = np.tile(np.arange(48, dtype=np.uint8), IMAGES * 64).reshape(IMAGES, 3072)
LABELS = [3, 9]

PICKLES = [
    python2(ROWS, LABELS),
    python2(ROWS, LABELS, fortran=True),
    *(python3(ROWS, LABELS, protocol=protocol) for protocol in (2, 3, 4)),
    python3(ROWS, LABELS, key=str),
]
BINARY = binary(ROWS, LABELS)

# --- Hostile pickles


def sentinel_module():
    """A module that only a pickle would call, with the list of the calls."""
    module = types.ModuleType("fuzz_sentinel")
    module.calls = []

    def run(*arguments):
        module.calls.append(arguments)

    run.__module__, run.__qualname__ = "fuzz_sentinel", "run"
    module.run = run
    return module


SENTINEL = sys.modules.setdefault("fuzz_sentinel", sentinel_module())
# Python 2's names of the functions that are watched, and Python 3's.
CALLS = (
    b"cfuzz_sentinel\nrun\n(U\x01xtR",
    b"cos\nsystem\n(U\x01xtR",
    b"cposix\nsystem\n(U\x01xtR",
    b"cbuiltins\neval\n(X\x01\x00\x00\x00xtR",
    b"c__builtin__\nexec\n(X\x01\x00\x00\x00xtR",
    b"(cfuzz_sentinel\nrun\no",
    b"(U\x01xifuzz_sentinel\nrun\n",
    b"cfuzz_sentinel\nrun\n(U\x01xt\x81",
    b"\x8c\x0dfuzz_sentinel\x8c\x03run\x93(U\x01xtR",
    b"cnumpy\nndarray\n(U\x01xtRcfuzz_sentinel\nrun\nb",
)
SHARED = b")" + b"q\x00h\x00\x86" * 40  # hashed in 2 ** 40 steps
# Operations, with arguments that promise more than there is.
TOKENS = (
    *CALLS,
    SHARED,
    b"}" + SHARED + b"K\x01s",
    b"}" + b")q\x00h\x00\x86q\x00" * 40 + b"K\x01s",
    b"\x85" * 3000,
    b"2" * 3000,
    b"(" * 3000,
    b"]q\x01h\x01a",
    b"Nr\xff\xff\xff\x7f",
    b"\x8b\xff\xff\xff\x7f",
    b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"B\xff\xff\xff\xff",
    b"T\xff\xff\xff\xff",
    b"X\xff\xff\xff\xff",
    b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x8a\xff" + b"\x7f" * 255,
    b"L" + b"9" * 5000 + b"L\n",
    b"I" + b"9" * 5000 + b"\n",
    b"p" + b"9" * 5000 + b"\n",
    b"S'\\x41'\n",
    *(bytes([code]) for code in range(256)),
)
HOSTILE = [
    *(b"\x80\x02" + token + b"." for token in TOKENS[: -len(range(256))]),
    *(
        pickle.dumps(Call(SENTINEL.run, "x"), protocol=protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
]


class CodeRun:
    """Counts calls of functions that only an executed file would call."""

    @staticmethod
    def watched():
        """A context in which they are watched."""
        stack = contextlib.ExitStack()
        for place, name in ((os, "system"), (os, "mkdir"), (builtins, "eval"), (builtins, "exec")):
            stack.enter_context(mock.patch.object(place, name, SENTINEL.run))
        posix = sys.modules["posix"]
        stack.enter_context(mock.patch.object(posix, "system", SENTINEL.run))
        return stack

    @staticmethod
    def count():
        """How many calls there were since the last question."""
        calls = len(SENTINEL.calls)
        SENTINEL.calls.clear()
        return calls

    @classmethod
    def check(cls):
        """Make sure that Python's own unpickler sets it off with the first pickles."""
        with cls.watched():
            for call in CALLS[:7]:
                pickle.loads(b"\x80\x02" + call + b".")
                if cls.count() != 1:
                    raise AssertionError("the sentinel does not notice %r" % call)


# --- Changes


def place(dice, size):
    """A position, more often near the ends, where the structure is."""
    near = min(size, 200)
    return dice.choice(
        (dice.randrange(size + 1), dice.randrange(near + 1), size - dice.randrange(near + 1))
    )


def changed(dice, data, tokens=(b"\0", b"\xff")):
    """The data with a few random changes."""
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = place(dice, len(data))
        end = min(len(data), at + dice.choice((1, 2, 4, 16, 300, 4000)))
        there = data[at:end]
        kind = dice.randrange(9)
        if kind == 0 and there:
            there = bytes([there[0] ^ 1 << dice.randrange(8)]) + there[1:]
        elif kind == 1:
            there = dice.choice(tokens) + there[1:]
        elif kind == 2:
            there = dice.choice(tokens) + there
        elif kind == 3:
            there = b""
        elif kind == 4:
            there = there * dice.choice((2, 3, 20))
        elif kind == 5:
            there = bytes(dice.randrange(256) for _ in there[:16]) + there[16:]
        elif kind == 6:
            layout, value = dice.choice(
                (("<H", 65535), ("<i", -1), ("<i", 2**31 - 1), ("<Q", 2**63))
            )
            number = struct.pack(layout, value)
            there = number + there[len(number) :]
        elif kind == 7:
            there = data[place(dice, len(data)) :][: len(there)]
        else:
            data, there = data[:end], there if dice.random() < 0.5 else b""
        data = data[:at] + there + data[end:]
    return data


def fuzzed_pickle(dice):
    """A pickle that is damaged, hostile, or sound with something hostile in it."""
    if dice.random() < 0.2:
        raw = dice.choice(HOSTILE)
        return raw if dice.random() < 0.3 else changed(dice, raw, TOKENS)
    raw = dice.choice(PICKLES)
    if dice.random() < 0.1:
        other = dice.choice(PICKLES)
        raw = raw[: place(dice, len(raw))] + other[place(dice, len(other)) :]
    return changed(dice, raw, TOKENS)


def fuzzed_binary(dice):
    """The binary form, damaged."""
    return changed(dice, BINARY)


def tar(names, content, layout):
    """A tar of these files, uncompressed."""
    depth = 1 if layout == tarfile.USTAR_FORMAT else 30  # the others have long names
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=layout) as file:
        for name in names:
            info = tarfile.TarInfo("deep/" * depth + name)
            info.size, info.mtime = len(content), 1.5 if layout == tarfile.PAX_FORMAT else 1
            file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


LAYOUTS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
TARS = [tar([name + ".bin" for name in NAMES], BINARY, layout) for layout in LAYOUTS]
PICKLE_TARS = [tar(NAMES, raw, layout) for raw in PICKLES[:2] for layout in LAYOUTS]
# Fields of a header: where they start and end.
FIELDS = (
    (0, 100),
    (100, 108),
    (124, 136),
    (136, 148),
    (148, 156),
    (156, 157),
    (157, 257),
    (257, 265),
    (345, 500),
)
VALUES = (
    *(bytes([kind]) for kind in b"01234567SMLKxXgV\0"),
    *(b"77777777777", b"00000000000", b"00000001000", b"99999999999", b"-1", b"0x10", b"1_0"),
    *(b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + bytes(6) + b"\x7f" * 5, b" " * 12, b""),
    *(b"/etc/passwd", b"../../data_batch_1.bin", b"data_batch_1", b"test_batch.bin/", b"\xc3\x28"),
)
RECORDS = (
    *(b"9999999999 path=x\n", b"0 path=x\n", b"6 path\n", b"5 a=b", b"-5 a=b\n"),
    *(b"18 size=9999999999\n", b"11 size=-1\n", b"10 size=0\n"),
    *(b"30 path=../../data_batch_1.bin\n", b"22 GNU.sparse.major=1\n"),
)


def headers_of(raw):
    """Where the headers of a tar are."""
    return [at for at in range(0, len(raw), BLOCK) if raw[at + 257 : at + 262] == b"ustar"]


def header(name, kind, size):
    """A header with its checksum."""
    block = bytearray(BLOCK)
    block[: len(name)], block[156:157], block[257:265] = name, kind, b"ustar\x0000"
    block[124:136] = size[:12].ljust(12, b"\0")
    return summed(block)


def summed(block):
    """A header with its checksum made right."""
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def fuzzed_tar(dice):
    """A tar with changed headers, additional members, or changed contents."""
    raw = dice.choice(TARS if dice.random() < 0.6 else PICKLE_TARS)
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        at = dice.choice(headers_of(raw) or [0])
        kind = dice.randrange(5)
        if kind < 2:
            block = bytearray(raw[at : at + BLOCK].ljust(BLOCK, b"\0"))
            start, end = dice.choice(FIELDS)
            value = dice.choice(VALUES)[: end - start]
            block[start:end] = value.ljust(end - start, b"\0")
            raw = raw[:at] + (summed(block) if dice.random() < 0.9 else block) + raw[at + BLOCK :]
        elif kind == 2:
            name, kind_of = dice.choice(VALUES), dice.choice(VALUES)[:1] or b"0"
            raw = raw[:at] + header(name, kind_of, dice.choice(VALUES)) + raw[at:]
        elif kind == 3:
            content = b"".join(dice.choice(RECORDS) for _ in range(dice.choice((1, 3, 2000))))
            size = b"%011o" % len(content)
            padding = bytes(-len(content) % BLOCK)
            raw = (
                raw[:at]
                + header(b"x", dice.choice((b"x", b"g", b"L")), size)
                + content
                + padding
                + raw[at:]
            )
        else:
            hostile = dice.choice(HOSTILE)
            raw = raw[: at + BLOCK] + hostile + raw[at + BLOCK + len(hostile) :]
    if dice.random() < 0.01:
        raw += bytes(2 * MAX_UNPACKED)
    return changed(dice, raw) if dice.random() < 0.2 else raw


def fuzzed_archive(dice):
    """A tar.gz whose tar, or whose gzip, is damaged."""
    raw = gzip.compress(fuzzed_tar(dice), dice.choice((0, 1, 1, 6, 9)))
    if dice.random() < 0.1:  # with a name, extra fields or a comment
        raw = raw[:3] + bytes([dice.randrange(256)]) + raw[4:]
    if dice.random() < 0.05:
        raw += dice.choice((raw, b"\0", bytes(BLOCK), b"tail"))
    return changed(dice, raw) if dice.random() < 0.3 else raw


# --- Reading


class Hang(BaseException):
    """A file took too long; no handler for errors may swallow this."""


def expired(number, frame):
    """What the alarm clock does."""
    raise Hang


class Places:
    """Directories with five sound batches, one of each format, and room for an archive."""

    def __init__(self, root):
        self.root = root
        for directory, suffix, content in (("bin", ".bin", BINARY), ("py", "", PICKLES[0])):
            (root / directory).mkdir()
            for name in NAMES:
                (root / directory / (name + suffix)).write_bytes(content)
        (root / "empty").mkdir()
        self.files = self.listing()

    def listing(self):
        """Every file there is."""
        return sorted(str(path) for path in self.root.rglob("*"))

    def mend(self, path):
        """Undo what was put there."""
        if path.name == "archive.tar.gz":
            path.unlink()
        else:
            path.write_bytes(BINARY if path.suffix else PICKLES[0])

    def put(self, dice):
        """Make one fuzzed file; returns what to give to the reader."""
        directory, name, make = dice.choice(
            (
                ("py", "data_batch_1", fuzzed_pickle),
                ("py", "data_batch_1", fuzzed_pickle),
                ("bin", "test_batch.bin", fuzzed_binary),
                ("", "archive.tar.gz", fuzzed_archive),
                ("", "archive.tar.gz", fuzzed_archive),
            )
        )
        path = self.root / directory / name
        path.write_bytes(make(dice))
        return path, path.parent if directory else path


def outcome(given):
    """What the reader does with a place: "refused", "read", or what went wrong."""
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_FILE)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # the files are not official
                dataset = cifar10.load(str(given))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except UsageError as error:
        text = str(error)
        sound = text.isprintable() and str(given) in text and "--data-dir" in text
        return "refused" if sound and len(text) < 1000 else "crash: bad line %r" % text
    except Hang:
        return "hang"
    except BaseException as error:
        return "crash: %s: %.300s" % (type(error).__name__, error)
    arrays = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    shapes = [(5 * IMAGES, 32, 32, 3), (5 * IMAGES,), (IMAGES, 32, 32, 3), (IMAGES,)]
    valid = (
        all(array.dtype == np.uint8 for array in arrays)
        and [array.shape for array in arrays] == shapes
        and max(dataset.train_labels.max(), dataset.test_labels.max()) < 10
    )
    return "read" if valid else "crash: arrays that are none of CIFAR-10"


def fuzz(root, seed, numbers):
    """Counts of what happened to the files of these numbers."""
    counts = collections.Counter()
    places = Places(root)
    os.chdir(str(root / "empty"))
    modules = set(sys.modules)
    for number in numbers:
        if number % 20 == 0:  # should one file hang where no alarm is heard
            faulthandler.dump_traceback_later(20 * SECONDS_PER_FILE, exit=True)
        path, given = places.put(random.Random("%d/%d" % (seed, number)))
        with CodeRun.watched():
            what = outcome(given)
        if CodeRun.count() or set(sys.modules) - modules:
            what = "code run"
            modules = set(sys.modules)
        places.mend(path)
        if number % 50 == 0 and places.listing() != places.files:
            what = "crash: something was left behind"
        if what not in ("refused", "read"):
            print("%s (--first %d --files 1)" % (what, number), flush=True)
        counts[what.split(":")[0]] += 1
    faulthandler.cancel_dump_traceback_later()
    return counts


def main(arguments=None):
    """Run the script; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=3000, help="how many (default: 3000)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default: 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    options = parser.parse_args(arguments)
    CodeRun.check()
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, expired)
    root = pathlib.Path(tempfile.mkdtemp(prefix="fuzz_data_"))
    start = time.perf_counter()
    try:
        with mock.patch.object(cifar10, "IMAGES_PER_BATCH", IMAGES), mock.patch.object(
            archive, "MAX_UNPACKED", MAX_UNPACKED
        ):
            numbers = range(options.first, options.first + options.files)
            counts = fuzz(root, options.seed, numbers)
    finally:
        os.chdir("/")
        shutil.rmtree(str(root))
    print(
        "%d files: %d refused, %d read, %d crashes, %d hangs, %d code run; "
        "%.0f files per second, peak memory %d MB"
        % (
            options.files,
            *(counts[what] for what in ("refused", "read", "crash", "hang", "code run")),
            options.files / (time.perf_counter() - start),
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        )
    )
    return int(counts["refused"] + counts["read"] != options.files)


if __name__ == "__main__":
    sys.exit(main())
