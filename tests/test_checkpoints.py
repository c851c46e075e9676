"""Checkpoints: the newest that is whole is restored, whatever was done to the others."""

import os
import pathlib
import re

import numpy as np
import pytest

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import UsageError
from unfair_bp.running import tidying
from unfair_bp.running.checkpoints import Checkpoints
from unfair_bp.running.directory import RunDirectory

OLD, NEW = "model-1", "model-10"  # the newest is not the last in the order of letters
VALUES = ".data-00000-of-00001"


class Tiny:
    """A graph of two variables in a session, with the checkpoints of a run."""

    def __init__(self, run, shapes=((2, 3), ())):
        self.graph = tf.Graph()
        with self.graph.as_default():
            starts = [tf.placeholder(tf.float32, shape) for shape in shapes]
            names = ["x", "y", "z"]
            self.variables = [
                tf.get_variable(name, initializer=start, use_resource=True)
                for name, start in zip(names, starts)
            ]
            self.checkpoints = Checkpoints(run)
            initializer = tf.global_variables_initializer()
        self.session = tf.Session(graph=self.graph)
        self.session.run(initializer, {start: np.full(start.shape, 5.0) for start in starts})

    def save(self, step):
        self.checkpoints.save(self.session, step)

    def restore(self):
        self.checkpoints.restore(self.session)

    def values(self):
        return self.session.run(self.variables)


@pytest.fixture
def run(tmp_path):
    """A run with two checkpoints: 5 in all variables of the first, 6 in the second."""
    directory = RunDirectory(str(tmp_path))
    os.mkdir(directory.file("checkpoints"))
    tiny = Tiny(directory)
    tiny.save(1)
    with tiny.graph.as_default():
        for variable, value in zip(tiny.variables, tiny.values()):
            variable.load(value + 1, tiny.session)
    tiny.save(10)
    return directory


def restored(run):
    """The one value that all variables have after restoring."""
    tiny = Tiny(run)
    tiny.restore()
    values = tiny.values()
    assert [value.shape for value in values] == [(2, 3), ()]
    assert len({float(x) for value in values for x in value.ravel()}) == 1
    return float(values[1])


def indices(run):
    """The checkpoints that have an index."""
    return {name for name in os.listdir(run.file("checkpoints")) if name.endswith(".index")}


def test_a_run_directory_that_is_gone_is_one_line(run, tmp_path):
    """Breaks if a run whose directory was removed during training ends in a traceback."""
    tiny = Tiny(run)
    os.rename(str(tmp_path), f"{tmp_path} moved")
    with pytest.raises(UsageError, match=r"^cannot write the checkpoint [^\n]*$"):
        tiny.save(20)


def test_the_newest_checkpoint_is_restored(run, capfd):
    """Breaks if an older checkpoint is taken, or a variable is left as it was."""
    assert run.saved_steps() == [10, 1]
    assert restored(run) == 6.0
    assert capfd.readouterr().err == ""


def test_older_checkpoints_are_removed_in_their_turn(run):
    """Breaks if it is forgotten after restoring which checkpoints there already are."""
    tiny = Tiny(run)
    tiny.restore()
    tiny.save(11)
    assert indices(run) == {"model-10.index", "model-11.index"}


def change(content):
    """Damage that replaces a file, or removes it."""

    def damage(path):
        before = path.read_bytes()
        path.unlink()
        after = content(before) if callable(content) else content
        if after is not None:
            path.write_bytes(after)

    return damage


@pytest.mark.parametrize(
    "content",
    [None, b"", b"gibberish", b"\xff\xfe\0", b'model_checkpoint_path: "model-9"\n'],
)
def test_the_list_beside_the_checkpoints_does_not_matter(run, content):
    """Breaks if a kill while TensorFlow writes its list loses the checkpoints."""
    change(content)(pathlib.Path(run.file("checkpoints")) / "checkpoint")
    assert restored(run) == 6.0


