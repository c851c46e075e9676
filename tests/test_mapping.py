"""The data set as one file that the runs of a sweep map."""

import os
import pathlib
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from cifar_files import small_and_alone, write  # noqa: F401 - for every test

from unfair_bp import commandline
from unfair_bp.data import mapping, shapes, sources
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import CASES
from unfair_bp.sweeping import images


@pytest.fixture
def dataset():
    return shapes.load(30, 20)


def same(one, other):
    """Whether two data sets are equal."""
    arrays = [np.array_equal(getattr(one, name), getattr(other, name)) for name in mapping.ARRAYS]
    return all(arrays) and (one.name, one.classes) == (other.name, other.classes)


def test_a_mapped_data_set_is_the_same_and_in_no_memory_of_its_own(tmp_path, dataset):
    """Breaks if an image, a label or a name is another one, or a process holds a copy."""
    mapped = mapping.read(mapping.write(dataset, str(tmp_path / "cache")))
    assert same(mapped, dataset)
    for part in (mapped, mapped.first(None, None), mapped.first(7, 3)):
        for name in mapping.ARRAYS:
            array = getattr(part, name)
            assert isinstance(array, np.memmap) and array.base is not None
            assert not array.flags.writeable and array.flags.c_contiguous
    assert same(mapped.first(7, 3), dataset.first(7, 3))


def test_a_small_part_of_a_data_set_does_not_keep_all_of_it(dataset):
    """Breaks if a run on few images holds all of them in memory."""
    part = dataset.first(7, None)
    assert not np.shares_memory(part.train_images, dataset.train_images)
    assert part.test_images.shape == dataset.test_images.shape


def test_a_whole_file_is_kept_and_a_damaged_one_is_replaced(tmp_path, dataset):
    """Breaks if every sweep writes the file again, or trains on a damaged one."""
    path = pathlib.Path(mapping.write(dataset, str(tmp_path)))
    whole, before = path.read_bytes(), path.stat().st_ino
    assert mapping.write(dataset, str(tmp_path)) == str(path)
    assert path.stat().st_ino == before
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    mapping.write(dataset, str(tmp_path))
    assert path.read_bytes() == whole
    other = mapping.write(replace(dataset, name="another"), str(tmp_path))
    assert mapping.read(other).name == "another"
    assert sorted(os.listdir(str(tmp_path))) == sorted([path.name, os.path.basename(other)])


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut", "image", "label", "pickle"])
def test_a_damaged_file_is_one_line(tmp_path, dataset, damage):
    """Breaks if a run trains on images that are not the data set's, or ends in a traceback."""
    path = pathlib.Path(mapping.write(dataset, str(tmp_path)))
    whole = path.read_bytes()
    labels = whole.index(dataset.train_labels.tobytes())
    if damage == "missing":
        path.unlink()
    elif damage == "pickle":
        with path.open("wb") as file:
            np.save(file, np.array([{}], object), allow_pickle=True)
    else:
        at = labels if damage == "label" else labels - 1
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        content = {"empty": b"", "text": b"mine", "cut": whole[:-5]}.get(damage, flipped)
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"^[^\n]* is not a whole data set \([^\n]*$"):
        mapping.read(str(path))


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, dataset, monkeypatch):
    """Breaks if a full disk leaves a large half of a file behind."""

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        mapping.write(dataset, str(tmp_path))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_training_takes_the_file_that_a_sweep_has_written(tmp_path, monkeypatch, capfd, data):
    """Breaks if a sweep's runs see other images than a single run, or read the files again."""
    place = write(tmp_path / "data", data)
    case = replace(CASES["a"], data=data, train_size=9)
    expected = sources.load(case, str(place))
    capfd.readouterr()
    assert commandline.run(images.main, [data, str(place)]) == 0
    out, error = capfd.readouterr()
    assert "not the official ones" in error
    for file in place.iterdir():
        file.unlink()
    monkeypatch.setenv(mapping.VARIABLE, out.strip())
    assert same(sources.load(case, str(place)), expected)
    # Embedded images come from no file.
    assert sources.load(replace(case, data="shapes")).name == "shapes"


def test_without_room_every_run_holds_a_copy(tmp_path, monkeypatch, capfd):
    """Breaks if a cache that cannot be written keeps a sweep from training, or nobody is told."""
    place = write(tmp_path / "data")
    (tmp_path / "cache").write_text("a file")
    assert commandline.run(images.main, ["cifar10", str(place)]) == 0
    out, error = capfd.readouterr()
    assert out == "" and "warning: cannot write into" in error


class Alive:
    """A sweep that is alive, or is for so many looks."""

    def __init__(self, looks=10**9):
        self.looks = looks

    def alive(self):
        self.looks = max(0, self.looks - 1)
        return self.looks > 0


def test_what_killed_readers_left_is_removed(tmp_path, dataset):
    """Breaks if every kill leaves a data set's worth of disk behind, or takes a live one's file."""
    path = mapping.write(dataset, str(tmp_path))
    for name, age in ((".old.part", 7200), (".new.part", 60)):
        pathlib.Path(path + name).write_bytes(b"part")
        os.utime(path + name, (time.time() - age, time.time() - age))
    mapping.write(dataset, str(tmp_path))
    names = [os.path.basename(path) + ending for ending in ("", ".new.part")]
    assert sorted(os.listdir(str(tmp_path))) == sorted(names)


def test_a_reader_that_was_killed_is_not_remembered(tmp_path, monkeypatch):
    """Breaks if one kill, as by too little memory, fails every run of a sweep."""
    ends = [-9, images.STOPPED, 0]

    class Reader:
        def __init__(self, *words, **options):
            self.returncode = ends.pop(0)

        def communicate(self, timeout):
            return b"file\n", b""

    monkeypatch.setattr(images.subprocess, "Popen", Reader)
    for status in (-9, images.STOPPED, 0, 0):
        found = images.mapped("killed", str(tmp_path), "cifar10", None, Alive())
        assert found.status == status
    assert not ends


def test_a_reader_ends_with_its_sweep(tmp_path, monkeypatch):
    """Breaks if Ctrl-C waits for a download to end."""
    started = []

    class Reader(subprocess.Popen):
        def __init__(self, words, **options):
            started.append(self)
            super().__init__([sys.executable, "-c", "import time; time.sleep(60)"], **options)

    monkeypatch.setattr(images.subprocess, "Popen", Reader)
    monkeypatch.setattr(images, "POLL", 0.01)
    watch = Alive(3)
    assert images.mapped("stopped", str(tmp_path), "cifar10", None, watch).status < 0
    assert watch.looks == 0 and len(started) == 1


def test_a_data_set_is_read_once_and_its_absence_is_told(tmp_path, monkeypatch):
    """Breaks if each run of a sweep looks for data that is not there, or the error is lost."""
    calls = []
    real = images.subprocess.Popen

    def run(*words, **options):
        calls.append(words)
        return real(*words, **options)

    monkeypatch.setattr(images.subprocess, "Popen", run)
    for _ in range(2):
        found = images.mapped("sweep 1", str(tmp_path), "cifar10", "nowhere", Alive())
        assert found.status == 2 and not found.environment
        assert found.said.startswith(b"error: --data-dir 'nowhere': No such file or directory")
    assert len(calls) == 1
    images.mapped("sweep 2", str(tmp_path), "cifar10", "nowhere", Alive())
    assert len(calls) == 2
    assert images.mapped("sweep 2", str(tmp_path), "shapes", None, Alive()) == (0, b"", {})
    assert len(calls) == 2
