"""The benchmark: what it compares is the same work, and its report says what was measured."""

import copy
import json
import os
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY, relative_error, start_weights, tiny_case
from matplotlib.collections import PolyCollection

from unfair_bp import benchmark
from unfair_bp.backprop.fast.choice import name_of_choice
from unfair_bp.backprop.graph import build_graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.commandline import run
from unfair_bp.data import augment
from unfair_bp.data.batches import AUGMENTED_TOGETHER
from unfair_bp.errors import LibraryError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import (
    ALL_CONVOLUTIONAL,
    Architecture,
    Layer,
    forward_flops,
)
from unfair_bp.figures.benchmark import WHOLE, benchmark_figure
from unfair_bp.measuring import benchmark as benchmarking
from unfair_bp.measuring import processes, subjects, throughput
from unfair_bp.measuring.autodiff import build_autodiff_graph


@pytest.fixture(scope="module")
def result():
    """A benchmark of a tiny network, and of matrices that take no seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects, "MATRIX_SIZES", (128, 256))
        patch.setattr(benchmarking, "HELP_STARTS", 1)
        return benchmarking.measure(tiny_case("a", threads=1), repeats=2, input_repeats=1)


def test_autodiff_trains_the_same_network(batch):
    """Breaks if the step that is compared with is not the hand-written one's work."""
    # Powers of two: TensorFlow's Adam rounds its settings to float32.
    settings = {"learning_rate": 2**-10, "beta1": 0.75, "beta2": 0.875, "epsilon": 1e-14}
    case = tiny_case("a", **settings)
    weights = start_weights(case, case.seed)
    automatic = build_autodiff_graph(case, tf.float64)
    manual = build_graph(case, dtype=tf.float64)
    results = []
    for built, start in ((automatic, automatic.start), (manual, manual.start(weights))):
        with tf.Session(graph=built.train.graph) as session:
            session.run(built.initializer, start)
            feed = {built.images: batch[0], built.labels: batch[1]}
            for _ in range(3):
                fetched = session.run(
                    (built.train, built.outputs.costs, built.outputs.predictions), feed
                )
            results.append((fetched[1], fetched[2], session.run(list(built.weights))))
    (costs, predictions, trained), (expected_costs, expected_predictions, expected) = results
    assert relative_error(costs, expected_costs) <= 1e-9
    assert predictions.tolist() == expected_predictions.tolist()
    for after, other, before in zip(trained, expected, weights):
        assert relative_error(after - before, other - before) <= 1e-6


def test_steps_and_their_floors(result):
    """Breaks if a row is missing, or a step's operations are not those of its schedule."""
    layers, images = ALL_CONVOLUTIONAL.scaled(TINY), 4
    steps = {(step["name"], step["row"]): step for step in result["steps"]}
    flops = {place: step["flops"] / images for place, step in steps.items()}
    fair = schedules.fair_step_flops(layers)
    assert flops["fair", None] == flops["autodiff", None] == fair
    assert flops["forward", None] == forward_flops(layers)
    for name in ("back", "front"):
        schedule = schedules.parse(name)
        rows = [flops[name, row] for row in range(9)]
        assert rows == list(schedule.row_flops(layers))
        assert flops[f"{name}, mean", None] == pytest.approx(np.mean(rows))
        assert flops[f"{name}, per batch", None] == schedule.cycle_flops(layers)
    assert len(steps) == 2 + 3 + 2 * (9 + 1 + 1)
    for step in steps.values():
        low, median, high = step["seconds"]
        assert 0 < low <= median <= high < 60


def test_every_pass_in_every_form(result):
    """Breaks if a layer or form is missing, or the form that is marked is not the one in use."""
    layers = ALL_CONVOLUTIONAL.scaled(TINY)
    found = {}
    for row in result["forms"]:
        assert row["flops"] == 4 * layers[row["layer"] - 1].flops
        assert 0 < row["seconds"][1] < 60
        found.setdefault((row["layer"], row["name"]), {})[row["form"]] = row["chosen"]
    assert len(found) == 9 + 8 + 9
    for (number, _), chosen in found.items():
        layer = layers[number - 1]
        assert list(chosen) == ["plain", "library"] + ["Winograd"] * (layer.kernel == 3)
        assert [form for form, used in chosen.items() if used] == [name_of_choice(layer)]