DAMAGES = {
    "empty index": (".index", b""),
    "short index": (".index", lambda b: b[:60]),
    "inverted index": (".index", lambda b: bytes(255 - c for c in b)),
    "no values": (VALUES, None),
    "empty values": (VALUES, b""),
    "short values": (VALUES, lambda b: b[:-1]),
    "flipped bit": (VALUES, lambda b: bytes([b[0] ^ 1]) + b[1:]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(run, capfd, name):
    """Breaks if damage ends the run, is taken for weights, or is passed over in silence."""
    ending, content = DAMAGES[name]
    change(content)(pathlib.Path(run.file("checkpoints")) / (NEW + ending))
    assert restored(run) == 5.0
    warning = capfd.readouterr().err
    assert warning.startswith("warning: the checkpoint ") and warning.count("\n") == 1
    assert NEW + " is damaged" in warning


def test_an_unfinished_checkpoint_does_not_count(run, capfd):
    """Breaks if values without an index are a checkpoint, or worth a warning."""
    os.remove(os.path.join(run.file("checkpoints"), NEW + ".index"))
    assert restored(run) == 5.0
    assert capfd.readouterr().err == ""


def test_a_damaged_checkpoint_is_the_first_to_be_removed(run):
    """Breaks if the only whole checkpoint is removed for the sake of a damaged one."""
    change(b"")(pathlib.Path(run.file("checkpoints")) / (NEW + ".index"))
    tiny = Tiny(run)
    tiny.restore()
    tiny.save(5)
    assert indices(run) == {"model-1.index", "model-5.index"}


@pytest.mark.parametrize("name", DAMAGES)
def test_without_a_whole_checkpoint_it_is_one_line(run, capfd, name):
    """Breaks if damage ends in TensorFlow's exception or log."""
    ending, content = DAMAGES[name]
    for which in (OLD, NEW):
        change(content)(pathlib.Path(run.file("checkpoints")) / (which + ending))
    with pytest.raises(UsageError, match=r"is damaged.*no other.*--overwrite") as error:
        Tiny(run).restore()
    assert run.path in str(error.value)
    assert len(str(error.value)) < 500
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("shapes", [((2, 4), ()), ((3, 2), ()), ((2, 3), (1,)), ((2, 3), (), ())])
def test_another_networks_checkpoint_is_refused(run, shapes):
    """Breaks if weights of another shape are taken, as TensorFlow does, or one is missing."""
    with pytest.raises(UsageError, match=re.escape("expected")):
        Tiny(run, shapes).restore()


def test_without_checkpoints(tmp_path):
    """Breaks if a run that was stopped before its first checkpoint ends in a traceback."""
    with pytest.raises(UsageError, match="holds no checkpoint"):
        Tiny(RunDirectory(str(tmp_path / "nowhere"))).restore()


def test_what_a_killed_save_left_is_removed(run):
    """Breaks if unfinished files pile up, or a finished checkpoint or a user's file is deleted."""
    place = pathlib.Path(run.file("checkpoints"))
    (place / "README.txt").write_text("mine")
    (place / "best").mkdir()
    (place / "best" / "model-11.index").write_text("mine")
    (place / "model-11.index.txt").write_text("mine")
    (place / "model-12.index").mkdir()
    before = set(os.listdir(str(place)))
    (place / ("model-11" + VALUES)).write_bytes(b"x")
    (place / ("model-13" + VALUES)).symlink_to(place / "README.txt")
    (place / ("model-1" + VALUES + ".tempstate123")).write_bytes(b"x")
    (place / "checkpoint.tmp0a1b").write_bytes(b"x")
    assert tidying.delete(tidying.unfinished(str(place))) == []
    assert (place / "README.txt").read_text() == "mine"
    assert set(os.listdir(str(place))) == before


def test_a_save_that_fails_is_one_line_and_harms_nothing(run, monkeypatch):
    """Breaks if a full disk ends in a traceback, or costs an earlier checkpoint."""
    tiny = Tiny(run)

    def full(*arguments, **named):
        place = pathlib.Path(run.file("checkpoints"))
        (place / ("model-11" + VALUES)).write_bytes(b"half of it")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.train.Saver, "save", full)
    with pytest.raises(UsageError, match=r"cannot write .*model-11 .*--resume"):
        tiny.save(11)
    assert run.saved_steps() == [10, 1]
    assert not any("model-11" in name for name in os.listdir(run.file("checkpoints")))
    assert restored(run) == 6.0
