"""Whatever bytes stand in the place of CIFAR-10: valid arrays, or one line of refusal."""

import functools
import gzip
import random

import commands
import fuzz_data
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from unfair_bp.data.cifar import archive, cifar10, pickled
from unfair_bp.errors import UsageError

# The same examples in every run, on a machine of any speed.
SETTINGS = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SOUND = [*fuzz_data.PICKLES, fuzz_data.BINARY]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A directory of each format, with room for one bad file."""
    return fuzz_data.Places(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Batches of two images, and archives to match."""
    monkeypatch.setattr(cifar10, "IMAGES_PER_BATCH", fuzz_data.IMAGES)
    monkeypatch.setattr(archive, "MAX_UNPACKED", fuzz_data.MAX_UNPACKED)


def assert_read_or_refused(places, name, content):
    """Read the place with this content in the file's stead, and look at what comes of it."""
    path = places.root / name
    path.write_bytes(content)
    try:
        what = fuzz_data.outcome(path.parent if path.parent != places.root else path)
    finally:
        places.mend(path)
    assert what in ("read", "refused")
    assert places.listing() == places.files
    return what


@st.composite
def mutations(draw, contents):
    """One of the contents with up to three places changed, and perhaps cut."""
    content = draw(st.sampled_from(contents))
    for _ in range(draw(st.integers(1, 3))):
        # Half of the places within the first bytes, where the structure is.
        near = draw(st.booleans())
        at = draw(st.integers(0, min(200, len(content)) if near else len(content)))
        removed = draw(st.integers(0, 8))
        content = content[:at] + draw(st.binary(max_size=8)) + content[at + removed :]
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


@SETTINGS
@given(
    content=st.binary(max_size=2000),
    name=st.sampled_from(["py/data_batch_1", "bin/test_batch.bin", "archive.tar.gz"]),
)
@example(content=b"", name="py/data_batch_1")
@example(content=b"", name="archive.tar.gz")
@example(content=gzip.compress(b""), name="archive.tar.gz")
def test_random_bytes_are_refused(places, content, name):
    """Breaks if bytes that are no batch raise anything but one line, or are read."""
    assert assert_read_or_refused(places, name, content) == "refused"


@SETTINGS
@given(content=mutations(fuzz_data.PICKLES))
def test_changed_pickles_are_read_or_refused(places, content):
    """Breaks if an error of the machine or of a check gets out."""
    assert_read_or_refused(places, "py/data_batch_1", content)


@SETTINGS
@given(content=mutations([fuzz_data.BINARY]))
def test_changed_binary_files_are_read_only_at_their_size(places, content):
    """Breaks if another size is read, or a label beyond 9."""
    what = assert_read_or_refused(places, "bin/test_batch.bin", content)
    labels = content[:: len(fuzz_data.BINARY) // fuzz_data.IMAGES]
    valid = len(content) == len(fuzz_data.BINARY) and max(labels) < 10
    assert what == ("read" if valid else "refused")


@SETTINGS
@given(content=mutations([*fuzz_data.TARS, *fuzz_data.PICKLE_TARS]), level=st.integers(0, 9))
def test_changed_tars_are_read_or_refused(places, content, level):
    """Breaks if a header that was made up raises something of its own."""
    assert_read_or_refused(places, "archive.tar.gz", gzip.compress(content, level))


@functools.lru_cache(maxsize=None)
def packed():
    """A sound archive of each layout."""
    return [gzip.compress(raw) for raw in (*fuzz_data.TARS, *fuzz_data.PICKLE_TARS)]


@SETTINGS
@given(data=st.data())
def test_changed_archives_are_read_or_refused(places, data):
    """Breaks if an error of zlib gets out."""
    assert_read_or_refused(places, "archive.tar.gz", data.draw(mutations(packed())))


@SETTINGS
@given(number=st.integers(0, 2**32))
def test_hostile_pickles_are_read_or_refused(places, number):
    """Breaks if a pickle that the fuzzer makes runs code or raises something of its own."""
    with fuzz_data.CodeRun.watched():
        raw = fuzz_data.fuzzed_pickle(random.Random(number))
        assert_read_or_refused(places, "py/data_batch_1", raw)
    assert fuzz_data.CodeRun.count() == 0


@SETTINGS
@given(
    images=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    write=st.sampled_from([fuzz_data.python2, fuzz_data.python3]),
)
def test_every_pickle_reads_back_as_written(images, seed, write):
    """Breaks if any value of a pixel or a label comes back as another."""
    dice = np.random.RandomState(seed)
    rows = dice.randint(0, 256, (images, 3072)).astype(np.uint8)
    labels = dice.randint(0, 10, images).tolist()
    read_rows, read_labels = pickled.decode(write(rows, labels))
    np.testing.assert_array_equal(read_rows, rows)
    assert read_labels.tolist() == labels


@pytest.mark.parametrize("content", SOUND, ids=[str(number) for number in range(len(SOUND))])
def test_the_unchanged_files_are_read(places, content):
    """Breaks if everything is refused: then the properties above say nothing."""
    name = "bin/test_batch.bin" if content is fuzz_data.BINARY else "py/data_batch_1"
    assert assert_read_or_refused(places, name, content) == "read"


def test_the_unchanged_archives_are_read(places):
    """Breaks if a layout of tar is not read at all."""
    for content in packed():
        assert assert_read_or_refused(places, "archive.tar.gz", content) == "read"


def test_outcomes_other_than_usage_errors_are_seen(places, monkeypatch):
    """Breaks if the fuzzer calls everything sound."""
    for error, expected in ((KeyError("x"), "crash"), (fuzz_data.Hang(), "hang")):

        def fail(raw, error=error):
            raise error

        monkeypatch.setattr(
            cifar10, "_FORMATS", tuple(form._replace(decode=fail) for form in cifar10._FORMATS)
        )
        assert fuzz_data.outcome(places.root / "py").startswith(expected)
    monkeypatch.setattr(cifar10, "load", lambda place: (_ for _ in ()).throw(UsageError("no")))
    assert fuzz_data.outcome(places.root / "py").startswith("crash: bad line")


def test_the_sentinel_notices_code():
    """Breaks if code that a pickle runs is not counted."""
    fuzz_data.CodeRun.check()


@pytest.mark.slow
def test_thousands_of_fuzzed_files(tmp_path):
    """Breaks if any of 3,000 files crashes the reader, hangs it, or runs code."""

    status, output, errors = commands.run(
        [commands.ROOT / "tests" / "fuzz_data.py", "--files", 3000, "--seed", 1], tmp_path
    )
    assert (status, errors) == (0, "")
    assert output.startswith("3000 files: ") and " 0 crashes, 0 hangs, 0 code run;" in output
