"""Reading CIFAR-10: both formats, every container, every way in which files can be bad."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import pathlib
import pickle
import tarfile
import tempfile
import threading
import tracemalloc

import numpy as np
import pytest
from cifar10_files import (
    NAMES,
    TRAIN,
    Call,
    N,
    batches,
    binary,
    member_archive,
    python2,
    python3,
    refusal,
    small_and_alone,  # noqa: F401 - for every test
    write_archive,
    write_binary,
    write_pickled,
)

from unfair_bp.data.cifar import archive, cifar10, pickled
from unfair_bp.errors import UsageError


def expected_images(names, seed=0):
    """Images [., y, x, c] picked value by value from the rows, where they are [c, y, x]."""
    y, x, c = np.meshgrid(np.arange(32), np.arange(32), np.arange(3), indexing="ij")
    return np.concatenate([batches(seed)[name][0][:, 1024 * c + 32 * y + x] for name in names])


def assert_holds(dataset, seed=0):
    np.testing.assert_array_equal(dataset.train_images, expected_images(TRAIN, seed))
    np.testing.assert_array_equal(dataset.test_images, expected_images(["test_batch"], seed))
    labels = [label for name in TRAIN for label in batches(seed)[name][1]]
    assert dataset.train_labels.tolist() == labels
    assert dataset.test_labels.tolist() == batches(seed)["test_batch"][1]


# Where the data may stand: each of these writes it below a directory and says what to give.
CONTAINERS = {
    "binary directory": lambda tmp: write_binary(tmp / "b"),
    "its parent": lambda tmp: write_binary(tmp / "p" / "cifar-10-batches-bin").parent,
    "pickled directory": lambda tmp: write_pickled(tmp / "b"),
    "its parent, pickled": lambda tmp: write_pickled(tmp / "p" / "cifar-10-batches-py").parent,
    "new Keras": lambda tmp: (
        write_pickled(
            tmp / "p" / "cifar-10-batches-py-target" / "cifar-10-batches-py"
        ).parent.parent
    ),
    "binary archive": lambda tmp: write_archive(tmp / "any name", write_binary(tmp / "b")),
    "pickled archive": lambda tmp: write_archive(tmp / "any name", write_pickled(tmp / "b")),
    "with the binary archive": lambda tmp: (
        write_archive(tmp / "p" / "cifar-10-binary.tar.gz", write_binary(tmp / "b")).parent
    ),
    "with the pickled archive": lambda tmp: (
        write_archive(tmp / "p" / "cifar-10-python.tar.gz", write_pickled(tmp / "b")).parent
    ),
    "with Keras' archive": lambda tmp: (
        write_archive(tmp / "p" / "cifar-10-batches-py.tar.gz", write_pickled(tmp / "b")).parent
    ),
}


@pytest.mark.parametrize("container", list(CONTAINERS))
def test_every_container_gives_the_same_arrays(container, tmp_path):
    """Breaks if a container is not found, or batches, channels or labels come out of order."""
    dataset = cifar10.load(str(CONTAINERS[container](tmp_path)))
    assert_holds(dataset)
    for array in (dataset.train_images, dataset.test_images):
        assert array.dtype == np.uint8 and array.flags.c_contiguous and array.flags.writeable
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.uint8
    assert dataset.classes[0] == "airplane" and dataset.classes[9] == "truck"


def test_pixels_stand_where_the_format_says(tmp_path):
    """Breaks if rows and columns, or colours, are swapped: three pixels are set by hand."""
    directory = write_binary(tmp_path / "b")
    row = bytearray(3073)
    row[0] = 7  # the label
    row[1 + 2 * 32 + 5] = 11  # red of row 2, column 5
    row[1 + 1024 + 31 * 32] = 22  # green of row 31, column 0
    row[1 + 2048 + 31] = 33  # blue of row 0, column 31
    (directory / "test_batch.bin").write_bytes(bytes(row) * N)
    dataset = cifar10.load(str(directory))
    image = dataset.test_images[N - 1]
    assert image[2, 5].tolist() == [11, 0, 0]
    assert image[31, 0].tolist() == [0, 22, 0]
    assert image[0, 31].tolist() == [0, 0, 33]
    assert int(image.sum()) == 66
    assert dataset.test_labels[N - 1] == 7


@pytest.mark.parametrize(
    "write",
    [
        python2,
        functools.partial(python2, fortran=True),
        functools.partial(python3, protocol=2),
        functools.partial(python3, protocol=3),
        functools.partial(python3, protocol=4),
        functools.partial(python3, key=str),
    ],
    ids=["python2", "fortran", "protocol2", "protocol3", "protocol4", "str keys"],
)
def test_pickles_of_every_writer_are_read(write):
    """Breaks if an operation or name is no longer admitted that a version of pickle needs."""
    rows, labels = batches()["data_batch_1"]
    raw = write(rows, labels)
    record = pickle.loads(raw, encoding="bytes")  # the oracle: what was written is a real pickle
    oracle = next(value for value in record.values() if isinstance(value, np.ndarray))
    decoded_rows, decoded_labels = pickled.decode(raw)
    np.testing.assert_array_equal(decoded_rows, oracle)
    np.testing.assert_array_equal(decoded_rows, rows)
    assert decoded_labels.tolist() == labels


def test_pickle_cannot_run_code(tmp_path):
    """Breaks if a pickle may call anything real; the plain unpickler shows that this one would."""
    directory = write_pickled(tmp_path / "b")
    mark = tmp_path / "was here"
    raw = pickle.dumps(Call(os.mkdir, str(mark)), protocol=2)
    pickle.loads(raw)
    assert mark.exists()
    mark.rmdir()
    (directory / "data_batch_3").write_bytes(raw)
    assert ".mkdir" in refusal(directory, directory / "data_batch_3")
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins eval", "numpy load", "numpy.core.multiarray scalar", "_codecs decode", "numpy core"],
)
def test_other_names_are_refused(name):
    """Breaks if the list of names is matched by module or by prefix rather than exactly."""
    raw = ("c%s\n%s\n." % tuple(name.split())).encode()
    with pytest.raises(ValueError, match=name.replace(" ", r"\.")):
        pickled.decode(raw)


def test_pickles_leave_nothing_behind():
    """Breaks if two pickles share a stand-in: the first sets an attribute of its own choice."""
    state = pickle.dumps((None, {"kind": "encode"}), protocol=2)[2:-1]
    with pytest.raises(ValueError, match="not a pickled"):
        pickled.decode(b"\x80\x02cnumpy\ndtype\n" + state + b"b.")
    rows, labels = batches()["data_batch_1"]
    assert pickled.decode(python2(rows, labels))[1].tolist() == labels


def nested_key():
    """A dictionary with a key so deep that to hash it would overflow the C stack."""
    return b"\x80\x02})" + b"\x85" * 5_000_000 + b"Ns."


@pytest.mark.parametrize(
    "raw",
    [
        nested_key(),
        b"\x80\x02cnumpy\nndarray\n)\x81.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02Nq\x000.",
    ],
    ids=["deep key", "new object", "extension registry", "pop"],
)
def test_operations_that_no_batch_needs_are_refused_beforehand(raw):
    """Breaks if more is executed than a batch needs, or without end."""
    with pytest.raises(ValueError, match=r"operation|far more"):
        pickled.decode(raw)


ROWS, LABELS = batches()["test_batch"]


@pytest.mark.parametrize(
    "record, reason",
    [
        ({b"data": ROWS.astype(np.uint16), b"labels": LABELS}, "another type than uint8"),
        ({b"data": ROWS.astype(object), b"labels": LABELS}, "not a pickled"),
        ({b"data": ROWS[:, :3071], b"labels": LABELS}, "another shape"),
        ({b"data": ROWS.reshape(-1, 3, 32, 32), b"labels": LABELS}, "another shape"),
        ({b"data": ROWS[:-1], b"labels": LABELS}, "hold 19 images and 20 labels"),
        ({b"data": ROWS, b"labels": LABELS[:-1]}, "hold 20 images and 19 labels"),
        ({b"data": ROWS, b"labels": [*LABELS[:-1], 10]}, "label 10, expected 0 to 9"),
        ({b"data": ROWS, b"labels": [*LABELS[:-1], -1]}, "small integers"),
        ({b"data": ROWS, b"labels": [*LABELS[:-1], 2**40]}, "small integers"),
        ({b"data": ROWS, b"labels": [*LABELS[:-1], True]}, "small integers"),
        ({b"data": ROWS, b"labels": None}, "small integers"),
        ({b"data": ROWS.tobytes(), b"labels": LABELS}, "no array"),
        ({b"data": ROWS, b"fine_labels": LABELS}, "no entry 'labels'"),
        ({b"labels": LABELS}, "no entry 'data'"),
        ([ROWS, LABELS], "no dictionary"),
    ],
)
def test_foreign_pickles_are_refused(record, reason, tmp_path):
    """Breaks if a check of type, shape, size or range is dropped."""
    directory = write_pickled(tmp_path / "b")
    (directory / "test_batch").write_bytes(pickle.dumps(record, protocol=2))
    assert reason in refusal(directory, directory / "test_batch")


def test_array_state_is_checked_against_its_bytes():
    """Breaks if the shape is believed: here it promises more rows than there are bytes."""
    rows, labels = batches()["data_batch_1"]
    raw = python2(rows, labels)
    promise = raw.replace(b"(K\x01M\x14\x00M\x00\x0c\x86", b"(K\x01M\xff\xffM\x00\x0c\x86")
    assert promise != raw
    with pytest.raises(ValueError, match="without the 201323520 bytes"):
        pickled.decode(promise)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_damaged_pickles_never_raise_anything_else():
    """Breaks if an exception of the unpickler or of a check gets out as something else."""
    rng = np.random.RandomState(1)
    refused = 0
    for write in (python2, python3):
        raw = write(*batches()["data_batch_1"])
        sound = np.frombuffer(raw, np.uint8)
        # The structure is in the first and last bytes; nearly all between is pixels.
        places = np.r_[0:200, len(raw) - 60 : len(raw)]
        damaged = [raw[:size] for size in rng.randint(0, len(raw), 50)]
        for place in rng.choice(places, 400):
            copy = sound.copy()
            copy[place] = rng.randint(256)
            damaged.append(copy.tobytes())
        for content in damaged:
            try:
                rows, labels = pickled.decode(content)
            except ValueError as error:
                assert str(error).isprintable()
                refused += 1
            else:
                assert rows.dtype == labels.dtype == np.uint8
    assert 300 < refused < 900  # some changes are harmless, such as those of a label


BAD_BINARY = {
    "empty": (b"", "0 bytes, expected 61460"),
    "truncated": (binary(ROWS, LABELS)[:-1], "61459 bytes, expected 61460"),
    "an image short": (binary(ROWS, LABELS)[:-3073], "58387 bytes, expected 61460"),
    "an image more": (binary(ROWS, LABELS) + bytes(3073), "64533 bytes, expected 61460"),
    "label 10": (b"\x0a" + binary(ROWS, LABELS)[1:], "label 10, expected 0 to 9"),
}


@pytest.mark.parametrize("case", list(BAD_BINARY))
@pytest.mark.parametrize("archived", [False, True], ids=["directory", "archive"])
def test_bad_binary_files_are_refused(case, archived, tmp_path):
    """Breaks if size or labels are not checked, or the message does not say which file it is."""
    content, reason = BAD_BINARY[case]
    directory = write_binary(tmp_path / "b")
    (directory / "data_batch_2.bin").write_bytes(content)
    place = write_archive(tmp_path / "a.tar.gz", directory) if archived else directory
    text = refusal(place)
    assert reason in text and "data_batch_2.bin" in text


def test_batches_have_ten_thousand_images(monkeypatch, tmp_path):
    """Breaks if the size of a batch is not that of the official files."""
    monkeypatch.undo()
    assert "expected 30730000" in refusal(write_binary(tmp_path / "b"))


def test_too_large_files_are_not_read_whole(monkeypatch, tmp_path):
    """Breaks if a file is read into memory whatever its size, or passes after all."""
    directory = write_pickled(tmp_path / "b")
    (directory / "data_batch_1").write_bytes(bytes(30_000_000))
    monkeypatch.setattr(cifar10, "_MAX_FILE", 100_000)
    for place in (directory, write_archive(tmp_path / "a.tar.gz", directory)):
        tracemalloc.start()
        try:
            assert "more than 100000 bytes" in refusal(place)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("archived", [False, True], ids=["directory", "archive"])
@pytest.mark.parametrize("write", [write_binary, write_pickled])
def test_missing_file_is_named(write, archived, tmp_path):
    """Breaks if an incomplete set is read, or the message leaves the user to search."""
    directory = write(tmp_path / "b")
    victim = sorted(directory.glob("data_batch_4*"))[0]
    victim.unlink()
    place = write_archive(tmp_path / "a.tar.gz", directory) if archived else directory
    assert "%s is missing" % victim.name in refusal(place)


def test_truncated_or_foreign_archives_are_refused(tmp_path):
    """Breaks if an error of gzip, zlib or tarfile gets out, or a cut archive is believed."""
    whole = write_archive(tmp_path / "whole", write_binary(tmp_path / "b")).read_bytes()
    place = tmp_path / "a.tar.gz"
    cuts = [whole[:size] for size in (1, 9, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1)]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    # The tar ends long before the gzip does, whose checksum then is cut.
    padded = gzip.compress(gzip.decompress(whole) + bytes(4 << 20))[:-4]
    for content in (b"", *cuts, padded, bytes(flipped), b"not gzip at all", whole + b"tail"):
        place.write_bytes(content)
        assert "truncated or not a tar.gz" in refusal(place)


def test_strange_archives_are_refused(monkeypatch, tmp_path):
    """Breaks if links are followed, doubles are taken, or an archive may unpack without end."""
    good = binary(ROWS, LABELS)
    name = "x/data_batch_1.bin"
    place = tmp_path / "a.tar.gz"
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        assert "regular file" in refusal(member_archive(place, (name, kind, b"")))
    file = (name, tarfile.REGTYPE, good)
    assert "twice" in refusal(member_archive(place, file, file))
    assert "is missing" in refusal(member_archive(place, ("readme", tarfile.REGTYPE, b"")))
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert "more than 3 members" in refusal(
        member_archive(place, *[("m%d" % i, tarfile.REGTYPE, b"") for i in range(4)])
    )
    monkeypatch.setattr(archive, "MAX_UNPACKED", 100_000)
    bomb = member_archive(place, ("bomb", tarfile.REGTYPE, bytes(200_000)))
    assert "more than 100000 bytes" in refusal(bomb)


def test_hostile_member_names_write_nothing(tmp_path):
    """Breaks if an archive is unpacked to disk."""
    members = [
        ("../../" + name + ".bin", tarfile.REGTYPE, binary(*batches()[name])) for name in NAMES
    ]
    place = member_archive(tmp_path / "deep.tar.gz", *members)
    assert_holds(cifar10.load(str(place)))
    assert os.listdir(str(tmp_path)) == ["deep.tar.gz"]


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
        directory = write_binary(root / "p" / "cifar-10-batches-bin")
        place, victim = {
            "directory": (directory.parent, directory),
            "parent": (directory, directory.parent),
            "file": (directory, directory / "data_batch_1.bin"),
            "archive": (write_archive(root / "a.tar.gz", directory), root / "a.tar.gz"),
        }[locked]
        victim.chmod(0)
        try:
            with without_privileges():
                assert "Permission denied" in refusal(place)
        finally:
            victim.chmod(0o755)


def test_special_files_are_refused(tmp_path):
    """Breaks if a pipe or directory in a file's place is opened: the pipe would wait forever."""
    directory = write_binary(tmp_path / "b")
    victim = directory / "data_batch_1.bin"
    for make in (os.mkfifo, os.mkdir):
        victim.unlink()
        make(str(victim))
        assert "not a regular file" in refusal(directory, victim)
    assert "holds no CIFAR-10" in refusal("/dev/null")