@pytest.mark.parametrize("form", ["plain", "library", "Winograd"])
def test_the_form_in_use_is_marked(form, monkeypatch):
    """Breaks if another form is called the one in use, or is timed under its name."""
    two = Architecture(32, 3, (Layer(3, 8, 0.05), Layer(3, 10, 0.05)))
    monkeypatch.setattr(subjects, "name_of_choice", lambda layer: form)
    case = replace(tiny_case("a", threads=1), architecture=two, width=1.0)
    with subjects.forms(case) as works:
        chosen = {(row.layer, row.name): row.form for row in works if row.chosen}
        names = {row: work.subject.name for row, work in works.items()}
    places = [(1, "forward"), (1, "param_grad")]
    places += [(2, name) for name in ("forward", "input_grad", "param_grad")]
    assert chosen == dict.fromkeys(places, form)
    assert all(name == f"{row.layer} {row.name} {row.form}" for row, name in names.items())


def test_subjects_do_what_they_are_called():
    """Breaks if a subject runs another schedule or protocol, or the forward pass trains.

    Or if each is not about as much work as nine fair steps.
    """
    with subjects.steps(tiny_case("a", threads=1)) as works:
        counts = {}
        for name in ("forward", "fair", "back", "front", "back, per batch", "front, per batch"):
            bench = works[name].subject.laps[0].__self__
            before = bench.session.run([layer.count for layer in bench.graph.layers])
            laps = works[name].subject.laps
            for lap in laps:
                lap()
            assert len(laps) == len(works[name].flops)
            assert 0.8 < sum(works[name].flops) / sum(works["fair"].flops) < 1.2
            after = bench.session.run([layer.count for layer in bench.graph.layers])
            counts[name] = list(np.subtract(after, before))
    nine = list(range(1, 10))
    assert counts == {
        "forward": [0] * 9,
        "fair": [9] * 9,
        "back": [2 * n for n in nine],
        "front": nine[::-1],
        "back, per batch": [4 * n for n in nine],
        "front, per batch": nine[::-1],
    }


def test_inputs_fit_the_network():
    """Breaks if what is measured knows of 32 pixels, three channels or ten classes."""
    small = Architecture(8, 1, (Layer(3, 4, 0.05, pool=True), Layer(1, 3, 0.05)))
    case = replace(tiny_case("a", threads=1), architecture=small, width=1.0, data="own")
    images, labels = subjects.noise(case, 50)
    assert images.shape == (50, 8, 8, 1) and set(labels) == {0, 1, 2}
    with subjects.steps(case) as works:
        for name in ("forward", "fair", "autodiff", "back", "back, per batch"):
            works[name].subject.laps[0]()
        assert works["back"].period == 2


def test_rows_are_told_apart():
    """Breaks if laps of one row count for another, or only some of the periods count."""
    laps = [lambda: None] * 4
    works = {
        "back": subjects.Work(subjects.Subject("back", laps), [2, 6, 2, 6], period=2),
        "fair": subjects.Work(subjects.Subject("fair", laps), [6] * 4),
    }
    steps = benchmarking._steps(works, {name: np.array([[1.0, 10.0, 3.0, 30.0]]) for name in works})
    assert [(step["name"], step["row"], step["seconds"][1], step["flops"]) for step in steps] == [
        ("back", 0, 2.0, 2.0),
        ("back", 1, 20.0, 6.0),
        ("back, mean", None, 11.0, 4.0),
        ("fair", None, 11.0, 6.0),
    ]


def test_input_laps_train(monkeypatch):
    """Breaks if batches are not fed one by one, or a second lap has none."""
    fed = []
    monkeypatch.setattr(subjects, "Bench", FakeBench)
    FakeBench.step = staticmethod(lambda images, labels: fed.append((images, labels)))
    case = tiny_case("b")
    with subjects.inputs(case) as laps:
        for subject in [*laps, *laps]:
            fed.clear()
            subject.laps[0]()
            assert len(fed) == subjects.iterations_per_lap(case) == AUGMENTED_TOGETHER // 2
            assert {images.shape for images, _ in fed} == {(4, 32, 32, 3)}


