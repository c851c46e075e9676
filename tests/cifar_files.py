"""Small files in the formats of CIFAR-10 and CIFAR-100, written as their authors write them."""

import functools
import hashlib
import struct
import tarfile

import numpy as np
import pytest

from unfair_bp.data.cifar import download, reading, sets
from unfair_bp.errors import UsageError

N = 20  # images of a file, in place of 10,000 or 50,000
NAMES = {
    "cifar10": [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"],
    "cifar100": ["train", "test"],
}
BOTH = tuple(NAMES)
FORMS = ("binary", "pickled")


@pytest.fixture(autouse=True)
def small_and_alone(monkeypatch, tmp_path):
    """Small files, no data set of this machine in reach, and no network."""
    be_small(monkeypatch)
    monkeypatch.setattr(sets, "SITE", "http://127.0.0.1:9")
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.delenv("UNFAIR_BP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def be_small(patch):
    """Data sets of small files; the pickled files that `write` makes with seed 0 are official."""
    for data, names in NAMES.items():
        cifar = sets.SETS[data]
        small = cifar._replace(train_images=N * (len(names) - 1), test_images=N)
        patch.setitem(sets.SETS, data, small)
        make_official(patch, data, "pickled", contents(data, "pickled"))


def make_official(patch, data, form_name, files=None, archive=None):
    """Let these contents of files, or of the archive, have the official checksums."""
    cifar = sets.SETS[data]
    form = getattr(cifar, form_name)
    if files is not None:
        checksums = {name: "sha1:" + hashlib.sha1(raw).hexdigest() for name, raw in files.items()}
        form = form._replace(files=checksums)
    if archive is not None:
        form = form._replace(archive_checksum="md5:" + hashlib.md5(archive).hexdigest())
    patch.setitem(sets.SETS, data, cifar._replace(**{form_name: form}))


@functools.lru_cache(maxsize=None)
def batches(data="cifar10", seed=0):
    """Rows [N, 3072] and labels [N] of each file."""
    rng = np.random.RandomState(seed)
    classes = len(sets.SETS[data].classes)
    return {
        name: (
            rng.randint(0, 256, (N, 3072)).astype(np.uint8),
            rng.randint(0, classes, N).tolist(),
        )
        for name in NAMES[data]
    }


def binary(rows, labels, data="cifar10"):
    """The binary form; CIFAR-100 has a coarse label before the class."""
    coarse = [bytes([label // 5]) if data == "cifar100" else b"" for label in labels]
    return b"".join(
        first + bytes([label]) + row.tobytes() for first, label, row in zip(coarse, labels, rows)
    )


def python2(rows, labels, data="cifar10"):
    """What cPickle of Python 2 wrote, like the official files: protocol 2, strings as bytes."""

    def string(text):
        return b"U" + bytes([len(text)]) + text

    def integers(name, values):
        return string(name) + b"](" + b"".join(b"K" + bytes([v]) for v in values) + b"e"

    content = rows.tobytes()
    if data == "cifar100":
        coarse = [label // 5 for label in labels]
        lists = integers(b"fine_labels", labels) + integers(b"coarse_labels", coarse)
    else:
        lists = integers(b"labels", labels)
    return b"".join(
        [
            b"\x80\x02}q\x01(" + string(b"batch_label") + string(b"training batch 1 of 5") + lists,
            string(b"data") + b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85" + string(b"b") + b"\x87Rq\x09(K\x01M" + struct.pack("<H", len(rows)),
            b"M\x00\x0c\x86cnumpy\ndtype\nq\n" + string(b"u1") + b"K\x00K\x01\x87Rq\x0b(K\x03",
            string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89T" + struct.pack("<i", len(content)) + content + b"tb",
            string(b"filenames") + b"](" + string(b"a.png") + string(b"b.png") + b"eu.",
        ]
    )


@functools.lru_cache(maxsize=None)
def contents(data, form_name, seed=0):
    """Name and content of each file of a form."""
    write, suffix = {"binary": (binary, ".bin"), "pickled": (python2, "")}[form_name]
    return {
        name + suffix: write(rows, labels, data)
        for name, (rows, labels) in batches(data, seed).items()
    }


def write(directory, data="cifar10", form_name="binary", seed=0):
    """Write the files of a form, and one more, into a new directory."""
    directory.mkdir(parents=True)
    for name, content in contents(data, form_name, seed).items():
        (directory / name).write_bytes(content)
    (directory / "batches.meta").write_text("airplane\n")
    return directory


def write_archive(path, data="cifar10", form_name="binary", patch=None):
    """Write an archive of a form; it is official if there is something to patch with."""
    form = getattr(sets.SETS[data], form_name)
    unpacked = write(path.parent / "packed", data, form_name)
    with tarfile.open(str(path), "w:gz") as tar:
        tar.add(str(unpacked), arcname=form.directory)
    for file in unpacked.iterdir():
        file.unlink()
    unpacked.rmdir()
    if patch is not None:
        make_official(patch, data, form_name, archive=path.read_bytes())
    return path


def load(place=None, data="cifar10"):
    """The data set that is at a place, or in the caches."""
    return reading.load(sets.SETS[data], None if place is None else str(place))


def refusal(place, named=None, data="cifar10"):
    """The text of the error that a place makes; it must be one line that names the path."""
    with pytest.raises(UsageError) as caught:
        load(place, data)
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
