"""Files made to do harm: each is refused in one line, quickly, and leaves nothing behind."""

import contextlib
import gzip
import os
import pickle
import socket
import time
import tracemalloc
import zlib

import commands
import pytest
from cifar_files import (
    Call,
    refusal,
    small_and_alone,  # noqa: F401 - for every test
    write,
)

from unfair_bp.data.cifar.reading import LARGEST


@contextlib.contextmanager
def bounded(seconds=1.0, megabytes=300):
    """Fails if what is done takes longer, or more memory at any time."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < seconds
        assert tracemalloc.get_traced_memory()[1] < megabytes << 20
    finally:
        tracemalloc.stop()


def zeros(megabytes):
    """A gzip of zeros, a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return b"".join([*packed, packer.flush()])


# None of these is official, so none of it may be obeyed; with a plain unpickler each would run
# code, or take gigabytes or hours.
HOSTILE_PICKLES = {
    "empty": b"",
    "text": b"<!DOCTYPE html>",
    "runs a command": pickle.dumps(Call(os.system, "touch was_here"), protocol=2),
    "evaluates text": b"\x80\x02c__builtin__\neval\nU\x011\x85R.",
    "4 GB of bytes": b"\x80\x02B\xff\xff\xff\xff.",
    "memo of 17 GB": b"\x80\x02Nr\xff\xff\xff\xff.",
    "a key hashed in 2 ** 40 steps": b"\x80\x02})q\x00" + b"h\x00\x86q\x00" * 40 + b"K\x01s.",
    "a tuple five million deep": b"\x80\x02)" + b"\x85" * 5_000_000 + b".",
    "integer of ten million digits": b"L" + b"9" * 10_000_000 + b"L\n.",
}
HOSTILE_ARCHIVES = {
    "empty": b"",
    "text": b"<!DOCTYPE html>",
    "empty tar": gzip.compress(bytes(1024)),
    "bytes": bytes(range(256)) * 40,
    "50 MB of zeros": zeros(50),
    "100,000 empty parts": gzip.compress(b"") * 100_000,
}


@pytest.mark.parametrize("case", list(HOSTILE_PICKLES))
def test_hostile_pickles_are_refused(case, tmp_path, monkeypatch):
    """Breaks if a pickle that is not official is obeyed, or costs more than to read it."""
    monkeypatch.chdir(tmp_path)
    directory = write(tmp_path / "b", form_name="pickled")
    (directory / "data_batch_2").write_bytes(HOSTILE_PICKLES[case])
    before = commands.snapshot(tmp_path)
    with bounded(megabytes=40):
        text = refusal(directory, directory / "data_batch_2")
    assert "not the official file" in text
    assert len(text) < 500 + len(str(directory))
    assert commands.snapshot(tmp_path) == before


@pytest.mark.parametrize("case", list(HOSTILE_ARCHIVES))
def test_hostile_archives_are_refused(case, tmp_path):
    """Breaks if an archive that is not official is unpacked."""
    place = tmp_path / "a.tar.gz"
    place.write_bytes(HOSTILE_ARCHIVES[case])
    with bounded(megabytes=40):
        text = refusal(place)
    assert "not an official archive" in text
    assert len(text) < 500 + len(str(place))
    assert os.listdir(str(tmp_path)) == ["a.tar.gz"]


@pytest.mark.parametrize("size", [LARGEST, 1 << 40])
@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_1", "a.tar.gz"])
def test_huge_files_are_refused(name, size, tmp_path):
    """Breaks if a file is read to its end whatever its size, or twice."""
    form = "binary" if name.endswith(".bin") else "pickled"
    directory = write(tmp_path / "b", form_name=form)
    with open(str(directory / name), "wb") as file:
        file.truncate(size)  # all of it a hole
    with bounded(seconds=20.0):  # the largest is hashed; a hole of 1 TB would take hours
        refusal(directory / name if name == "a.tar.gz" else directory, directory / name)


def test_the_largest_official_files_are_read():
    """Breaks if the bound is below the size of an official archive or pickle, or allows 300 MB."""
    official = {
        "cifar-10-binary.tar.gz": 170_052_171,
        "cifar-10-python.tar.gz": 170_498_071,
        "cifar-100-binary.tar.gz": 168_513_733,
        "cifar-100-python.tar.gz": 169_001_437,
        "cifar-100-python/train": 155_249_918,
    }
    assert max(official.values()) <= LARGEST < 300 << 20


# --- Things that are not files


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
@pytest.mark.parametrize("form, name", [("binary", "test_batch.bin"), ("pickled", "data_batch_5")])
def test_special_files_in_place_of_a_batch(form, name, kind, tmp_path):
    """Breaks if any of these is opened: a pipe waits, a device does not end."""
    make, reason = SPECIAL[kind]
    directory = write(tmp_path / "b", form_name=form)
    victim = directory / name
    victim.unlink()
    make(str(victim))
    with bounded():
        assert reason in refusal(directory, victim)


@pytest.mark.parametrize("kind", list(SPECIAL))
def test_special_files_in_place_of_an_archive(kind, tmp_path):
    """Breaks if any of these is opened, or passes for an archive that is not there."""
    make, reason = SPECIAL[kind]
    place = tmp_path / "p"
    place.mkdir()
    make(str(place / "cifar-10-binary.tar.gz"))
    with bounded():
        assert reason in refusal(place, place / "cifar-10-binary.tar.gz")


@pytest.mark.parametrize("kind", list(SPECIAL))
def test_special_files_that_the_user_names(kind, tmp_path):
    """Breaks if what the user names is opened before it is looked at."""
    place = tmp_path / "p"
    SPECIAL[kind][0](str(place))
    with bounded():
        text = refusal(place)
    assert "No such file" in text or "symbolic links" in text or "does not hold CIFAR-10" in text


def test_the_command_answers_in_one_line(tmp_path):
    """Breaks if a hostile file gets past the command as a traceback or another status."""
    directory = write(tmp_path / "b", form_name="pickled")
    (directory / "data_batch_1").write_bytes(HOSTILE_PICKLES["runs a command"])
    words = ["--case", "a", "--data-dir", directory, "--run-dir", tmp_path / "r"]
    status, output, errors = commands.run(["-m", "unfair_bp.train", *words], tmp_path)
    assert (status, output) == (2, "")
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert "not the official file" in errors and str(directory / "data_batch_1") in errors
    assert os.listdir(str(tmp_path)) == ["b"]
