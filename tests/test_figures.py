"""Pictures: what is drawn is the schedule, and a file of the user's is not lost."""

import json
from dataclasses import replace

import commands
import matplotlib
import matplotlib.style
import numpy as np
import pytest
from commands import ROOT
from conftest import LAYERS
from matplotlib.text import Text

from unfair_bp.errors import UsageError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import Architecture, Layer
from unfair_bp.experiment.schedules import fair_step_flops
from unfair_bp.figures import style
from unfair_bp.figures.animation import NetworkDrawing
from unfair_bp.figures.benchmark import benchmark_figure
from unfair_bp.figures.collapse import collapse_figure
from unfair_bp.figures.comparison import comparison_figure
from unfair_bp.figures.curves import learning_curves
from unfair_bp.figures.frames import frames
from unfair_bp.figures.images import example_images
from unfair_bp.figures.layers import layer_curves
from unfair_bp.figures.schedule import schedule_heatmap
from unfair_bp.figures.updates import update_counts
from unfair_bp.figures.weights import weight_histograms
from unfair_bp.measuring.collapse import SUBJECTS, Measurement
from unfair_bp.results.budgets import OPERATIONS
from unfair_bp.results.differences import Difference
from unfair_bp.results.series import Part, Series
from unfair_bp.results.statistics import Curve, Statistic
from unfair_bp.running.metrics import EpochMetrics, layer_metrics

FAIR = schedules.parse("fair")


@pytest.fixture(scope="module")
def figure():
    """The heatmap of the schedule from the back."""
    return schedule_heatmap(schedules.parse("back"), LAYERS)


def test_heatmap_shows_the_matrix_the_cost_and_the_counts(figure):
    """Breaks if the picture shows another matrix, cost or count than the one that runs."""
    matrix, cost, counts, _ = figure.axes
    pixels = np.asarray(matrix.images[0].get_array())
    blue = (pixels == [0, 0x72, 0xB2]).all(axis=2)
    assert (pixels[~blue] == 0xE6).all()
    np.testing.assert_array_equal(blue, schedules.parse("back").table)
    widths = [bar.get_width() for bar in cost.patches]
    assert widths[0] == pytest.approx(0.334, abs=5e-4)
    assert widths[-1] == 1.0
    assert [bar.get_height() for bar in counts.patches] == list(range(1, 10))


def mixed(share):
    """The colours between pale and full blue."""
    return share[..., None] * UPDATED + (1 - share[..., None]) * PALE


PALE, UPDATED = np.array([0xC3, 0xDF, 0xF0]), np.array([0, 0x72, 0xB2])


def words_of(figure):
    """All that stands in a picture."""
    return [text.get_text() for text in figure.findobj(Text)]


def test_a_long_schedule_is_summarised():
    """Breaks if a picture has ten thousand rows, a share or cost is wrong, or nothing says so."""
    schedule = schedules.parse("random:3:5000")  # 119 stripes of 42 rows, and one of 2
    long = schedule_heatmap(schedule, LAYERS)
    assert "share of the rows\n42 rows to a stripe" in words_of(long)
    matrix, cost, counts, _ = long.axes
    pixels = np.asarray(matrix.images[0].get_array())
    assert pixels.shape == (120, 9, 3)
    for stripe, rows in ((7, slice(294, 336)), (119, slice(4998, 5000))):
        share = schedule.table[rows].mean(axis=0)
        expected = np.where(share[:, None] > 0, mixed(share), 0xE6)
        np.testing.assert_allclose(pixels[stripe], expected, atol=0.51)
        expected = schedule.row_flops(LAYERS)[rows].mean() / fair_step_flops(LAYERS)
        assert cost.patches[stripe].get_width() == pytest.approx(expected)
    assert (pixels[119] == 0xE6).all(axis=1).any()  # a layer that neither of the two updates
    assert matrix.get_ylim() == (4999.5, -0.5)
    assert f"mean {schedule.relative_cost(LAYERS):.3f}" in cost.get_xlabel()
    assert sum(bar.get_height() for bar in counts.patches) == 15000