class FakeBench:
    """A bench without a graph."""

    def __init__(self, case):
        assert case.augment
        self.session = self

    def close(self):
        """As a session."""


def test_start_and_memory(result):
    """Breaks if a time or the memory is not measured, or not in its unit."""
    start = result["start"]
    assert 0.01 < start["help_seconds"][1] < 60
    assert 0.1 < start["import_seconds"] < 60
    assert 0.001 < start["graph_seconds"] < 30
    # The images alone are 184 million bytes.
    assert 184e6 < start["peak_bytes"] < 4e9


def test_peak_memory_grows_with_what_is_held():
    """Breaks if the figure is in kilobytes, or another process's."""
    before = processes.memory()["peak_bytes"]
    held = np.ones(before + 200 * 2**20, np.uint8)
    assert processes.memory()["peak_bytes"] - before > 100 * 2**20
    del held


def test_text_and_picture(result):
    """Breaks if the table lacks a step or a ratio is not of medians, or nothing is drawn."""
    text = benchmarking.as_text(result)
    steps = {(step["name"], step["row"]): step for step in result["steps"]}
    fair, last = steps["fair", None], steps["back", 8]
    (line,) = [line for line in text.splitlines() if line.startswith("back, row 8")]
    relative = last["seconds"][1] / fair["seconds"][1]
    assert f"{relative:.3f}" in line.split()
    assert "1.000" in line.split()  # its floor
    rate = max(
        step["flops"] / step["seconds"][1] / 1e9
        for step in steps.values()
        if "product" in step["name"]
    )
    assert benchmarking.multiply_rate(result) == rate
    assert ("%.3f" % (last["flops"] / last["seconds"][1] / 1e9 / rate)) in line.split()
    assert sum(line.startswith(("back", "front")) for line in text.splitlines()) == 22
    table = text[text.index("the convolution alone") :].splitlines()
    for start, title, layers in (
        (2, "forward", "123456789"),
        (14, "input gradient", "23456789"),
        (25, "weight gradient", "123456789"),
    ):
        assert table[start] == title
        assert table[start + 1].split() == ["layer", "plain", "library", "Winograd"]
        rows = table[start + 2 : start + 2 + len(layers)]
        assert [row.split()[0] for row in rows] == list(layers)
        assert [row.count("*") for row in rows] == [1] * len(layers)
    (form,) = [
        form
        for form in result["forms"]
        if (form["name"], form["layer"], form["form"]) == ("forward", 1, "plain")
    ]
    rate = "%.0f" % (form["flops"] / form["seconds"][1] / 1e9)
    assert table[4].split()[1].rstrip("*") == rate
    (ready, first), (augmented, second) = result["input"].items()
    times = 1e3 * first[1], 1e3 * second[1]
    expected = f"{ready} {times[0]:.2f} ms, {augmented} {times[1]:.2f} ms an iteration: "
    assert expected + f"{times[1] / times[0]:.3f}\n" in text
    figure = benchmark_figure(result)
    back, front, whole = figure.axes
    for axes, name in ((back, "back"), (front, "front")):
        heights = [bar.get_height() for bar in axes.patches]
        expected = [steps[name, row]["seconds"][1] / fair["seconds"][1] for row in range(9)]
        assert heights == pytest.approx(expected)
        (floors,) = [line.get_ydata() for line in axes.lines if "floor" in line.get_label()]
        expected = [steps[name, row]["flops"] / fair["flops"] for row in range(9)]
        assert list(floors) == pytest.approx(expected)
    names = [label.get_text() for label in whole.get_yticklabels()]
    shown = dict(zip(names, whole.patches))
    (floors,) = [line.get_xdata() for line in whole.lines if line.get_marker() == "|"]
    for name, label in WHOLE.items():
        step = steps[name, None]
        assert shown[label].get_width() == pytest.approx(step["seconds"][1] / fair["seconds"][1])
        assert floors[names.index(label)] == pytest.approx(step["flops"] / fair["flops"])
    said = [text.get_text() for text in whole.texts]
    assert [float(words.split()[0]) for words in said] == pytest.approx(
        [bar.get_width() for bar in whole.patches], abs=0.0051
    )


