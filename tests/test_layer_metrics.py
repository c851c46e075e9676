"""Rotation, norm and skewness of each layer's weights: measured, written, read again and drawn."""

import math
import os
import shutil

import commands
import numpy as np
import pytest
from run_directories import write_run

from unfair_bp import plots, train
from unfair_bp.errors import UsageError
from unfair_bp.figures import style
from unfair_bp.figures.layers import layer_curves
from unfair_bp.running.directory import RunDirectory
from unfair_bp.running.metrics import LayerMetrics, layer_metrics, rotation

LAYERS = range(1, 10)
ROWS = [
    LayerMetrics(
        epoch,
        rotation=tuple(epoch * n / 20 for n in LAYERS),
        norm=tuple(10.0 + n - epoch / 3 for n in LAYERS),
        skewness=tuple(0.1 * n * (-1) ** epoch for n in LAYERS),
    )
    for epoch in (0, 1, 2)
]


def words(path, *more):
    """The words of a run from the back, with four iterations an epoch."""
    small = [*commands.SMALL, "--batch-size", "4"]
    return ["--case", "c", *small, "--run-dir", str(path), *map(str, more)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three epochs that was never interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert commands.here(train.main, *words(path, "--epochs", 3)) == 0
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The same after two epochs, to be copied."""
    path = tmp_path_factory.mktemp("runs") / "two"
    assert commands.here(train.main, *words(path, "--epochs", 2)) == 0
    return path


@pytest.fixture
def two(template, tmp_path):
    """The same after two epochs, for this test alone."""
    shutil.copytree(str(template), str(tmp_path / "two"))
    return tmp_path / "two"


def layers_of(run):
    return RunDirectory(str(run)).read_layers()


def same_layers(run, other):
    """Whether two runs have the same rows, to the bit."""
    return (run / "layers.csv").read_bytes() == (other / "layers.csv").read_bytes()


# --- the measures


@pytest.mark.parametrize("scale", [1.0, 1e-20, 3e18])
@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.1, math.pi / 2, 3.0, math.pi])
def test_rotation_is_the_cosine_distance(angle, scale):
    """Breaks on another sign or factor, if lengths matter, or if small angles are rounded away."""
    w0 = np.array([[0.6, 0.0], [-0.8, 0.0]])
    w = scale * (math.cos(angle) * w0 + math.sin(angle) * np.array([[0.0, 0.6], [0.0, 0.8]]))
    expected = 2.0 * math.sin(angle / 2.0) ** 2
    assert rotation(w, w0) == pytest.approx(expected, rel=1e-9, abs=1e-30)
    assert rotation(w0, w) == pytest.approx(expected, rel=1e-9, abs=1e-30)
    assert 0.0 <= rotation(w, w0) <= 2.0


def test_rotation_of_weights_that_did_not_move_is_zero():
    """Breaks if a layer that was never updated seems to turn."""
    w = np.random.RandomState(0).randn(3, 3, 5, 7).astype(np.float32)
    assert rotation(w, w) == 0.0
    assert rotation(-w, w) == pytest.approx(2.0)


def test_rotation_of_nothing_is_unknown():
    """Breaks if it is a number, or a warning of NumPy's."""
    assert math.isnan(rotation(np.zeros(3), np.ones(3)))
    assert math.isnan(rotation(np.ones(3), np.zeros(3)))


def test_layers_are_measured_in_float64():
    """Breaks if float32 weights overflow, or a layer is measured with another one's start."""
    weights = [np.float32([[3e30, 4e30]]), np.float32([0, 0, 0, 2])]
    start = [np.float32([[4e30, -3e30]]), np.float32([0, 0, 0, 1])]
    row = layer_metrics(5, weights, start)
    assert row.epoch == 5
    assert row.rotation == pytest.approx((1.0, 0.0))
    assert row.norm == pytest.approx((5e30, 2.0))
    assert row.skewness == pytest.approx((0.0, 2 / math.sqrt(3)))


# --- layers.csv


def test_rows_read_back_as_written(tmp_path):
    """Breaks if a column is lost or swapped, floats are rounded, or layers are renumbered."""
    run = write_run(tmp_path, "c", [0.1, 0.2])
    rows = [*ROWS, ROWS[0]._replace(epoch=7, rotation=(math.nan, *ROWS[0].rotation[1:]))]
    run.write_layers(rows)
    assert repr(run.read_layers()) == repr(rows)
    header, first = (tmp_path / "layers.csv").read_text().splitlines()[:2]
    names = [f"{name}_layer_{n}" for name in ("rotation", "norm", "skewness") for n in LAYERS]
    assert header.split(",") == ["epoch", *names]
    assert first.split(",")[10] == "11.0"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n0,", "\n1,"),
        ("\n2,", "\n1,"),
        ("\n1,", "\nx,"),
        ("\n1,", "\n1,0.0,"),
        ("\n1,0.05,", "\n1,"),
        ("\n1,0.05,", "\n1,2.5,"),
        ("\n1,0.05,", "\n1,-0.1,"),
        (",11.0,", ",-11.0,"),
        (",11.0,", ",inf,"),
        (",11.0,", ",nan,"),
        (",-0.2,", ",inf,"),
        ("epoch,", "epochs,"),
        ("norm_layer_9", "skewness_layer_0"),
        ("rotation_layer_1,", "seconds,"),
        ("0.9\n", "0.9"),
    ],
    ids=repr,
)
def test_damaged_files_are_refused(tmp_path, old, new):
    """Breaks if a damaged row is dropped, guessed, or ends in another exception."""
    run = write_run(tmp_path, "c", [0.1, 0.2])
    run.write_layers(ROWS)
    text = (tmp_path / "layers.csv").read_text()
    assert old in text
    text = text[: -len(old)] + new if old.endswith("\n") else text.replace(old, new)
    (tmp_path / "layers.csv").write_text(text)
    with pytest.raises(UsageError, match=r"layers\.csv is damaged \(.*remove it"):
        run.read_layers()