def test_rows_that_are_held():
    """Breaks if the axis counts rows, updates are counted once a row, or nothing tells of both."""
    schedule = replace(schedules.parse("back*100"), moments="reset")
    figure = schedule_heatmap(schedule, LAYERS)
    matrix, cost, counts, _ = figure.axes
    assert figure.texts[0].get_text() == "schedule back*100, 9 rows x 100 iterations, moments reset"
    assert matrix.get_ylim() == (900, 0)
    assert list(matrix.images[0].get_extent()) == [0.5, 9.5, 900, 0]
    assert matrix.get_ylabel() == "iteration mod 900"
    assert matrix.get_yticks().tolist() == list(range(0, 1000, 100))
    assert [bar.get_height() for bar in counts.patches] == list(range(100, 1000, 100))
    assert [bar.get_y() + bar.get_height() / 2 for bar in cost.patches] == list(range(50, 900, 100))


def test_factors_are_shades():
    """Breaks if a learning rate's factor is not to be seen, or a skipped layer looks updated."""
    figure = schedule_heatmap(schedules.parse("1@0,2@0.25,3;4@1.5,5@4"), LAYERS)
    pixels = np.asarray(figure.axes[0].images[0].get_array()).astype(int)
    low, high = np.array([0xF3, 0xBE, 0x9C]), np.array([0xC4, 0x4E, 0])
    expected = np.full([2, 9, 3], 0xE6)
    expected[0, :3] = PALE, 0.25 * UPDATED + 0.75 * PALE, UPDATED
    expected[1, 3:5] = (5 * low + high) / 6, high
    assert np.abs(pixels - expected).max() <= 1
    (bar,) = figure.axes[3].child_axes
    assert [label.get_text() for label in bar.get_xticklabels()] == ["0", "1", "4"]
    assert bar.get_xlabel() == "learning rate \N{MULTIPLICATION SIGN}"
    colors = np.asarray(bar.images[0].get_array()).astype(int)[0]
    assert np.abs(colors[[0, 127, 128, 255]] - [PALE, UPDATED, low, high]).max() <= 1


def test_a_schedule_that_spans_the_run():
    """Breaks if annealed learning rates are not averaged, or it is drawn as a cycle."""
    schedule = schedules.parse("freezeout", 9, 50000)  # 10,000 rows of 5 iterations
    figure = schedule_heatmap(schedule, LAYERS)
    matrix, _, counts, _ = figure.axes
    pixels = np.asarray(matrix.images[0].get_array())
    assert pixels.shape == (120, 9, 3)
    rate = schedule.rates[60 * 84 : 61 * 84].mean(axis=0)  # of stripe 60, from the middle
    assert (rate > 0).all() and (rate < 1).all()
    np.testing.assert_allclose(pixels[60], mixed(rate), atol=0.51)
    assert (matrix.get_ylabel(), counts.get_ylabel()) == ("iteration", "updates\nper run")
    assert "mean learning rate \N{MULTIPLICATION SIGN}\n84 rows to a stripe" in words_of(figure)
    assert counts.patches[-1].get_height() == 50000


def test_a_run_that_ends_within_a_row():
    """Breaks if the last row is drawn, or counted in the mean cost, as if it were whole."""
    schedule = schedules.parse("unfreeze:0.95", 9, 50_000)  # 10 rows of 5,278
    matrix, cost, counts, _ = schedule_heatmap(schedule, LAYERS).axes
    assert matrix.get_ylim()[0] == 50_000
    assert [bar.get_height() for bar in counts.patches] == schedule.updates(50_000).tolist()
    assert cost.get_xlabel() == f"FLOPs / fair; mean {schedule.relative_cost(LAYERS):.3f}"


def test_counts_of_many_digits():
    """Breaks if long numbers above the bars turn the axis around."""
    counts = schedule_heatmap(schedules.parse("random:3:10000*1000000000"), LAYERS).axes[2]
    low, high = counts.get_ylim()
    assert low == 0 and high > max(bar.get_height() for bar in counts.patches)


@pytest.mark.parametrize("rows", [1, 19, 49, 101, 10000])
@pytest.mark.parametrize("layers", [1, 9, 30])
def test_typed_schedules_leave_room_for_the_axes(rows, layers):
    """Breaks if the title of a typed schedule is cut, or presses the axes to nothing."""
    text = ";".join(f"1-{1 + row % layers}" for row in range(rows))
    specs = Architecture(28, 1, layers * (Layer(3, 8, 0.05),)).scaled()
    figure = schedule_heatmap(schedules.parse(text, layers), specs)
    figure.canvas.draw()
    (title,) = figure.texts
    edge = figure.bbox
    box = title.get_window_extent()
    assert edge.x0 <= box.x0 < box.x1 <= edge.x1
    for axes, width in zip(figure.axes, (0.5, 0.2, 0.5)):
        assert axes.get_position().width > width
        assert axes.get_window_extent().y1 < box.y0
    heights = [axes.get_window_extent().height / figure.dpi for axes in figure.axes]
    assert min(heights[:2]) > 2 and heights[2] > 0.4


