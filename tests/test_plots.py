"""Pictures of a run: drawn from its directory alone, and right."""

import shutil

import commands
import numpy as np
import pytest
from matplotlib.legend import Legend
from run_directories import OTHER_NETWORK, epochs_of, write_run

from unfair_bp import plots, train
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger, schedules
from unfair_bp.figures.curves import learning_curves
from unfair_bp.figures.images import example_images
from unfair_bp.figures.updates import update_counts
from unfair_bp.figures.weights import weight_histograms
from unfair_bp.reporting import pictures
from unfair_bp.results.run import read_run
from unfair_bp.running import tidying
from unfair_bp.running.directory import RunDirectory
from unfair_bp.running.metrics import EpochMetrics, layer_metrics, skewness

NAMES = {"curves", "updates", "layers", "weights", "images"}
METRICS = [
    EpochMetrics(1, 2.0, 0.25, 2.1, 0.2, 3.0, 90, (10, 20, 30, 40, 50, 60, 70, 80, 90), 10**9),
    EpochMetrics(2, 1.0, 0.5, 1.5, 0.4, 3.0, 180, (20, 40, 60, 80, 100, 120, 140, 160, 180), 10**9),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that drew its own pictures, per-batch so that a cycle is not an iteration."""
    path = tmp_path_factory.mktemp("run")
    words = [word for word in commands.SMALL if word != "--no-plots"]
    words += ["--case", "d", "--protocol", "per-batch", "--epochs", "1", "--batch-size", "14"]
    assert commands.here(train.main, *words, "--run-dir", path) == 0
    return path


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, without its pictures."""
    shutil.copytree(str(trained), str(tmp_path / "run"))
    shutil.rmtree(str(tmp_path / "run" / "figures"))
    return tmp_path / "run"


def lines(axes):
    """The values that each line of a panel shows."""
    return [line.get_ydata().tolist() for line in axes.get_lines()]


def test_curves():
    """Breaks if test and train, or accuracy and cost, change places, or cost is normalised."""
    accuracy, cost, legend = learning_curves(METRICS, "heading").axes
    assert lines(accuracy) == [[0.2, 0.4], [0.25, 0.5]]
    assert lines(cost) == [[2.1, 1.5], [2.0, 1.0]]
    for axes in (accuracy, cost):
        assert [line.get_label().split(",")[0] for line in axes.get_lines()] == ["test", "train"]
    (shown,) = legend.findobj(Legend)
    assert [text.get_text().split(",")[0] for text in shown.get_texts()] == ["test", "train"]
    assert accuracy.get_legend() is cost.get_legend() is None
    assert cost.get_ylim()[0] == 0 and cost.get_ylim()[1] > 2.1
    assert "test 0.4000, train 0.5000" in accuracy.get_title(loc="left")


def test_updates():
    """Breaks if counted and expected updates change places, or a layer's number is another's."""
    (axes,) = update_counts([1, 2, 3], [4, 5, 6], "heading").axes
    assert [bar.get_height() for bar in axes.patches] == [1, 2, 3]
    assert lines(axes) == [[4, 5, 6]]
    assert axes.get_lines()[0].get_xdata().tolist() == [1, 2, 3]


def test_skewness():
    """Breaks if the sign or the power is wrong, or constant weights divide by zero."""
    values = np.array([0, 0, 0, 1], np.float32)
    # Mean 1/4, variance 3/16, third moment 3/32.
    assert skewness(values) == pytest.approx((3 / 32) / (3 / 16) ** 1.5)
    assert skewness(-values) == -skewness(values)
    assert skewness(np.ones(5)) == 0.0


def test_histograms():
    """Breaks if a layer is in another panel, before is after, or a legend is of another layer."""
    before = [n * np.array(49 * [-0.01, 0.0, 0.0] + [0.01]) for n in range(1, 10)]
    after = [n * np.array(149 * [0.01, 0.0, 0.0] + [-0.02]) for n in range(1, 10)]
    panels = weight_histograms(before, after, "heading").axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        f"layers {numbers}, {when} training"
        for numbers in ("1-3", "4-6", "7-9")
        for when in ("before", "after")
    ]
    labels = [
        text.get_text()
        for panel in [*panels[::2], *panels[1::2]]
        for text in panel.get_legend().get_texts()
    ]
    legend = "layer %d: %+.3f to %+.3f, skewness %+.2f"
    numbers = range(1, 10)
    assert labels[:9] == [legend % (n, -n / 100, n / 100, skewness(before[0])) for n in numbers]
    assert labels[9:] == [legend % (n, -n / 50, n / 100, skewness(after[0])) for n in numbers]
    assert skewness(before[0]) < -0.4 < 0.4 < skewness(after[0])
    for line in panels[0].get_lines():  # both ends stand on the axis
        assert line.get_ydata()[0] == line.get_ydata()[-1] == 0
    # The area below a density is 1, whatever the number of weights and bins.
    for line in panels[3].get_lines():
        edges, density = line.get_xdata(), line.get_ydata()
        assert np.sum(np.diff(edges) * density[:-1]) == pytest.approx(1)


