"""The front door: what ``from unfair_bp import ...`` gives, and ``train`` called from Python."""

from dataclasses import replace

import commands
import numpy as np
import pytest

import unfair_bp
from unfair_bp import CASES, Architecture, Case, Dataset, Layer, Schedule, build_graph, train
from unfair_bp.backprop import graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.data import shapes
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import architecture, cases, schedules
from unfair_bp.running.directory import RunDirectory

SMALL = replace(
    CASES["c"],
    data="shapes",
    width=0.05,
    epochs=1,
    batch_size=4,
    train_size=14,
    test_size=10,
    threads=1,
)


def quietly(case, data, run, **options):
    """Train without a line for each epoch."""
    return train(case, data, run, report=lambda line: None, **options)


def test_names_are_those_of_their_modules():
    """Breaks if the front door gives another object, misses a name, or lists one that is not."""
    assert Architecture is architecture.Architecture and Layer is architecture.Layer
    assert Case is cases.Case and CASES is cases.CASES
    assert Schedule is schedules.Schedule and build_graph is graph.build_graph
    assert Dataset.__module__ == "unfair_bp.data.dataset"
    assert set(unfair_bp.__all__) <= set(dir(unfair_bp))
    assert all(getattr(unfair_bp, name) for name in unfair_bp.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'tran'"):
        unfair_bp.tran  # noqa: B018
    with pytest.raises(ImportError):
        from unfair_bp import tran  # noqa: F401, PLC0415


def test_a_case_takes_the_first_images_of_a_users_data(tmp_path):
    """Breaks if a size that config.json names is not the size that was trained on."""
    data = shapes.load(40, 30)
    quietly(SMALL, data, tmp_path / "run")
    config = RunDirectory(str(tmp_path / "run")).read_config()["data"]
    assert (config["training_images"], config["test_images"]) == (14, 10)
    with pytest.raises(FieldError, match=r"^train_size 41"):
        quietly(replace(SMALL, train_size=41), data, tmp_path / "other")


LARGE = ("numpy", "tensorflow", "matplotlib", "tqdm", "argparse", "dataclasses")


def test_importing_the_package_imports_nothing_large(tmp_path):
    """Breaks if a program that only asks for the version waits for TensorFlow or NumPy."""
    script = f"import sys, unfair_bp; print([name for name in {LARGE} if name in sys.modules])"
    assert commands.run(["-c", script], tmp_path) == (0, "[]\n", "")


@pytest.mark.parametrize(
    "first",
    [
        "from unfair_bp import train",
        "import unfair_bp.train; from unfair_bp import train",
        "from unfair_bp import train; import unfair_bp.train",
        "import unfair_bp; train = unfair_bp.train; from unfair_bp.train import main",
        "from unfair_bp.train import main; from unfair_bp import train",
    ],
)
def test_train_is_the_same_whatever_is_imported_first(tmp_path, first):
    """Breaks if importing the command turns the function into something that cannot be called."""
    script = f"import sys; {first}; import unfair_bp\n"
    script += "assert train is unfair_bp.train is sys.modules['unfair_bp.train']\n"
    script += "print(callable(train), callable(train.main), 'tensorflow' in sys.modules)"
    assert commands.run(["-c", script], tmp_path) == (0, "True True False\n", "")


def test_training_returns_what_it_writes(tmp_path):
    """Breaks if the metrics are not those of the run, or the run is not what the command makes."""
    lines = []
    epochs = train(SMALL, None, tmp_path / "run", report=lines.append)
    assert epochs == RunDirectory(str(tmp_path / "run")).read_metrics()
    assert [line[:11] for line in lines] == ["epoch   1/1"]
    words = ["--case", "c", *commands.SMALL, "--learning-rate", "1e-4", "--batch-size", "4"]
    command = [*words, "--epochs", "1", "--run-dir", tmp_path / "command"]
    assert commands.here(train.main, *command) == 0
    assert commands.metrics(tmp_path / "run") == commands.metrics(tmp_path / "command")
    one, other = (commands.weights(tmp_path / name) for name in ("run", "command"))
    assert commands.same_bits(one, other)
    assert "unfair_bp.train, called from Python" in (tmp_path / "run" / "command.txt").read_text()


def test_what_is_reported_is_not_in_graph_mode(tmp_path):
    """Breaks if the caller's own TensorFlow meets the session of the run, and its graph."""
    seen = []

    def report(line):
        seen.append((tf.get_default_session(), tf.get_default_graph().finalized))

    train(SMALL, None, tmp_path / "run", report=report)
    assert seen == [(None, False)]


def test_weights_that_cannot_be_trained_are_one_line(tmp_path):
    """Breaks if initial weights that are infinite in float32 end in a traceback."""
    network = Architecture(32, 3, (Layer(3, 10, stddev=1e39),))
    case = replace(SMALL, architecture=network, schedule="fair", width=1.0)
    with pytest.raises(UsageError, match="the last good checkpoint: none in"):
        quietly(case, None, tmp_path / "run")


def test_a_cell_that_is_run_twice(tmp_path):
    """Breaks if the second time replaces the run, or goes on, without being asked."""
    run = str(tmp_path / "run")
    first = quietly(SMALL, None, run)
    before = commands.snapshot(tmp_path)
    with pytest.raises(UsageError, match="holds a run already"):
        quietly(SMALL, None, run)
    assert commands.snapshot(tmp_path) == before
    longer = quietly(replace(SMALL, epochs=2), None, run, resume=True)
    assert longer[0] == first[0] and len(longer) == 2
    again = quietly(SMALL, None, run, overwrite=True)
    assert [row._replace(seconds=0) for row in again] == [first[0]._replace(seconds=0)]


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path):
    """Breaks if a mistake from Python leaves a run directory, or names an option for a field."""
    with pytest.raises(FieldError, match=r"^learning_rate 2 is out of range"):
        replace(SMALL, learning_rate=2.0)
    with pytest.raises(UsageError, match="holds no run to resume"):
        quietly(SMALL, None, tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match="resume and overwrite exclude each other"):
        quietly(SMALL, None, tmp_path / "run", resume=True, overwrite=True)
    with pytest.raises(FieldError, match=r"^data is of type tuple, not a Dataset; "):
        quietly(SMALL, (np.zeros([2, 32, 32, 3]), np.zeros([2])), tmp_path / "run")
    with pytest.raises(UsageError, match="28x28"):
        quietly(SMALL, drawings(), tmp_path / "run")
    for case, run_dir, minutes, message in (
        ("c", tmp_path / "run", 1.0, "case is of type str, not a Case"),
        (SMALL, None, 1.0, "run_dir is of type NoneType, not a path"),
        (SMALL, "", 1.0, "run_dir is empty"),
        (SMALL, tmp_path / "run", "30", "checkpoint_minutes is of type str, not a number"),
        (SMALL, tmp_path / "run", 0, "checkpoint_minutes 0 is out of range"),
        (SMALL, tmp_path / "run", float("nan"), "checkpoint_minutes nan is out of range"),
    ):
        with pytest.raises(FieldError, match=message):
            train(case, None, run_dir, checkpoint_minutes=minutes, overwrite=True)
    with pytest.raises(FieldError, match="report is of type NoneType, not a function"):
        train(SMALL, None, tmp_path / "run", report=None)
    assert commands.snapshot(tmp_path) == {}