def test_a_bar_that_is_cut_is_marked(result):
    """Breaks if a bar or a whisker runs out of the panel and nothing says how far."""
    slow = copy.deepcopy(result)
    steps = {(step["name"], step["row"]): step for step in slow["steps"]}
    fair = steps["fair", None]["seconds"][1]
    for name in ("back", "front"):
        for row in range(9):
            steps[name, row]["seconds"] = [0.9 * fair, fair, 1.1 * fair]
    steps["front", 4]["seconds"] = [1.2 * fair, 1.5 * fair, 1.75 * fair]
    steps["back", 8]["seconds"][2] = 1.6 * fair
    back, front, _ = benchmark_figure(slow).axes
    gaps = [axes.findobj(PolyCollection) for axes in (back, front)]
    assert list(map(len, gaps)) == [0, 1]
    inside = gaps[1][0].get_paths()[0].get_extents()
    assert 3.5 < inside.x0 < inside.x1 < 4.5 and 1 < inside.y0 < inside.y1 < front.get_ylim()[1]
    words = {axes: [(text.xy[0], text.get_text()) for text in axes.texts] for axes in (back, front)}
    assert words[back] == [(8, "1.00 (0.90 to 1.60) \N{RIGHTWARDS ARROW}")]
    assert words[front] == [(4, "1.50 (1.20 to 1.75) \N{RIGHTWARDS ARROW}")]


def test_command_writes_its_files(tmp_path, capsys, monkeypatch, result):
    """Breaks if the files are not written, or one that exists is replaced unasked."""
    asked = []

    def measured(case, *repeats):
        asked.append(repeats)
        return result

    monkeypatch.setattr(benchmarking, "measure", measured)
    png, facts = tmp_path / "b.png", tmp_path / "b.json"
    words = ["--png", str(png), "--json", str(facts)]
    assert run(benchmark.main, words) == 0
    assert json.loads(facts.read_text()) == json.loads(json.dumps(result))
    assert png.stat().st_size > 1000
    assert run(benchmark.main, words) == 2
    assert "exists" in capsys.readouterr().err
    assert run(benchmark.main, [*words, "--overwrite", "--repeats", "3"]) == 0
    assert run(benchmark.main, ["--input-repeats", "2"]) == 0
    assert asked == [(11, 5), (3, 5), (11, 2)]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--repeats", "0"], "--repeats 0 is out of range"),
        (["--input-repeats", "-3"], "--input-repeats -3 is out of range"),
        (["--repeats", "1" + 20 * "0"], "give 1 to 100000"),
        (["--batch-size", "3"], "--batch-size 3 is odd"),
        (["--json", "there/is/none.json"], "there/is/none.json"),
        (["--json", "."], "is a directory"),
        (["--json", ""], "--json"),
        (["--json", "x.png", "--png", "./x.png"], "x.png is named twice"),
        (["--png", "picture.exe"], "'.exe'"),
    ],
)
def test_bad_input_is_one_line(words, expected, capsys, tmp_path, monkeypatch):
    """Breaks if a mistake costs minutes before it is reported, or is a traceback."""
    monkeypatch.chdir(tmp_path)
    assert run(benchmark.main, words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert expected in error
    assert not list(tmp_path.iterdir())


def test_a_missing_library_costs_no_minutes(monkeypatch):
    """Breaks if everything else is measured before augmentation fails."""

    def missing():
        raise ModuleNotFoundError("No module named 'cv2'")

    monkeypatch.setattr(augment, "_import_imgaug", missing)
    monkeypatch.setattr(processes, "seconds_of_help", lambda: pytest.fail("measured"))
    with pytest.raises(LibraryError, match=r"^augmentation needs .*'cv2'; install imgaug and"):
        benchmarking.measure(tiny_case("a"), 1, 1)


def test_an_odd_batch_is_fine_without_augmentation(monkeypatch):
    """Breaks if many runs at once, which augment nothing, are refused as the input would be."""
    seen = []
    monkeypatch.setattr(benchmarking, "measure_sweep", lambda case, *_: seen.append(case) or {})
    monkeypatch.setattr(benchmarking, "as_text", str)
    assert run(benchmark.main, ["--sweep", "--batch-size", "5"]) == 0
    assert [case.batch_size for case in seen] == [5]


# --- many runs at once


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        (2, [1, 2], [(1, 1), (1, 2), (2, 1)]),
        (2, [4], [(1, 2), (4, 1)]),
        (8, [1, 2, 8], [(1, 1), (1, 8), (2, 1), (2, 4), (8, 1)]),
    ],
)
def test_runs_and_their_threads(cores, workers, expected):
    """Breaks if the one run with all cores, or a fair share of the cores, is not tried."""
    assert throughput.combinations(cores, workers) == expected