def test_rows_of_another_network_are_refused(tmp_path):
    """Breaks if a layer that is not there is drawn, or one is left out."""
    run = write_run(tmp_path, "c", [0.1])
    row = ROWS[0]
    for lacking in (
        LayerMetrics(0, row.rotation[:8], row.norm[:8], row.skewness[:8]),
        row._replace(norm=row.norm[:8]),
    ):
        run.write_layers([lacking])
        with pytest.raises(UsageError, match="values of 8 layers, not 9"):
            run.read_layers()


# --- of a run


def test_a_run_measures_its_layers(whole):
    """Breaks if other weights are measured, an epoch is missing, or rested layers seem to move."""
    rows = layers_of(whole)
    assert [row.epoch for row in rows] == [0, 1, 2, 3]
    before, after = commands.weights(whole, "weights_before.npz"), commands.weights(whole)
    for layer in range(9):
        w0, w = (weights[layer].astype(np.float64).ravel() for weights in (before, after))
        cosine = np.dot(w, w0) / np.sqrt(np.dot(w, w) * np.dot(w0, w0))
        z = (w - w.mean()) / w.std()
        assert rows[-1].rotation[layer] == pytest.approx(1 - cosine, abs=1e-14)
        assert rows[-1].norm[layer] == pytest.approx(np.sqrt(np.dot(w, w)))
        assert rows[-1].skewness[layer] == pytest.approx(np.mean(z**3))
        assert rows[0].norm[layer] == pytest.approx(np.sqrt(np.dot(w0, w0)))
    assert rows[0].rotation == (0.0,) * 9
    for row, resting in zip(rows[1:], (5, 1, 0)):  # layers that four, eight, twelve rows leave out
        assert row.rotation[:resting] == (0.0,) * resting
        assert row.norm[:resting] == rows[0].norm[:resting]
        assert min(row.rotation[resting:]) > 0.0
        assert not set(row.norm[resting:]) & set(rows[0].norm)


def test_a_resumed_run_has_the_same_rows(two, whole):
    """Breaks if rotation starts anew, or an epoch is measured from other weights."""
    assert commands.here(train.main, *words(two, "--epochs", 3, "--resume")) == 0
    assert same_layers(two, whole)


def test_rows_after_the_checkpoint_are_measured_again(two, whole):
    """Breaks if a run killed before its checkpoint keeps the row of an epoch that comes again."""
    for path in (two / "checkpoints").glob("model-8.*"):
        path.unlink()
    text = (two / "layers.csv").read_text()
    assert text.count("\n2,0.0,") == 1
    (two / "layers.csv").write_text(text.replace("\n2,0.0,", "\n2,0.125,"))
    assert commands.here(train.main, *words(two, "--epochs", 3, "--resume")) == 0
    assert same_layers(two, whole)


def test_overwriting_begins_the_rows_anew(two, whole):
    """Breaks if the rows of the earlier run stay."""
    more = ["--epochs", 1, "--seed", 3, "--overwrite"]
    assert commands.here(train.main, *words(two, *more)) == 0
    rows = layers_of(two)
    assert [row.epoch for row in rows] == [0, 1]
    assert rows[0].norm != layers_of(whole)[0].norm


