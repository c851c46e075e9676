"""Small files in CIFAR-10's formats as their writers make them, and what reading them gives."""

import functools
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from unfair_bp.data.cifar import cifar10
from unfair_bp.errors import UsageError

N = 20  # images per batch, in place of 10,000
TRAIN = ["data_batch_%d" % i for i in range(1, 6)]
NAMES = [*TRAIN, "test_batch"]


@pytest.fixture(autouse=True)
def small_and_alone(monkeypatch, tmp_path):
    """Small batches, no data set of this machine in reach, and no network."""
    monkeypatch.setattr(cifar10, "IMAGES_PER_BATCH", N)
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    monkeypatch.delenv("UNFAIR_BP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@functools.lru_cache(maxsize=None)
def batches(seed=0):
    """Rows [N, 3072] and labels [N] of each file."""
    rng = np.random.RandomState(seed)
    return {
        name: (rng.randint(0, 256, (N, 3072)).astype(np.uint8), rng.randint(0, 10, N).tolist())
        for name in NAMES
    }


def binary(rows, labels):
    return b"".join(bytes([label]) + row.tobytes() for row, label in zip(rows, labels))


def python2(rows, labels, fortran=False):
    """What cPickle of Python 2 wrote, like the official files: protocol 2, strings as bytes."""

    def string(text):
        return b"U" + bytes([len(text)]) + text

    content = rows.tobytes(order="F" if fortran else "C")
    return b"".join(
        [
            b"\x80\x02}q\x01(" + string(b"batch_label") + string(b"training batch 1 of 5"),
            string(b"labels") + b"]q\x04(" + b"".join(b"K" + bytes([v]) for v in labels) + b"e",
            string(b"data") + b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85" + string(b"b") + b"\x87Rq\x09(K\x01M" + struct.pack("<H", len(rows)),
            b"M\x00\x0c\x86cnumpy\ndtype\nq\n" + string(b"u1") + b"K\x00K\x01\x87Rq\x0b(K\x03",
            string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            (b"\x88" if fortran else b"\x89") + b"T" + struct.pack("<i", len(content)) + content,
            b"tb" + string(b"filenames") + b"](" + string(b"a.png") + string(b"b.png") + b"eu.",
        ]
    )


def python3(rows, labels, protocol=2, key=str.encode):
    record = {key("labels"): labels, key("data"): rows, key("filenames"): [b"a.png", "b.png"]}
    return pickle.dumps(record, protocol=protocol)


def write_binary(directory, seed=0):
    directory.mkdir(parents=True)
    for name, (rows, labels) in batches(seed).items():
        (directory / (name + ".bin")).write_bytes(binary(rows, labels))
    (directory / "batches.meta.txt").write_text("airplane\n")
    return directory


def write_pickled(directory, seed=0):
    directory.mkdir(parents=True)
    for name, (rows, labels) in batches(seed).items():
        (directory / name).write_bytes(python2(rows, labels))
    (directory / "batches.meta").write_bytes(pickle.dumps({}))
    return directory


def write_archive(path, directory):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(str(path), "w:gz") as tar:
        tar.add(str(directory), arcname=directory.name)
    return path


def refusal(place, named=None):
    """The text of the error that a place makes; it must be one line that names the path."""
    with pytest.raises(UsageError) as caught:
        cifar10.load(str(place))
    text = str(caught.value)
    assert text.isprintable()  # no line break, nothing that a terminal would obey
    assert str(named or place) in text
    assert "--data-dir" in text or "$UNFAIR_BP_DATA" in text
    return text


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def member_archive(path, *members):
    """An archive of (name, type, content) in this order."""
    with tarfile.open(str(path), "w:gz") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return path
