"""Restoring the newest checkpoint of a run, and every way in which it can be bad."""

import os
import re

import numpy as np
import pytest

from unfair_bp import sessions
from unfair_bp.errors import UsageError
from unfair_bp.graph_mode import tf
from unfair_bp.runs import RunDirectory

OLD, NEW = "model-1", "model-2"


class Tiny:
    """A graph of two variables in a session, with a saver."""

    def __init__(self, shapes=((2, 3), ())):
        self.graph = tf.Graph()
        with self.graph.as_default():
            starts = [tf.placeholder(tf.float32, shape) for shape in shapes]
            names = ["x", "y", "z"]
            self.variables = [
                tf.get_variable(name, initializer=start, use_resource=True)
                for name, start in zip(names, starts)
            ]
            self.saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
            initializer = tf.global_variables_initializer()
        self.session = tf.Session(graph=self.graph)
        self.session.run(initializer, {start: np.full(start.shape, 5.0) for start in starts})

    def save(self, run, step):
        self.saver.save(self.session, run.file("checkpoints/model"), step, write_meta_graph=False)

    def restore(self, run):
        sessions.restore(self.session, self.saver, run)

    def values(self):
        return self.session.run(self.variables)


@pytest.fixture
def run(tmp_path):
    """A run with two checkpoints: 5 in all variables of the first, 6 in the second."""
    directory = RunDirectory(str(tmp_path))
    os.mkdir(directory.file("checkpoints"))
    tiny = Tiny()
    tiny.save(directory, 1)
    for variable, value in zip(tiny.variables, tiny.values()):
        variable.load(value + 1, tiny.session)
    tiny.save(directory, 2)
    return directory


def test_the_newest_checkpoint_is_restored(run):
    """Breaks if an older checkpoint is taken, or a variable is left as it was."""
    tiny = Tiny()
    tiny.restore(run)
    for value, shape in zip(tiny.values(), [(2, 3), ()]):
        np.testing.assert_array_equal(value, np.full(shape, 6.0))


def test_older_checkpoints_are_removed_in_their_turn(run):
    """Breaks if a saver forgets after restoring which checkpoints there already are."""
    tiny = Tiny()
    tiny.restore(run)
    tiny.save(run, 3)
    names = {name for name in os.listdir(run.file("checkpoints")) if name.endswith(".index")}
    assert names == {"model-2.index", "model-3.index"}


def damage_list(content):
    def damage(directory):
        path = os.path.join(directory, "checkpoint")
        os.remove(path)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)

    return damage


def damage_newest(ending, change):
    def damage(directory):
        path = os.path.join(directory, NEW + ending)
        with open(path, "rb") as file:
            content = change(file.read())
        os.remove(path)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)

    return damage


VALUES = ".data-00000-of-00001"


@pytest.mark.parametrize(
    "damage",
    [
        damage_list(None),
        damage_list(b""),
        damage_list(b"gibberish"),
        damage_list(b"\xff\xfe\0"),
        damage_list(b'model_checkpoint_path: "model-9"\n'),
        damage_newest(".index", lambda b: None),
        damage_newest(".index", lambda b: b""),
        damage_newest(".index", lambda b: b[:60]),
        damage_newest(".index", lambda b: bytes(255 - c for c in b)),
        damage_newest(VALUES, lambda b: None),
        damage_newest(VALUES, lambda b: b""),
        damage_newest(VALUES, lambda b: b[:-1]),
        damage_newest(VALUES, lambda b: bytes([b[0] ^ 1]) + b[1:]),
    ],
)
def test_a_damaged_checkpoint_is_one_line(run, capfd, damage):
    """Breaks if damage ends in TensorFlow's exception or log, or in the older checkpoint."""
    damage(run.file("checkpoints"))
    with pytest.raises(UsageError, match=r"checkpoint.*--overwrite") as error:
        Tiny().restore(run)
    assert run.path in str(error.value)
    assert len(str(error.value)) < 500
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("shapes", [((2, 4), ()), ((3, 2), ()), ((2, 3), (1,)), ((2, 3), (), ())])
def test_another_networks_checkpoint_is_refused(run, shapes):
    """Breaks if weights of another shape are taken, as TensorFlow does, or one is missing."""
    with pytest.raises(UsageError, match=re.escape("missing or damaged")):
        Tiny(shapes).restore(run)


def test_without_checkpoints(tmp_path):
    """Breaks if a run that was stopped before its first checkpoint ends in a traceback."""
    with pytest.raises(UsageError, match="holds no checkpoint"):
        Tiny().restore(RunDirectory(str(tmp_path / "nowhere")))