USERS = {
    **matplotlib.style.library["dark_background"],
    "text.usetex": True,
    "font.family": ["No such font"],
    "font.size": 30,
    "axes.grid": True,
    "axes.titlesize": 40,
    "lines.linewidth": 9,
    "figure.dpi": 30,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
}


def drawn_pictures():
    """One picture of each kind, as pixels or as the content of a file."""
    random = np.random.RandomState(0)
    weights = [random.standard_normal([3, 3, 2, 2]) for _ in range(3)]
    images = random.randint(0, 256, [2, 8, 8, 3]).astype(np.uint8)
    numbers = EpochMetrics(1, 2.0, 0.25, 2.1, 0.2, 3.0, 90, (10, 20), 10**9)
    measured = [Measurement(subject, 0.1, 26, (1.0, 2.0), 0.5) for subject in SUBJECTS]
    curve = Curve(*np.arange(1, 16).reshape(5, 3) / 15)
    series = Series("a", "a", False, "a", "a", [curve], Statistic(0.5, None, None, 1), None)
    timed = (ROOT / "logs" / "benchmark" / "tensorflow_2.21.0_width_1.json").read_text()
    figures = {
        "schedule": schedule_heatmap(schedules.parse("back"), LAYERS),
        "long schedule": schedule_heatmap(schedules.parse("freezeout"), LAYERS),
        "curves": learning_curves([numbers], "heading"),
        "layers": layer_curves([layer_metrics(0, weights, weights)], "heading"),
        "updates": update_counts([1, 2], [1, 2], "heading"),
        "weights": weight_histograms(weights, weights, "heading"),
        "images": example_images(images, images[None], ["cat", "dog"], "heading"),
        "benchmark": benchmark_figure(json.loads(timed)),
        "collapse": collapse_figure(measured, "heading"),
        "comparison": comparison_figure([Part("title", [series], {OPERATIONS: []})]),
    }
    pixels = NetworkDrawing(schedules.parse("back"), LAYERS).draw(frames(FAIR)[-1])
    contents = {name: style.render(figure, "png") for name, figure in figures.items()}
    return {**contents, "animation": pixels.tobytes()}


def test_the_users_settings_are_left_alone():
    """Breaks if a matplotlibrc of LaTeX, dark pages and strange fonts changes or stops a picture.

    Or if its settings are lost.
    """
    expected = drawn_pictures()
    with matplotlib.rc_context(USERS):
        before = {name: matplotlib.rcParams[name] for name in USERS}
        drawn = drawn_pictures()
        assert {name: matplotlib.rcParams[name] for name in USERS} == before
    assert [name for name in expected if drawn[name] != expected[name]] == []


PICTURE = """
import os
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL
from unfair_bp.figures import style
from unfair_bp.figures.layers import layer_curves
from unfair_bp.figures.schedule import schedule_heatmap
figure = schedule_heatmap(schedules.parse("back"), ALL_CONVOLUTIONAL.scaled())
style.save(figure, "picture.png")
import matplotlib
print(os.environ["MPLBACKEND"], matplotlib.rcParams["backend"])
"""


NOWHERE = "module://matplotlib_nowhere.backend_inline"
TENSORFLOW_FIRST = "import unfair_bp.backprop.graph_mode\n"


