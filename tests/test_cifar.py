"""Reading CIFAR-10 and CIFAR-100: both forms, every container, every place, every bad file."""

import contextlib
import hashlib
import http.server
import os
import pathlib
import pickle
import re
import tarfile
import tempfile
import threading

import commands
import numpy as np
import pytest
from cifar_files import (
    BOTH,
    FORMS,
    NAMES,
    Call,
    N,
    batches,
    binary,
    contents,
    load,
    make_official,
    refusal,
    small_and_alone,  # noqa: F401 - for every test
    write,
    write_archive,
)

from unfair_bp import evaluate, train
from unfair_bp.data.cifar import sets
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import DATASETS

UNOFFICIAL = "files not official"


def expected_images(names, data="cifar10", seed=0):
    """Images [., y, x, c] picked value by value from the rows, where they are [c, y, x]."""
    y, x, c = np.meshgrid(np.arange(32), np.arange(32), np.arange(3), indexing="ij")
    rows = [batches(data, seed)[name][0] for name in names]
    return np.concatenate([part[:, 1024 * c + 32 * y + x] for part in rows])


def assert_holds(dataset, data="cifar10", seed=0):
    *train, test = NAMES[data]
    np.testing.assert_array_equal(dataset.train_images, expected_images(train, data, seed))
    np.testing.assert_array_equal(dataset.test_images, expected_images([test], data, seed))
    labels = [label for name in train for label in batches(data, seed)[name][1]]
    assert dataset.train_labels.tolist() == labels
    assert dataset.test_labels.tolist() == batches(data, seed)[test][1]


def directory_of(data, form_name):
    return getattr(sets.SETS[data], form_name).directory