def test_many_runs_at_once(monkeypatch):
    """Breaks if runs do not train at the same time, or what they hold in common is not told."""
    monkeypatch.setattr(throughput, "TRAIN_IMAGES", 500)
    monkeypatch.setattr(throughput, "TEST_IMAGES", 100)
    case = tiny_case("a", epochs=2)
    turns, took = [], []
    real = throughput._turn

    def kept(*arguments):
        sessions = {os.getsid(process.pid) for process in arguments[0]}
        assert len(sessions) == len(arguments[0]) and os.getsid(0) not in sessions  # for Ctrl-C
        started = time.perf_counter()
        turns.append(real(*arguments))
        took.append(time.perf_counter() - started)
        return turns[-1]

    monkeypatch.setattr(throughput, "_turn", kept)
    result = throughput.measure(case, 2, [2], repeats=2, seconds=0.5)
    assert [len(turn) for turn in turns].count(1) == 2
    assert [len(turn) for turn in turns].count(2) == 2
    assert all(report.seconds >= 0.5 for turn in turns for report in turn)
    for turn, duration in zip(turns, took):
        assert len(turn) == 1 or duration < sum(report.seconds for report in turn)
    # An epoch has 125 batches of four images.
    rates = [
        [
            sum(report.iterations / report.seconds for report in turn)
            for turn in turns
            if len(turn) == n
        ]
        for n in (1, 2)
    ]
    for row, rate, pair in zip(result["throughput"], rates, [(1, 2), (2, 1)]):
        assert (row["workers"], row["threads"]) == pair
        assert row["runs_per_hour"][1] == pytest.approx(3600 * np.mean(rate) / 250)
    peak, shared = result["memory"]["peak_bytes"], result["memory"]["shared_bytes"]
    if sys.platform == "linux":
        assert 0 < shared < peak


def test_the_table_of_many_runs_at_once():
    """Breaks if a column, the ratio to one run, or the sum of memories is wrong."""
    rows = [(1, 1, 3.0), (1, 2, 4.0), (2, 1, 6.0)]
    result = {
        "environment": {"python": "3"},
        "settings": {"cores": 2},
        "throughput": [
            {"workers": w, "threads": t, "runs_per_hour": [r - 1, r, r + 1]} for w, t, r in rows
        ],
        "memory": {"peak_bytes": 3 * 2**29, "shared_bytes": 2**29},
    }
    lines = benchmarking.as_text(result).splitlines()
    cells = [line.split() for line in lines]
    assert ["1", "1", "3", "2", "-", "4", "0.750"] in cells
    assert ["1", "2", "4", "3", "-", "5", "1.000"] in cells
    assert ["2", "1", "6", "5", "-", "7", "1.500"] in cells
    assert "of 1: 1.50, of 2: 2.50, of 4: 4.50, of 8: 8.50; 0.50 of it" in lines[-1]
    result["memory"] = {"peak_bytes": None, "shared_bytes": None}
    assert benchmarking.as_text(result).endswith("memory   unknown")
    result["memory"] = {"peak_bytes": 2**30, "shared_bytes": None}  # as older Linux tells it
    assert benchmarking.as_text(result).endswith("memory   unknown")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sweep", "--threads", "1"], "--threads cannot be given with --sweep"),
        (["--sweep", "--png", "x.png"], "--png cannot be given with --sweep"),
        (["--sweep", "--workers", "0", "1"], "--workers 0 is out of range"),
        (["--sweep", "--input-repeats", "3"], "--input-repeats cannot be given with --sweep"),
        (["--workers", "2"], "--workers works only with --sweep"),
        (["--epochs", "2"], "--epochs works only with --sweep"),
    ],
)
def test_options_that_do_not_go_together(capsys, words, said):
    """Breaks if an option is silently of no use."""
    assert run(benchmark.main, words) == 2
    assert said in capsys.readouterr().err
