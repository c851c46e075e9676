"""The scripts' graphs: what they contain, and that TensorFlow makes fair ones of them."""

import pickle
from dataclasses import replace

import commands
import numpy as np
import pytest
from conftest import start_weights, tiny_case

from unfair_bp import collapse
from unfair_bp.data import shapes
from unfair_bp.data.batches import training_batches
from unfair_bp.experiment import ledger
from unfair_bp.figures.collapse import collapse_figure
from unfair_bp.measuring import collapse as measures
from unfair_bp.measuring.scripts_graph import package_graph, scripts_graph

FAIR = 9 + 8 + 9  # convolutions: forward, input gradients but layer 1's, weight gradients
# Rounds of nine; input gradients go down to the lowest updated layer.
BACK = 9 * 9 + 36 + 45
FRONT = 9 * 9 + 9 * 8 + 45


@pytest.mark.parametrize(("schedule", "updates"), [("fair", 9), ("back", 45), ("front", 45)])
def test_every_round_updates_its_layers(schedule, updates):
    """Breaks if a round, or an update of a layer in it, is missing from the graph."""
    built = scripts_graph(tiny_case("a", schedule=schedule))
    operations = built.train.graph.get_operations()
    assigns = [op for op in operations if op.type == "Assign" and op.name.startswith("round_")]
    assert len(assigns) == 3 * updates  # m, v and the weights
    weights = [weight.op for weight in built.weights]
    assigned = [op.inputs[0].op for op in assigns if op.inputs[0].op in weights]
    assert len(assigned) == updates
    assert {op.type for op in weights} == {"VariableV2"}
    assert set(built.train.control_inputs) == set(assigns)


@pytest.mark.parametrize("schedule", ["back", "front"])
def test_nothing_orders_the_rounds(schedule):
    """Breaks if a round waits for another: it would no longer be the scripts' graph."""
    built = scripts_graph(tiny_case("a", schedule=schedule))
    for op in built.train.graph.get_operations():
        if op.name.startswith("round_") and op.type != "NoOp":  # groups, which nothing runs
            assert not op.control_inputs
            own = op.name.split("/")[0]
            others = [t.op.name.split("/")[0] for t in op.inputs]
            assert not [name for name in others if name.startswith("round_") and name != own]


def test_the_table(capsys):
    """Breaks if a number lands on another graph's line or in another column."""
    subject = measures.SUBJECTS[6]
    result = measures.Measurement(subject, 0.1234, 162, tuple(range(1, 10)), 2.5)
    line = measures.as_text([result]).splitlines()[2]
    expected = "back ordered 123 162 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 9.0 2.5e+00"
    assert line.split() == expected.split()


@pytest.mark.parametrize("layers", [1, 5, 30])
def test_tables_and_picture_of_any_number_of_layers(layers):
    """Breaks if a layer is missing from the table, its number stands elsewhere, or nothing fits."""
    movement = tuple(range(1, layers + 1))
    results = [
        measures.Measurement(subject, 0.1, 26, movement, 0.5) for subject in measures.SUBJECTS
    ]
    _, header, first, *_ = measures.as_text(results).splitlines()
    numbers = [str(number) for number in movement]
    assert header.split()[3:] == [*numbers, "apart"]
    assert first.split()[4:] == [f"{number}.0" for number in numbers] + ["5.0e-01"]
    back = collapse_figure(results, "heading").axes[1]
    assert [len(line.get_xdata()) for line in back.get_lines()] == 4 * [layers]


def test_each_graph_is_drawn_where_it_belongs():
    """Breaks if a graph stands in the other schedule's panel, or under another one's name."""
    results = [
        measures.Measurement(subject, 0.1 * (i + 1), 26 + i, (i + 1.0, 2.0), 0.5)
        for i, subject in enumerate(measures.SUBJECTS)
    ]
    _, back, front, cost = collapse_figure(results, "heading").axes
    for axes, schedule in ((back, "back"), (front, "front")):
        assert axes.get_title(loc="left") == f"from the {schedule}"
        expected = [r for i, r in enumerate(results) if i == 0 or r.subject.schedule == schedule]
        drawn = [tuple(line.get_ydata()) for line in axes.get_lines()]
        assert drawn == [result.movement for result in expected]
    names = [label.get_text() for label in cost.get_yticklabels()]
    assert names == [f"{r.subject.schedule}: {r.subject.name}" for r in results]
    assert [bar.get_width() for bar in cost.patches] == pytest.approx(
        [1e3 * result.seconds for result in results]
    )
    said = [text.get_text() for text in cost.texts]
    assert said[2].startswith("300 ms, 28 conv.")