def test_given_places_must_hold_the_data(monkeypatch, tmp_path):
    """Breaks if the caches are read, or a download starts, after the user has named a place."""
    write_binary(tmp_path / "cache" / "unfair_bp" / "cifar-10-batches-bin")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "cifar-10-batches-bin").mkdir()
    assert "holds no CIFAR-10" in refusal(empty)
    assert "No such file" in refusal(tmp_path / "nowhere")
    assert "No such file" in refusal("")
    for place in (empty, tmp_path / "nowhere"):
        monkeypatch.setenv("UNFAIR_BP_DATA", str(place))
        with pytest.raises(UsageError, match="UNFAIR_BP_DATA.*%s" % place):
            cifar10.load()
    monkeypatch.setenv("UNFAIR_BP_DATA", "")
    assert_holds(cifar10.load())


def test_places_are_searched_in_order(monkeypatch, tmp_path):
    """Breaks if the order changes; the places are filled from the last to the first."""
    write_pickled(tmp_path / "keras" / "datasets" / "cifar-10-batches-py", seed=1)
    assert_holds(cifar10.load(), seed=1)
    write_binary(tmp_path / "cache" / "unfair_bp" / "cifar-10-batches-bin", seed=2)
    assert_holds(cifar10.load(), seed=2)
    monkeypatch.setenv("UNFAIR_BP_DATA", str(write_pickled(tmp_path / "env", seed=3)))
    assert_holds(cifar10.load(), seed=3)
    assert_holds(cifar10.load(str(write_binary(tmp_path / "option", seed=4))), seed=4)