def test_a_skewness_of_nothing_has_no_minus():
    """Breaks if nearly symmetric weights are labelled -0.00, which looks like a mistake."""
    weights = 9 * [np.array(999 * [-1.0, 1.0] + [1.0])]
    assert -0.005 < skewness(weights[0]) < 0
    (label, *_) = weight_histograms(weights, weights, "heading").axes[0].get_legend().get_texts()
    assert label.get_text().endswith("skewness +0.00")


def test_images():
    """Breaks if an augmented copy stands below another image, or a name above one."""
    images = np.arange(2, dtype=np.uint8)[:, None, None, None] * np.ones([2, 4, 4, 3], np.uint8)
    augmented = np.stack([images + 10, images + 20])
    panels = example_images(images, augmented, ["cat", "dog"], "heading").axes
    shown = [int(panel.images[0].get_array()[0, 0, 0]) for panel in panels]
    assert shown == [0, 1, 10, 11, 20, 21]
    assert [panel.get_title() for panel in panels] == ["cat", "dog", "", "", "", ""]


def test_long_headings_are_broken():
    """Breaks if the heading of a run with all quirks is wider than its picture."""
    figure = update_counts([1], [1], "quirks: " + 20 * "imgaug-uint8 ")
    (heading,) = figure.texts
    assert max(map(len, heading.get_text().splitlines())) <= 12 * 8


def test_training_draws_its_pictures(trained):
    """Breaks if a run ends without pictures, or with one that overwriting it would not delete."""
    assert set(tidying.PICTURES) == NAMES
    assert {path.name for path in (trained / "figures").iterdir()} == {n + ".png" for n in NAMES}


def test_the_command(run, capfd):
    """Breaks if a picture is missing, in another place or format, or not named in the output.

    Or if two that draw at once write into the same unfinished file.
    """
    (run / "figures").mkdir()
    others = run / "figures" / "curves.svg.part"  # of another process that draws the same run
    others.write_bytes(b"half of it")
    assert commands.here(plots.main, run, "--format", "svg") == 0
    assert others.read_bytes() == b"half of it"
    others.unlink()
    stdout = capfd.readouterr().out.splitlines()
    assert set(stdout) == {"wrote %s" % (run / "figures" / (name + ".svg")) for name in NAMES}
    for name in NAMES:
        assert "<svg" in (run / "figures" / (name + ".svg")).read_text()
    assert commands.here(plots.main, run) == 0  # once more, beside
    assert len(list((run / "figures").iterdir())) == 2 * len(NAMES)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, schedules.parse("back").updates(11).tolist()),
        ({"protocol": "per-batch"}, [11 * n for n in range(1, 10)]),
        ({"protocol": "per-batch", "schedule": "back*2"}, [22 * n for n in range(1, 10)]),
        ({"schedule": "freeze", "epochs": 3}, [4, 8, *(7 * [11])]),
        ({"quirks": ("collapsed-rounds",)}, 9 * [11]),
    ],
)
def test_expected_updates(tmp_path, changes, expected):
    """Breaks if the protocol, a quirk, or a part of a cycle is forgotten."""
    directory = write_run(tmp_path, "c", [0.1], **changes)
    directory.write_metrics([epochs_of([0.1])[0]._replace(iterations=11)])
    assert read_run(str(tmp_path)).expected_updates.tolist() == expected


def test_a_run_of_another_network_is_drawn(tmp_path):
    """Breaks if a picture of a run takes nine layers, 32 pixels or three channels for granted."""
    directory = write_run(tmp_path, "own", [0.1], architecture=OTHER_NETWORK)
    weights = [np.linspace(-1, 1, layer.weight_count) for layer in OTHER_NETWORK.scaled()]
    directory.write_weights("weights_before.npz", weights)
    directory.write_weights("weights_after.npz", weights)
    directory.write_layers([layer_metrics(epoch, weights, weights) for epoch in (0, 1)])
    images = np.zeros([2, 28, 28, 1], np.uint8)
    names, augmented = np.array(["cat", "dog"]), np.zeros([0, 2, 28, 28, 1], np.uint8)
    examples = {"images": images, "augmented": augmented, "names": names}
    directory.write_arrays("examples.npz", examples)
    assert set(pictures.draw(str(tmp_path))) == NAMES