@pytest.mark.parametrize(
    ("backend", "chosen", "first"),
    [
        (NOWHERE, None, ""),
        (NOWHERE, None, TENSORFLOW_FIRST),
        ("nonsense", None, ""),
        ("svg", "svg", ""),
        ("svg", "svg", TENSORFLOW_FIRST),
    ],
)
def test_the_backend_of_a_notebook_need_not_be_there(backend, chosen, first, tmp_path, monkeypatch):
    """Breaks if a command in a notebook's cell cannot draw, or one that is there is not kept.

    Or if TensorFlow cannot be imported: Keras imports Matplotlib, pyplot too.
    """
    monkeypatch.setenv("MPLBACKEND", backend)
    monkeypatch.delenv("DISPLAY", raising=False)
    status, stdout, stderr = commands.run(["-c", first + PICTURE], tmp_path)
    assert status == 0, stderr
    assert stdout.split()[0] == backend
    assert chosen is None or stdout.split()[1] == chosen
    assert (tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_example_images_of_any_channels(channels):
    """Breaks if an image that is not RGB cannot be shown, or is shown in false colours."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, [1, 4, 4, channels]).astype(np.uint8)
    figure = example_images(images, images[None], [r"$\bad$"], r"a heading, $\bad$")
    first = figure.axes[0]
    shown = np.asarray(first.images[0].to_rgba(first.images[0].get_array()))[..., :3]
    grey = images[0].mean(axis=-1, keepdims=True) * np.ones(3)
    expected = images[0] if channels == 3 else grey
    np.testing.assert_allclose(shown * (1 if shown.dtype == np.uint8 else 255), expected, atol=1.1)
    figure.canvas.draw()  # no formula begins at a dollar


@pytest.mark.parametrize(
    ("count", "titles"),
    [
        (1, ["layer 1"]),
        (2, ["layer 1", "layer 2"]),
        (5, ["layers 1-2", "layers 3-4", "layer 5"]),
        (30, ["layers 1-10", "layers 11-20", "layers 21-30"]),
    ],
)
def test_weights_of_any_number_of_layers(count, titles):
    """Breaks if a layer has no curve, two look alike, or a legend covers the curves.

    Or if the axes before training are not those after it.
    """
    random = np.random.RandomState(0)
    before = [random.standard_normal([3, 3, 4, 8]) for _ in range(count)]
    after = [2.0 * weights for weights in before]
    figure = weight_histograms(before, after, "heading")
    figure.canvas.draw()
    left, right = figure.axes[::2], figure.axes[1::2]
    for column in (left, right):
        assert [axes.get_title(loc="left").split(",")[0] for axes in column] == titles
    assert sum(len(axes.get_lines()) for axes in figure.axes) == 2 * count
    for first, second in zip(left, right):
        assert first.get_xlim() == second.get_xlim()
        assert first.get_ylim() == second.get_ylim()
        for axes in (first, second):
            looks = [(line.get_color(), line.get_linestyle()) for line in axes.get_lines()]
            assert len(set(looks)) == len(looks)
            highest = max(max(line.get_ydata()) for line in axes.get_lines())
            peak = axes.transData.transform((0, highest))[1]
            assert axes.get_legend().get_window_extent().y0 > peak - 2


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_save(figure, tmp_path, ending):
    """Breaks if another format is written, or a temporary file stays behind."""
    path = tmp_path / ("picture." + ending)
    style.save(figure, str(path))
    beginnings = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(beginnings[ending])
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_overwritten_only_when_asked(figure, tmp_path):
    """Breaks if a picture replaces what the user has made."""
    path = tmp_path / "picture.png"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists; give --overwrite"):
        style.save(figure, str(path))
    assert path.read_text() == "mine"
    link = tmp_path / "link.png"
    link.symlink_to("nowhere.png")
    with pytest.raises(UsageError, match="exists; give --overwrite"):
        style.save(figure, str(link))
    assert link.is_symlink()
    style.save(figure, str(path), overwrite=True)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", ["picture", "picture.doc", "missing/picture.png"])
def test_what_cannot_be_written(figure, tmp_path, name):
    """Breaks if a wrong name ends in a traceback or leaves a file behind."""
    with pytest.raises(UsageError, match="picture"):
        style.save(figure, str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_cases_of_other_names_are_drawn():
    """Breaks if a comparison knows only the letters of the post's cases, or draws two alike."""
    curve = Curve(*np.arange(1, 16).reshape(5, 3) / 15)
    names = ["a", "mine", "mine", r"$\bad$"]
    final = Statistic(0.5, None, None, 1)
    letters = ["a", "", "", ""]  # of the post's cases
    series = [Series(n, c, False, n, n, [curve], final, None) for n, c in zip(names, letters)]
    pair = Difference(None, None, None, r"$\bad$ - a", 1.0, Statistic(0.1, 0.0, 0.2, 3), None)
    figure = comparison_figure([Part(r"title of $\bad$", series, {OPERATIONS: [pair]})])
    figure.canvas.draw()  # no formula begins at a dollar
    drawn = figure.axes[1].get_lines()
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in drawn]
    assert len(set(looks)) == len(names)