def test_movement_is_in_learning_rates(monkeypatch):
    """Breaks if a movement is not divided, the time not the median, or "apart" of another layer."""
    start = [np.zeros([2, 2]), np.zeros([3])]
    moved = {"fair": [0.1, 0.4], "back": [0.1, 0.5], "front": [0.3, 0.4]}

    class Bench:
        def __init__(self, subject, case):
            self.subject, self.session, self.built = subject, self, self
            self.weights, self.times = (), [5.0, 1.0, 9.0]

        def train(self, batch, first=False):
            return 0.0 if first else self.times.pop()

        def run(self, _):
            return [w + far for w, far in zip(start, moved[self.subject.schedule])]

        def count_convolutions(self, batch):
            return 26

        def close(self):
            pass

    monkeypatch.setattr(measures, "Bench", Bench)
    monkeypatch.setattr(measures, "starting_weights", lambda case: start)
    subjects = [measures.Subject("scripts", name, None) for name in moved]
    case = tiny_case("a", learning_rate=0.01)
    fair, back, front = measures.measure(case, iterations=1, repeats=3, subjects=subjects)
    assert fair.movement == pytest.approx((10, 40)) and front.movement == pytest.approx((30, 40))
    assert [found.seconds for found in (fair, back, front)] == [5.0] * 3
    assert (fair.apart, back.apart, front.apart) == pytest.approx((0.0, 0.25, 2.0))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--iterations", "0"], "--iterations 0"),
        (["--repeats", "-1"], "--repeats -1"),
        (["--width", "0.001"], "--width 0.001"),
    ],
)
def test_bad_options_are_usage_errors(words, named, capsys):
    """Breaks if a number that cannot be run is found out by a traceback."""
    assert commands.here(collapse.main, *words) == 2
    assert named in capsys.readouterr().err


def test_a_picture_is_not_overwritten(tmp_path, capsys):
    """Breaks if an existing picture is replaced, or found only after a minute of measuring."""
    png = tmp_path / "there.png"
    png.write_bytes(b"mine")
    assert commands.here(collapse.main, "--png", png) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert png.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--iterations", 1], "--iterations 1 is out of range; give 2 to 100000"),
        (["--repeats", 0], "--repeats 0 is out of range"),
        (["--iterations", 20000], "--iterations 20000 with --batch-size 10 is too much"),
        (["--iterations", 10000], "give a product of at most 99990"),
        (["--repeats", 10**20], "give 1 to 100000"),
        (["--batch-size", 50000], "--batch-size 50000 is too much; give at most 33333"),
    ],
)
def test_numbers_that_cannot_be_measured(capsys, monkeypatch, words, named):
    """Breaks if a wrong number of batches is found after minutes, or names another option."""
    monkeypatch.setattr(measures, "measure", None)
    assert commands.here(collapse.main, *words) == 2
    assert named in capsys.readouterr().err


MEASURE = """
import pickle, sys
from unfair_bp.measuring import collapse
case = pickle.load(open("case", "rb"))
pickle.dump(collapse.measure(case, iterations=2, repeats=1), open("results", "wb"))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """All subjects after two batches, the first of which moves nothing in the scripts' graphs.

    A quarter of the width: narrower graphs leave the unordered reads little time before the
    assignments. Only two batches: rounding then is not yet enlarged by Adam. In a process of its
    own, with all threads as in 2018: this one has one, whatever is asked for.
    """
    place = tmp_path_factory.mktemp("collapse")
    case = replace(tiny_case("a"), width=0.25, threads=0)
    (place / "case").write_bytes(pickle.dumps(case))
    status, _, stderr = commands.run(["-c", MEASURE], place)
    assert status == 0, stderr
    results = pickle.loads((place / "results").read_bytes())
    return {(result.subject.schedule, result.subject.name): result for result in results}


@pytest.mark.slow
def test_collapsed_graphs_execute_one_round(measured):
    """Breaks if TensorFlow no longer merges the rounds, or the count misses convolutions."""
    for schedule in ("fair", "back", "front"):
        assert measured[schedule, "scripts"].convolutions == FAIR


@pytest.mark.slow
def test_all_rounds_are_executed_without_optimisations(measured):
    """Breaks if some optimisation is still on, and so blurs the comparison."""
    name = "scripts, optimisations off"
    found = [measured[schedule, name].convolutions for schedule in ("fair", "back", "front")]
    assert found == [FAIR, BACK, FRONT]


@pytest.mark.slow
def test_ordered_graphs_execute_all_rounds(measured):
    """Breaks if the package's graphs lose rounds to the same optimisation."""
    # Nine rounds of weight gradients and input gradients; forward, what has changed since the last.
    assert measured["back", "ordered"].convolutions == 45 + 36 + (9 + 36)
    assert measured["front", "ordered"].convolutions == FRONT