def test_a_run_of_an_earlier_version_goes_on(two, whole, capfd):
    """Breaks if it cannot be resumed or drawn, or if epochs that nobody measured are made up."""
    (two / "layers.csv").unlink()
    assert commands.here(plots.main, two) == 0
    assert "no picture of the layers: it needs layers.csv\n" in capfd.readouterr().err
    assert commands.here(train.main, *words(two, "--epochs", 3, "--resume")) == 0
    assert capfd.readouterr().err == (
        f"warning: {two / 'layers.csv'} lacks 2 of 2 finished epochs, as in runs of an earlier "
        "version; it goes on with epoch 3\n"
    )
    assert layers_of(two) == [layers_of(whole)[0], layers_of(whole)[3]]
    assert commands.here(plots.main, two) == 0
    assert (two / "figures" / "layers.png").exists()


def test_missing_first_weights_are_made_again(two, whole, capfd):
    """Breaks if a run cannot go on without them, or rotation is measured from other ones."""
    os.remove(str(two / "weights_before.npz"))
    assert commands.here(train.main, *words(two, "--epochs", 3, "--resume")) == 0
    error = capfd.readouterr().err
    assert error.startswith(f"warning: {two / 'weights_before.npz'} is missing; ")
    assert error.count("\n") == 1
    assert same_layers(two, whole)
    assert commands.same_bits(
        *(commands.weights(run, "weights_before.npz") for run in (two, whole))
    )


def other_weights(change):
    """Damage: weights_before.npz with its arrays changed."""

    def damage(run):
        weights = commands.weights(run, "weights_before.npz")
        RunDirectory(str(run)).write_weights("weights_before.npz", change(weights))

    return damage


DAMAGES = {
    "layers cut off": lambda run: (run / "layers.csv").write_bytes(
        (run / "layers.csv").read_bytes()[:-3]
    ),
    "layers empty": lambda run: (run / "layers.csv").write_text(""),
    "layers without a row": lambda run: (run / "layers.csv").write_text("epoch\n"),
    "weights that are no archive": lambda run: (run / "weights_before.npz").write_bytes(b"x"),
    "weights of eight layers": other_weights(lambda weights: weights[:8]),
    "weights of other shapes": other_weights(lambda weights: weights[::-1]),
    "weights not finite": other_weights(lambda weights: [w + np.inf for w in weights]),
    "weights that are text": other_weights(lambda weights: [w.astype(str) for w in weights]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_one_line_and_stays_as_it_is(two, capfd, name):
    """Breaks if resuming ends in a traceback, changes the run, or does not say how to go on."""
    DAMAGES[name](two)
    before = commands.snapshot(two)
    assert commands.here(train.main, *words(two, "--epochs", 3, "--resume")) == 2
    error = capfd.readouterr().err
    file = "layers.csv" if name.startswith("layers") else "weights_before.npz"
    assert error.startswith(f"error: {two / file} is damaged (") and error.count("\n") == 1
    assert "remove it" in error
    assert commands.snapshot(two) == before


# --- the picture


def test_panels_show_rotation_norm_and_skewness():
    """Breaks if panels or layers change places, or a gap is bridged."""
    rows = [*ROWS, ROWS[1]._replace(epoch=4)]
    figure = layer_curves(rows, "heading")
    assert len(figure.axes) == 4  # one for the legend
    for axes, field in zip(figure.axes, ("rotation", "norm", "skewness")):
        assert axes.get_title(loc="left").startswith(field)
        lines = axes.get_lines()
        assert [line.get_label() for line in lines] == [f"layer {n}" for n in LAYERS]
        for layer, line in enumerate(lines):
            values = [getattr(row, field)[layer] for row in rows]
            values.insert(3, math.nan)
            if field == "rotation":
                values[0] = math.nan  # a logarithmic axis has no zero
            np.testing.assert_array_equal(line.get_ydata(), values)
            assert list(line.get_xdata()) == [0, 1, 2, 3, 4]
    assert [axes.get_yscale() for axes in figure.axes[:3]] == ["log", "linear", "linear"]
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(styles) == 9
    unknown = [row._replace(rotation=(math.nan, *row.rotation[1:])) for row in ROWS]
    assert layer_curves(unknown, "heading").axes[0].get_yscale() == "log"


@pytest.mark.parametrize(("layers", "epochs"), [(1, 0), (60, 30)])
def test_any_network_is_drawn(layers, epochs):
    """Breaks if nine layers or a few epochs are taken for granted."""
    weights = [np.arange(4.0) + n for n in range(layers)]
    rows = [layer_metrics(epoch, weights, weights[::-1]) for epoch in range(epochs + 1)]
    figure = layer_curves(rows, "heading")
    assert style.render(figure, "png").startswith(b"\x89PNG")
    assert all(axes.get_position().width > 0.15 for axes in figure.axes)