# Where the data may stand: each of these writes it below a directory and says what to give.
CONTAINERS = {
    "directory": lambda tmp, data, form, patch: write(tmp / "b", data, form),
    "its parent": lambda tmp, data, form, patch: (
        write(tmp / "p" / directory_of(data, form), data, form).parent
    ),
    "one deeper, as Keras does": lambda tmp, data, form, patch: (
        write(
            tmp / "p" / (directory_of(data, form) + "-target") / directory_of(data, form),
            data,
            form,
        ).parent.parent
    ),
    "archive of any name": lambda tmp, data, form, patch: write_archive(
        tmp / "any name", data, form, patch
    ),
    "with the archive": lambda tmp, data, form, patch: (
        write_archive(tmp / getattr(sets.SETS[data], form).archive, data, form, patch).parent
    ),
    "with Keras' archive": lambda tmp, data, form, patch: (
        write_archive(tmp / (directory_of(data, form) + ".tar.gz"), data, form, patch).parent
    ),
    "with Keras' newer archive": lambda tmp, data, form, patch: (
        (
            write_archive(tmp / (directory_of(data, form) + "-target_archive"), data, form, patch)
        ).parent
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("data", BOTH)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("container", list(CONTAINERS))
def test_every_container_gives_the_same_arrays(container, form, data, monkeypatch, tmp_path):
    """Breaks if a container is not found, or files, channels or labels come out of order."""
    place = CONTAINERS[container](tmp_path, data, form, monkeypatch)
    before = sorted(tmp_path.rglob("*"))
    dataset = load(place, data)
    assert_holds(dataset, data)
    for array in (dataset.train_images, dataset.test_images):
        assert array.dtype == np.uint8 and array.flags.c_contiguous and array.flags.writeable
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.uint8
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("data", BOTH)
def test_pixels_stand_where_the_format_says(data, tmp_path):
    """Breaks if rows and columns, colours, or the two labels are swapped: all is set by hand."""
    directory = write(tmp_path / "b", data)
    before = {"cifar10": b"\x07", "cifar100": b"\x05\x07"}[data]  # coarse, then fine
    pixels = bytearray(3072)
    pixels[2 * 32 + 5] = 11  # red of row 2, column 5
    pixels[1024 + 31 * 32] = 22  # green of row 31, column 0
    pixels[2048 + 31] = 33  # blue of row 0, column 31
    (directory / (NAMES[data][-1] + ".bin")).write_bytes((before + bytes(pixels)) * N)
    dataset = load(directory, data)
    image = dataset.test_images[N - 1]
    assert image[2, 5].tolist() == [11, 0, 0]
    assert image[31, 0].tolist() == [0, 22, 0]
    assert image[0, 31].tolist() == [0, 0, 33]
    assert int(image.sum()) == 66
    assert dataset.test_labels[N - 1] == 7


# --- The table


def test_the_table_describes_the_official_files(monkeypatch):
    """Breaks if a size, a checksum's form, or the number or order of the classes is wrong."""
    monkeypatch.undo()
    for data, cifar in sets.SETS.items():
        assert (cifar.train_images, cifar.test_images) == (50_000, 10_000)
        assert len(set(cifar.classes)) == DATASETS[data]
        assert list(cifar.classes) == sorted(cifar.classes)
        assert cifar.url == "https://www.cs.toronto.edu/~kriz/" + cifar.binary.archive
        for form in (cifar.binary, cifar.pickled):
            for checksum in (form.archive_checksum, *form.files.values()):
                assert re.fullmatch("md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}", checksum)
    # The numbers of classes that are easily checked by eye on the data sets' page.
    assert [sets.SETS["cifar10"].classes[label] for label in (0, 9)] == ["airplane", "truck"]
    fine = sets.SETS["cifar100"].classes
    assert [fine[label] for label in (0, 1, 50, 99)] == ["apple", "aquarium_fish", "mouse", "worm"]


@pytest.mark.parametrize("data, size", [("cifar10", 30_730_000), ("cifar100", 153_700_000)])
def test_files_have_the_official_sizes(data, size, monkeypatch, tmp_path):
    """Breaks if another size than the official one is expected."""
    monkeypatch.undo()
    assert f"expected {size}" in refusal(write(tmp_path / "b", data), data=data)


# --- Files that are not official

ROWS, LABELS = batches()["test_batch"]
SOUND = binary(ROWS, LABELS)
BAD_BINARY = {
    "empty": (b"", "0 bytes, expected 61460"),
    "truncated": (SOUND[:-1], "61459 bytes, expected 61460"),
    "an image short": (SOUND[:-3073], "58387 bytes, expected 61460"),
    "a byte more": (SOUND + b"x", "61461 bytes, expected at most 61460"),
    "an image more": (SOUND + bytes(3073), "64533 bytes, expected at most 61460"),
    "label 10": (b"\x0a" + SOUND[1:], "label 10, expected 0 to 9"),
}


@pytest.mark.parametrize("case", list(BAD_BINARY))
def test_bad_binary_files_are_refused(case, tmp_path):
    """Breaks if size or labels are not checked, or the message does not say which file it is."""
    content, reason = BAD_BINARY[case]
    directory = write(tmp_path / "b")
    (directory / "data_batch_2.bin").write_bytes(content)
    assert reason in refusal(directory, directory / "data_batch_2.bin")


def test_only_the_fine_label_is_checked(tmp_path):
    """Breaks if CIFAR-100's classes are those of CIFAR-10, or the coarse label is taken for one."""
    directory = write(tmp_path / "b", "cifar100")
    rows, _ = batches("cifar100")["test"]
    for pair, sound in ((b"\xff\x63", True), (b"\x00\x64", False)):
        (directory / "test.bin").write_bytes(b"".join(pair + row.tobytes() for row in rows))
        if sound:
            assert load(directory, "cifar100").test_labels.tolist() == [99] * N
        else:
            assert "label 100, expected 0 to 99" in refusal(directory, data="cifar100")


@pytest.mark.parametrize("data", BOTH)
def test_unofficial_files_are_read_with_a_warning(data, tmp_path, capsys):
    """Breaks if results on other files could pass for results on the official ones."""
    directory = write(tmp_path / "b", data, seed=5)
    dataset = load(directory, data)
    assert_holds(dataset, data, seed=5)
    assert dataset.name == sets.SETS[data].name + " format, files not official"
    output, warning = capsys.readouterr()
    assert output == ""
    assert warning.count("\n") == 1 and warning.endswith("\n")
    assert str(directory) in warning and UNOFFICIAL in warning


@pytest.mark.parametrize("data", BOTH)
def test_official_files_bear_the_name(data, monkeypatch, tmp_path, capsys):
    """Breaks if checksums are compared wrongly, or a single foreign file goes unnoticed."""
    name = sets.SETS[data].name
    make_official(monkeypatch, data, "binary", contents(data, "binary"))
    directory = write(tmp_path / "b", data)
    assert load(directory, data).name == name
    assert load(write(tmp_path / "p", data, "pickled"), data).name == name
    for form in FORMS:
        archive = write_archive(tmp_path / form, data, form, monkeypatch)
        assert load(archive, data).name == name
    assert capsys.readouterr() == ("", "")

    last = NAMES[data][-1]
    foreign = binary(*batches(data, 5)[last], data=data)
    (directory / (last + ".bin")).write_bytes(foreign)
    assert UNOFFICIAL in load(directory, data).name
    assert UNOFFICIAL in capsys.readouterr().err


def test_jpeg_images_are_recognised(monkeypatch, tmp_path, capsys):
    """Breaks if they are taken for unknown files."""
    directory = write(tmp_path / "b")
    digest = hashlib.sha256()
    for names in (NAMES["cifar10"][:-1], ["test_batch"]):
        digest.update(expected_images(names).tobytes())
        digest.update(bytes(label for name in names for label in batches()[name][1]))
    cifar = sets.SETS["cifar10"]
    assert list(cifar.known.values()) == ["CIFAR-10, JPEG re-encoded"]
    known = {digest.hexdigest(): "CIFAR-10, JPEG re-encoded"}
    monkeypatch.setitem(sets.SETS, "cifar10", cifar._replace(known=known))
    assert load(directory).name == "CIFAR-10, JPEG re-encoded"
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and "CIFAR-10, JPEG re-encoded" in warning


def test_pickles_that_are_not_official_are_not_opened(monkeypatch, tmp_path):
    """Breaks if a pickle runs code; the plain unpickler shows that this one would."""
    directory = write(tmp_path / "b", form_name="pickled")
    mark = tmp_path / "was here"
    raw = pickle.dumps(Call(os.mkdir, str(mark)), protocol=2)
    pickle.loads(raw)
    assert mark.exists()
    mark.rmdir()
    (directory / "data_batch_3").write_bytes(raw)
    assert "not the official file" in refusal(directory, directory / "data_batch_3")
    assert not mark.exists()
    # Not even a sound one with other images, nor one that is official under another name.
    for content in (contents("cifar10", "pickled", 1)["data_batch_3"], None):
        sound = content or contents("cifar10", "pickled")["data_batch_2"]
        (directory / "data_batch_3").write_bytes(sound)
        text = refusal(directory, directory / "data_batch_3")
        assert sets.SETS["cifar10"].pickled.files["data_batch_3"] in text
        assert "binary form" in text


@pytest.mark.parametrize("form", FORMS)
def test_archives_that_are_not_official_are_not_opened(form, monkeypatch, tmp_path):
    """Breaks if a made-up archive reaches tarfile, or the line does not say how to go on."""

    def opened(*arguments, **named):
        raise AssertionError("tarfile was called")

    place = write_archive(tmp_path / "a.tar.gz", form_name=form)
    monkeypatch.setattr(tarfile, "open", opened)
    text = refusal(place)
    assert "not an official archive" in text and "binary form" in text
    whole = place.read_bytes()
    for content in (b"", b"not gzip at all", whole[:100], whole[:-1], whole + b"tail"):
        place.write_bytes(content)
        assert "not an official archive" in refusal(place)


def test_the_bytes_that_are_hashed_are_the_bytes_that_are_read(monkeypatch, tmp_path):
    """Breaks if a file is opened again after its checksum: another may be there by then."""
    directory = write(tmp_path / "b", form_name="pickled")
    archive = write_archive(tmp_path / "a.tar.gz", patch=monkeypatch)
    opened = []

    def watch(path, *arguments, **named):
        opened.append(str(path))
        return open(path, *arguments, **named)

    monkeypatch.setattr("unfair_bp.data.cifar.reading.open", watch, raising=False)
    load(directory)
    load(archive)
    assert sorted(opened) == sorted([*(str(directory / n) for n in NAMES["cifar10"]), str(archive)])


# --- Places


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("data", BOTH)
def test_missing_file_is_named(data, form, tmp_path):
    """Breaks if an incomplete set is read, or the message leaves the user to search."""
    directory = write(tmp_path / "b", data, form)
    victim = directory / next(iter(contents(data, form)))
    victim.unlink()
    assert f"incomplete: {victim.name} is missing" in refusal(directory, data=data)


def remove_some(directory, keep=2):
    """Leave only the first files of a data set."""
    for name in sorted(os.listdir(str(directory)))[:-keep]:
        (directory / name).unlink()


PARTS = {
    "pickles beside an archive": lambda p, patch: (
        remove_some(write(p / "cifar-10-batches-py", form_name="pickled")),
        write_archive(p / "cifar-10-binary.tar.gz", patch=patch),
    ),
    "binary files beside pickles": lambda p, patch: (
        remove_some(write(p / "cifar-10-batches-bin")),
        write(p / "cifar-10-batches-py", form_name="pickled"),
    ),
    "loose files beside a directory": lambda p, patch: (
        (p / "data_batch_1.bin").write_bytes(SOUND),
        write(p / "cifar-10-batches-bin"),
    ),
    "half an archive beside a directory": lambda p, patch: (
        (p / "cifar-10-binary.tar.gz").write_bytes(b"half"),
        write(p / "cifar-10-batches-py", form_name="pickled"),
    ),
    "half an archive beside another": lambda p, patch: (
        (p / "cifar-10-binary.tar.gz").write_bytes(b"half"),
        write_archive(p / "cifar-10-python.tar.gz", form_name="pickled", patch=patch),
    ),
    "a cut file beside an archive": lambda p, patch: (
        (write(p / "cifar-10-batches-bin") / "test_batch.bin").write_bytes(b"cut"),
        write_archive(p / "cifar-10-binary.tar.gz", patch=patch),
    ),
}


@pytest.mark.parametrize("parts", list(PARTS))
def test_a_part_does_not_hide_the_whole(parts, monkeypatch, tmp_path):
    """Breaks if half-extracted or half-downloaded data hides whole data beside it."""
    place = tmp_path / "p"
    place.mkdir()
    PARTS[parts](place, monkeypatch)
    assert_holds(load(place))


def test_a_part_in_one_cache_does_not_hide_the_whole_in_the_other(tmp_path, capsys):
    """Breaks if the search ends at the first place that has anything, or passes it in silence."""
    part = write(tmp_path / "cache" / "unfair_bp" / "cifar-10-batches-bin")
    (part / "data_batch_4.bin").unlink()
    write(tmp_path / "keras" / "datasets" / "cifar-10-batches-py", form_name="pickled")
    assert_holds(load())
    output, warning = capsys.readouterr()
    assert output == ""
    assert warning.count("\n") == 1 and warning.startswith(f"warning: '{part}' is incomplete")


@contextlib.contextmanager
def without_privileges():
    """Root may read everything: be nobody instead."""
    if not hasattr(os, "geteuid"):
        pytest.skip("no permissions here")
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


@pytest.mark.parametrize("locked", ["directory", "parent", "file", "archive"])
def test_unreadable_places_are_refused(locked):
    """Breaks if a missing permission ends in a traceback, or passes for an empty directory."""
    # Not in tmp_path, whose parents are closed to everyone but the user already.
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        directory = write(root / "p" / "cifar-10-batches-bin")
        place, victim = {
            "directory": (directory.parent, directory),
            "parent": (directory, directory.parent),
            "file": (directory, directory / "data_batch_1.bin"),
            "archive": (write_archive(root / "a.tar.gz"), root / "a.tar.gz"),
        }[locked]
        victim.chmod(0)
        try:
            with without_privileges():
                assert "Permission denied" in refusal(place)
        finally:
            victim.chmod(0o755)


def test_given_places_must_hold_the_data(monkeypatch, tmp_path):
    """Breaks if the caches are read, or a download starts, after the user has named a place."""
    write(tmp_path / "cache" / "unfair_bp" / "cifar-10-batches-bin")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "cifar-10-batches-bin").mkdir()
    assert "does not hold CIFAR-10" in refusal(empty)
    assert "No such file" in refusal(tmp_path / "nowhere")
    assert "'':" in refusal("")
    for place in (empty, tmp_path / "nowhere"):
        monkeypatch.setenv("UNFAIR_BP_DATA", str(place))
        with pytest.raises(UsageError, match=f"UNFAIR_BP_DATA.*{place}"):
            load()
    monkeypatch.setenv("UNFAIR_BP_DATA", "")
    assert_holds(load())


def test_one_data_set_is_not_taken_for_the_other(monkeypatch, tmp_path):
    """Breaks if CIFAR-10's files are read as CIFAR-100, or the other way round."""
    for data, other in (BOTH, BOTH[::-1]):
        place = write(tmp_path / data, data)
        assert "does not hold " + sets.SETS[other].name in refusal(place, data=other)
        archive = write_archive(tmp_path / (data + ".tar.gz"), data, patch=monkeypatch)
        assert "not an official archive of " in refusal(archive, data=other)


@pytest.mark.parametrize("data", BOTH)
def test_places_are_searched_in_order(data, monkeypatch, tmp_path):
    """Breaks if the order changes; the places are filled from the last to the first."""
    name = directory_of(data, "binary")
    write(tmp_path / "keras" / "datasets" / name, data, seed=1)
    assert_holds(load(data=data), data, seed=1)
    write(tmp_path / "cache" / "unfair_bp" / name, data, seed=2)
    assert_holds(load(data=data), data, seed=2)
    monkeypatch.setenv("UNFAIR_BP_DATA", str(write(tmp_path / "env", data, seed=3)))
    assert_holds(load(data=data), data, seed=3)
    assert_holds(load(write(tmp_path / "option", data, seed=4), data), data, seed=4)


def test_home_holds_the_caches_by_default(monkeypatch, tmp_path):
    """Breaks if the default caches move, or a tilde in the option is not expanded."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".keras" / "datasets" / "cifar-10-batches-bin", seed=1)
    assert_holds(load(), seed=1)
    write(tmp_path / ".cache" / "unfair_bp" / "cifar-10-batches-bin", seed=2)
    assert_holds(load(), seed=2)
    write(tmp_path / "mine", seed=3)
    assert_holds(load(os.path.join("~", "mine")), seed=3)


# --- The command


def test_the_command_trains_on_cifar100(tmp_path, capfd):
    """Breaks if the network, the metrics or the record have ten classes, whatever the data."""
    place = write(tmp_path / "b", "cifar100", "pickled")
    words = ["--data", "cifar100", "--data-dir", place, "--epochs", "1"]
    run = tmp_path / "run"
    assert commands.here(train.main, *commands.SMALL, *words, "--run-dir", run) == 0
    output, errors = capfd.readouterr()
    assert "images of CIFAR-100" in output and errors == ""
    assert commands.weights(run)[-1].shape[-1] == 100
    assert commands.here(evaluate.main, run, "--data-dir", place) == 0


# --- The download


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A server with the binary archive of each data set, and the list of what it is asked for."""
    asked = []
    archives = {
        "/" + sets.SETS[data].binary.archive: write_archive(
            tmp_path / ("www " + data), data, patch=monkeypatch
        ).read_bytes()
        for data in BOTH
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(archives[self.path])

        def log_message(self, format, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        monkeypatch.setattr(sets, "SITE", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("data", BOTH)
def test_nothing_anywhere_downloads_into_the_cache(data, site, tmp_path):
    """Breaks if the download does not reach the cache, or the cache is not read the next time."""
    for _ in range(2):
        assert_holds(load(data=data), data)
    archive = sets.SETS[data].binary.archive
    assert site == ["/" + archive]
    assert os.listdir(str(tmp_path / "cache" / "unfair_bp")) == [archive]


def test_a_part_in_the_cache_does_not_hinder_the_download(site, tmp_path, capsys):
    """Breaks if half-extracted data must be deleted by hand, or is touched."""
    part = write(tmp_path / "cache" / "unfair_bp" / "cifar-10-batches-bin")
    (part / "data_batch_4.bin").unlink()
    before = sorted(part.iterdir())
    assert_holds(load())
    assert sorted(part.iterdir()) == before
    assert len(site) == 1
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and "data_batch_4.bin is missing" in warning


@pytest.mark.parametrize("kind", ["half", "link"])
def test_what_is_in_the_place_of_the_download_is_left_alone(kind, site, tmp_path):
    """Breaks if a damaged archive, or a link to a disk that is away, is overwritten unasked."""
    place = tmp_path / "cache" / "unfair_bp" / "cifar-10-binary.tar.gz"
    place.parent.mkdir(parents=True)
    if kind == "half":
        place.write_bytes(b"half")
    else:
        place.symlink_to(tmp_path / "away")
    reason = {"half": "not an official archive", "link": "No such file"}[kind]
    text = refusal(None, place)
    assert reason in text and "delete it to have it downloaded again" in text
    assert site == []
    assert place.is_symlink() or place.read_bytes() == b"half"


def test_failed_download_is_one_line(tmp_path):
    """Breaks if a machine without network gets a traceback instead of what to do."""
    text = refusal(None, tmp_path / "cache")
    assert sets.SETS["cifar10"].url in text and "refused" in text