@pytest.mark.slow
def test_collapsed_graphs_move_as_the_fair_one(measured):
    """Breaks if some round still updates its layers by itself.

    On a busy machine an assignment may overtake the reading of part of a layer's m, so that a
    single layer moves a little less or more; a second round would move most of them twice as far.
    """
    fair = np.array(measured["fair", "scripts"].movement)
    for schedule in ("back", "front"):
        ratio = measured[schedule, "scripts"].movement / fair
        assert np.sum(np.abs(ratio - 1) > 1e-2) <= 2, ratio
        assert np.all(np.abs(ratio - 1) < 0.5), ratio


def rounds_of(built):
    """Each weight's updates in all rounds, and the forward convolutions that read it."""
    operations = [op for op in built.train.graph.get_operations() if op.name.startswith("round_")]
    assigns = [op for op in operations if op.type == "Assign"]
    convolutions = [op for op in operations if op.type == "Conv2D"]
    for number, weight in enumerate(built.weights, start=1):
        updates = [op for op in assigns if op.inputs[0].op is weight.op]
        place = f"/layer_{number}/"
        yield updates, [op for op in convolutions if place in op.name]


def in_observed_order(case):
    """The scripts' graph with the order that TensorFlow finds: every weight moves first.

    Nothing orders it by itself, and on a busy machine a layer may be read in the middle of its
    move. Here all new values of a layer are computed before any is stored; layers 2 to 9 wait for
    their moved weights, layer 1's weights for its convolutions, and m and v for the steps.
    """
    built = scripts_graph(case)
    operations = [op for op in built.train.graph.get_operations() if op.name.startswith("round_")]
    assigns = [op for op in operations if op.type == "Assign"]
    moves = []
    for number, (updates, convolutions) in enumerate(rounds_of(built), start=1):
        assert len(convolutions) == 9
        moves += updates
        steps = [op.inputs[1].op for op in updates]
        for update in updates:
            update._add_control_inputs([*steps, *(convolutions if number == 1 else [])])
        if number > 1:
            for convolution in convolutions:
                convolution._add_control_inputs(updates)
    moments = [op for op in assigns if op not in moves]
    values = [op.inputs[1].op for op in moments]
    for op in moments:
        op._add_control_inputs([*moves, *values])
    return built


def updates_in_turn(case):
    """The scripts' graph, every update of a layer made and none of them lost.

    Every gradient is taken at the weights that the last batch left, and m and v are stored last.
    """
    built = scripts_graph(case)
    operations = [op for op in built.train.graph.get_operations() if op.name.startswith("round_")]
    assigns = [op for op in operations if op.type == "Assign"]
    by_weight = [updates for updates, _ in rounds_of(built)]
    late = {*assigns, *(op.inputs[1].op for updates in by_weight for op in updates)}
    early = [op for op in operations if op not in late and op.type != "NoOp"]
    for op in assigns:
        op._add_control_inputs(early)
    for updates in by_weight:
        for before, after in zip(updates, updates[1:]):
            after.inputs[1].op._add_control_input(before)
    return built


def movement(build, case, batches, optimised=True):
    """How each weight of every layer has moved after some batches; in the scripts', one less."""
    data = shapes.load(batches * case.batch_size, 1)
    bench = measures.Bench(measures.Subject("", case.schedule, build, optimised), case)
    fed = training_batches(data.train_images, data.train_labels, case, epoch=0)
    for number, batch in enumerate(fed):
        bench.train(batch, first=number == 0)
    weights = bench.session.run(list(bench.built.weights))
    bench.session.close()
    return [after - before for after, before in zip(weights, start_weights(case, case.seed))]