def test_home_holds_the_caches_by_default(monkeypatch, tmp_path):
    """Breaks if the default caches move, or a tilde in the option is not expanded."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    write_pickled(tmp_path / ".keras" / "datasets" / "cifar-10-batches-py", seed=1)
    assert_holds(cifar10.load(), seed=1)
    write_binary(tmp_path / ".cache" / "unfair_bp" / "cifar-10-batches-bin", seed=2)
    assert_holds(cifar10.load(), seed=2)
    write_binary(tmp_path / "mine", seed=3)
    assert_holds(cifar10.load(os.path.join("~", "mine")), seed=3)


def make_official(monkeypatch, form, directory, algorithm):
    for name in list(form.checksums):
        digest = hashlib.new(algorithm, (directory / name).read_bytes()).hexdigest()
        monkeypatch.setitem(form.checksums, name, digest)


@pytest.mark.parametrize("which", [0, 1], ids=["binary", "pickled"])
def test_official_files_are_called_cifar10(which, monkeypatch, tmp_path, capsys):
    """Breaks if checksums are compared wrongly, or a single foreign file goes unnoticed."""
    write, algorithm = [(write_binary, "sha1"), (write_pickled, "md5")][which]
    directory = write(tmp_path / "b")
    make_official(monkeypatch, cifar10._FORMATS[which], directory, algorithm)
    for place in (directory, write_archive(tmp_path / "a.tar.gz", directory)):
        assert cifar10.load(str(place)).name == "CIFAR-10"
    assert capsys.readouterr() == ("", "")

    victim = sorted(directory.glob("test_batch*"))[0]
    victim.write_bytes((binary if which == 0 else python2)(*batches(5)["test_batch"]))
    assert cifar10.load(str(directory)).name == "CIFAR-10 format, files not official"
    output, warning = capsys.readouterr()
    assert output == ""
    assert warning.count("\n") == 1 and warning.endswith("\n")
    assert str(directory) in warning and "files not official" in warning


@pytest.mark.parametrize("write", [write_binary, write_pickled])
def test_jpeg_images_are_recognised_in_both_formats(write, monkeypatch, tmp_path, capsys):
    """Breaks if they are taken for unknown files, or what recognises them depends on the format."""
    directory = write(tmp_path / "b")
    digest = hashlib.sha256()
    for names in (TRAIN, ["test_batch"]):
        digest.update(expected_images(names).tobytes())
        digest.update(bytes(label for name in names for label in batches()[name][1]))
    monkeypatch.setattr(cifar10, "JPEG_FINGERPRINT", digest.hexdigest())
    assert cifar10.load(str(directory)).name == "CIFAR-10, JPEG re-encoded"
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and "CIFAR-10, JPEG re-encoded" in warning


def test_nothing_anywhere_downloads_into_the_cache(monkeypatch, tmp_path):
    """Breaks if the download does not reach the cache, or the cache is not read the next time."""
    source = write_archive(
        tmp_path / "www" / "cifar-10-binary.tar.gz", write_binary(tmp_path / "b")
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(source.read_bytes())

        def log_message(self, format, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = "http://127.0.0.1:%d/cifar-10-binary.tar.gz" % server.server_port
    monkeypatch.setattr(cifar10, "URL", url)
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(source.read_bytes()).hexdigest())
    try:
        assert_holds(cifar10.load())
    finally:
        server.shutdown()
        server.server_close()
    assert os.listdir(str(tmp_path / "cache" / "unfair_bp")) == ["cifar-10-binary.tar.gz"]
    assert_holds(cifar10.load())


def test_failed_download_is_one_line(tmp_path):
    """Breaks if a machine without network gets a traceback instead of what to do."""
    with pytest.raises(UsageError) as caught:
        cifar10.load()
    text = str(caught.value)
    assert text.isprintable()
    assert cifar10.URL in text and "--data-dir" in text and str(tmp_path / "cache") in text
