"""Whatever bytes stand in the place of CIFAR's files: valid arrays, or one line of refusal."""

import pickle
import tarfile
from unittest import mock

import cifar_files
import numpy as np
import pytest
from cifar_files import N, binary, contents, load, python2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from unfair_bp.data.cifar import sets
from unfair_bp.errors import UsageError

# The same examples in every run, on a machine of any speed.
SETTINGS = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Small files, of which the pickled ones are official."""
    with pytest.MonkeyPatch.context() as patch:
        cifar_files.be_small(patch)
        yield patch


class Place:
    """Data of one form, with room for one bad file."""

    def __init__(self, given, path):
        self.given = given
        self.path = path
        self.sound = path.read_bytes()
        self.files = self.listing()

    def listing(self):
        return sorted(str(path) for path in self.path.parent.rglob("*"))

    def outcome(self, data, content):
        """ "read" or "refused": anything else is raised."""
        self.path.write_bytes(content)
        try:
            dataset = load(self.given, data)
        except UsageError as error:
            text = str(error)
            assert text.isprintable() and str(self.path) in text and "--data-dir" in text
            assert len(text) < 1000
            return "refused"
        finally:
            self.path.write_bytes(self.sound)
            assert self.listing() == self.files
        assert dataset.train_images.dtype == np.uint8
        assert dataset.test_images.shape == (N, 32, 32, 3)
        return "read"


@pytest.fixture(scope="module")
def places(tmp_path_factory, small):
    """A place for each data set and each kind of file."""
    made = {}
    for data, names in cifar_files.NAMES.items():
        for form, suffix in (("binary", ".bin"), ("pickled", "")):
            root = tmp_path_factory.mktemp(data)
            directory = cifar_files.write(root / "b", data, form)
            made[data, form] = Place(directory, directory / (names[-1] + suffix))
            archive = cifar_files.write_archive(root / "a.tar.gz", data, form, small)
            made[data, form + " archive"] = Place(archive, archive)
    return made


KINDS = ("binary", "pickled", "binary archive", "pickled archive")
CHOSEN = st.tuples(st.sampled_from(cifar_files.BOTH), st.sampled_from(KINDS))


@st.composite
def changes(draw):
    """A function that changes up to three places of some bytes, and perhaps cuts them."""
    edits = draw(
        st.lists(
            st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8)),
            min_size=1,
            max_size=3,
        )
    )
    cut = draw(st.one_of(st.none(), st.floats(0, 1)))

    def change(content):
        for where, inserted, removed in edits:
            at = int(where * len(content))
            content = content[:at] + inserted + content[at + removed :]
        return content if cut is None else content[: int(cut * len(content))]

    return change


@SETTINGS
@given(chosen=CHOSEN, content=st.binary(max_size=2000))
@example(chosen=("cifar10", "pickled"), content=b"")
@example(chosen=("cifar10", "binary archive"), content=b"")
def test_random_bytes_are_refused(places, chosen, content):
    """Breaks if bytes that are not a file of CIFAR raise anything but one line, or are read."""
    assert places[chosen].outcome(chosen[0], content) == "refused"


@SETTINGS
@given(chosen=CHOSEN, change=changes())
def test_changed_files_are_read_only_in_the_binary_form(places, chosen, change):
    """Breaks if a change reaches pickle or tarfile, or a binary file is read at another size."""
    data, kind = chosen
    place = places[chosen]
    content = change(place.sound)
    changed = content != place.sound
    loads = pickle.loads

    def only_official(raw, **named):
        assert raw != content, "pickle was called"
        return loads(raw, **named)

    not_called = AssertionError("tarfile was called")
    with mock.patch.object(pickle, "loads", only_official), mock.patch.object(
        tarfile, "open", side_effect=not_called
    ):
        if kind == "binary":
            cifar = sets.SETS[data]
            row = cifar.label_bytes + 3072
            labels = content[cifar.label_bytes - 1 :: row]
            valid = len(content) == N * row and max(labels) < len(cifar.classes)
            assert place.outcome(data, content) == ("read" if valid else "refused")
        elif changed:
            assert place.outcome(data, content) == "refused"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", cifar_files.BOTH)
def test_the_unchanged_files_are_read(places, data, kind):
    """Breaks if everything is refused: then the properties above say nothing."""
    assert places[data, kind].outcome(data, places[data, kind].sound) == "read"


@settings(SETTINGS, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), data=st.sampled_from(cifar_files.BOTH))
def test_every_value_reads_back_as_written(tmp_path_factory, seed, data):
    """Breaks if any value of a pixel or a label comes back as another, in either form."""
    dice = np.random.RandomState(seed)
    rows = dice.randint(0, 256, (N, 3072)).astype(np.uint8)
    labels = dice.randint(0, len(sets.SETS[data].classes), N).tolist()
    last = cifar_files.NAMES[data][-1]
    root = tmp_path_factory.mktemp("written")
    read = []
    with pytest.MonkeyPatch.context() as patch:
        for form, name, write in (("binary", last + ".bin", binary), ("pickled", last, python2)):
            files = dict(contents(data, form))
            files[name] = write(rows, labels, data)
            directory = cifar_files.write(root / form, data, form)
            (directory / name).write_bytes(files[name])
            cifar_files.make_official(patch, data, form, files)
            read.append(load(directory, data))
    for dataset in read:
        images = rows.reshape(N, 3, 32, 32).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(dataset.test_images, images)
        assert dataset.test_labels.tolist() == labels