@pytest.mark.slow
def test_ordered_rounds_move_layers_unevenly(measured):
    """Breaks if the package's unfair graphs move all layers alike."""
    back, front = measured["back", "ordered"].movement, measured["front", "ordered"].movement
    assert back[-1] > 3 * back[0]
    assert front[0] > 3 * front[-1]


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["back", "front"])
def test_the_scripts_rounds_would_move_layers_unevenly(schedule):
    """Breaks if a round does nothing even where it is executed: collapse would prove nothing."""
    case = replace(tiny_case("a", schedule=schedule), width=0.25)
    moved = movement(updates_in_turn, case, batches=2, optimised=False)
    steps = [np.mean(np.abs(change)) / case.learning_rate for change in moved]
    updates = np.arange(1, 10) if schedule == "back" else np.arange(9, 0, -1)
    np.testing.assert_allclose(steps, updates, rtol=1e-2)


@pytest.mark.slow
def test_as_run_is_what_becomes_of_the_scripts(record_property):
    """Breaks if ``--as-run`` is not what TensorFlow makes of a script's graph, or lacks a quirk."""
    case = replace(tiny_case("c"), width=0.25, quirks=ledger.as_run("c"))

    def apart(names, batches):
        """Worst layer's mean difference, relative to the scripts' movement."""
        ours = movement(package_graph, replace(case, quirks=names), batches)
        scripts = movement(in_observed_order, case, batches)
        pairs = zip(ours, scripts)
        return max(np.mean(np.abs(a - b)) / np.mean(np.abs(b)) for a, b in pairs)

    twenty = apart(case.quirks, batches=20)
    record_property("apart_after_20_batches", twenty)
    assert twenty < 1e-4
    for name in ("elu-slope", "adam-constant", "update-first", "collapsed-rounds"):
        names = tuple(quirk for quirk in case.quirks if quirk != name)
        # A cycle of rounds is run on each batch unless they collapse: here none may move first.
        if name == "collapsed-rounds":
            names = tuple(quirk for quirk in names if quirk != "update-first")
        assert apart(names, batches=3) > 0.1, name


READINGS = """
import pickle, sys
from unfair_bp.experiment import cases
from unfair_bp.measuring import collapse
found = collapse.readings(cases.CASES["a"], 6)
pickle.dump([(reading.schedule, reading.apart) for reading in found], open("results", "wb"))
"""


@pytest.mark.slow
def test_an_unordered_iteration_computes_with_the_weights_just_moved(tmp_path):
    """Breaks if the scripts' gradients came from other weights than ``--as-run`` has them from.

    At the full width, in a process of its own with all threads. On an idle machine most iterations
    are exactly the third candidate; in the others part of a layer is read in the middle of its
    move, and beside other work that is the rule.
    """
    status, _, stderr = commands.run(["-c", READINGS], tmp_path)
    assert status == 0, stderr
    found = pickle.loads((tmp_path / "results").read_bytes())
    assert [schedule for schedule, _ in found] == ["back"] * 6 + ["front"] * 6
    for other in ("old", "new"):
        assert sum(apart["layer 1 old"] < apart[other] for _, apart in found) > 6, found
    assert min(apart["layer 1 old"] for _, apart in found) < 0.1 * found[0][1]["old"], found


def test_readings_in_words():
    """Breaks if the width is not said, columns change places, or the worst is not the largest."""
    found = [
        measures.Reading("back", 2, {"old": 0.9, "new": 0.5, "layer 1 old": 0.0}),
        measures.Reading("front", 3, {"old": 0.8, "new": 0.6, "layer 1 old": 0.1}),
    ]
    lines = measures.readings_as_text(found, 0.5).splitlines()
    assert lines[0].startswith("At width 0.5: the logits")
    assert [line.split() for line in lines[-3:]] == [
        ["back", "2", "9.0e-01", "5.0e-01", "0.0e+00"],
        ["front", "3", "8.0e-01", "6.0e-01", "1.0e-01"],
        ["all", "worst", "9.0e-01", "6.0e-01", "1.0e-01"],
    ]