def test_how_a_run_is_headed(tmp_path):
    """Breaks if a picture does not say what was run."""
    write_run(tmp_path / "c", "c", [0.1], quirks=ledger.as_run("c"))
    changes = {"schedule": "1-5;" * 99 + "5", "optimizer": "sgd", "augment": True}
    write_run(tmp_path / "own", "mine", [0.1], architecture=OTHER_NETWORK, **changes)
    headings = [pictures._heading(read_run(str(tmp_path / name))) for name in ("c", "own")]
    assert headings == [
        "case c: back, per-step, width 1, seed 678, CIFAR-10, drawn, as run in 2018",
        f"mine: {13 * '1-5;'}1-5~497e, augmented, per-step, width 1, seed 678, CIFAR-10, drawn, "
        "5 layers, sgd",
    ]


def test_pictures_that_cannot_be_drawn_are_named(run, capfd):
    """Breaks if a missing file is a traceback, or the picture is left out in silence."""
    (run / "weights_after.npz").unlink()
    (run / "examples.npz").unlink()
    (run / "layers.csv").unlink()
    assert commands.here(plots.main, run) == 0
    stderr = capfd.readouterr().err.splitlines()
    assert stderr == [
        "no picture of the layers: it needs layers.csv",
        "no picture of the weights: it needs weights_before.npz and weights_after.npz",
        "no picture of the images: it needs examples.npz",
    ]
    assert {path.name for path in (run / "figures").iterdir()} == {"curves.png", "updates.png"}


DAMAGES = {
    "empty weights": lambda run: (run / "weights_after.npz").write_bytes(b""),
    "weights that are no archive": lambda run: (run / "weights_after.npz").write_bytes(
        b"PK\x03\x04 no archive"
    ),
    "examples that are no npz": lambda run: (run / "examples.npz").write_bytes(b"\x93NUMPY"),
    "weights of one layer": lambda run: np.savez(
        str(run / "weights_after.npz"), layer_1=np.ones([3, 3, 3, 13])
    ),
    "weights whose header is cut": lambda run: (run / "weights_after.npz").write_bytes(
        (run / "weights_after.npz").read_bytes().replace(b"'shape': (", b"'shape': ((")
    ),
    "examples without names": lambda run: np.savez(
        str(run / "examples.npz"), images=np.zeros([1, 32, 32, 3], np.uint8)
    ),
    "an accuracy above 1": lambda run: (run / "metrics.csv").write_text(
        (run / "metrics.csv").read_text().replace(",0.", ",7.")
    ),
    "half a thread": lambda run: commands.edit_config(
        run, lambda config: config["case"].update(threads=0.5)
    ),
    "rotations above 2": lambda run: (run / "layers.csv").write_text(
        (run / "layers.csv").read_text().replace(",0.", ",7.")
    ),
    "no finished epoch": lambda run: (run / "metrics.csv").write_text("epoch\n"),
    "no metrics": lambda run: (run / "metrics.csv").unlink(),
    "no configuration": lambda run: (run / "config.json").unlink(),
    "a file in the place of figures": lambda run: (run / "figures").write_text("a file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_cannot_be_drawn_is_one_line(run, capfd, name):
    """Breaks if a damaged run is a traceback, or leaves some of the pictures."""
    DAMAGES[name](run)
    before = commands.snapshot(run)
    assert commands.here(plots.main, run) == 2
    stderr = capfd.readouterr().err
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    assert str(run) in stderr
    assert commands.snapshot(run) == before


def test_arrays_come_back_in_order(tmp_path):
    """Breaks if layers 10 and 2 change places, or arrays change."""
    run = RunDirectory(str(tmp_path))
    assert run.read_arrays("weights.npz") == {}
    written = [np.full([2], n) for n in range(12)]
    run.write_weights("weights.npz", written)
    read = run.read_arrays("weights.npz")
    assert [int(array[0]) for array in read.values()] == list(range(12))
    with pytest.raises(UsageError, match="damaged"):
        (tmp_path / "weights.npz").write_bytes(b"nothing")
        run.read_arrays("weights.npz")