FIVE = Architecture(
    image_size=28,
    image_channels=1,
    layers=(
        Layer(kernel=3, outputs=6, stddev=0.3),
        Layer(kernel=3, outputs=5, stddev=0.2, pool=True),
        Layer(kernel=3, outputs=4, stddev=0.2),
        Layer(kernel=1, outputs=4, stddev=0.4, pool=True),
        Layer(kernel=1, outputs=3, stddev=0.4),
    ),
)


def drawings():
    """A data set of 28x28 grey images in three classes."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, [26, 28, 28, 1]).astype(np.uint8)
    labels = random.randint(0, 3, 26).astype(np.uint8)
    return Dataset(
        name="drawings",
        classes=("cat", "dog", "eel"),
        train_images=images[:16],
        train_labels=labels[:16],
        test_images=images[16:],
        test_labels=labels[16:],
    )


def test_a_network_and_data_of_ones_own(tmp_path):
    """Breaks if training, its files or resuming know nine layers, 32 pixels or ten classes."""
    table = np.array([[False, False, False, True, True], [True, True, True, True, False]])
    case = Case(
        architecture=FIVE,
        data="own",
        schedule=table,
        epochs=1,
        batch_size=4,
        optimizer="sgd",
        learning_rate=0.01,
        threads=1,
    )
    whole = quietly(replace(case, epochs=2), drawings(), tmp_path / "whole")
    quietly(case, drawings(), tmp_path / "grown")
    grown = quietly(replace(case, epochs=2), drawings(), tmp_path / "grown", resume=True)
    assert [row._replace(seconds=0) for row in grown] == [row._replace(seconds=0) for row in whole]
    assert whole[-1].updates == (4, 4, 4, 8, 4)
    one, other = (
        RunDirectory(str(tmp_path / name)).read_arrays("weights_after.npz")
        for name in ("grown", "whole")
    )
    assert list(one) == list(other) == [f"layer_{number}" for number in range(1, 6)]
    assert all(np.array_equal(one[name], other[name]) for name in one)
    stored = RunDirectory(str(tmp_path / "grown")).read_config()["case"]
    assert Case(**stored) == replace(case, epochs=2)
    assert Case(**stored).schedule == "4-5;1-4"
