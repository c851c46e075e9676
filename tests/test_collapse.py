"""The scripts' graphs: what they contain, and that TensorFlow makes fair ones of them."""

import pickle
from dataclasses import replace

import commands
import numpy as np
import pytest
from conftest import start_weights, tiny_case

from unfair_bp import collapse, quirks
from unfair_bp.data import shapes
from unfair_bp.data.batches import training_batches
from unfair_bp.graph import build_graph
from unfair_bp.graph_mode import tf

FAIR = 9 + 8 + 9  # convolutions: forward, input gradients but layer 1's, weight gradients
# Rounds of nine; input gradients go down to the lowest updated layer.
BACK = 9 * 9 + 36 + 45
FRONT = 9 * 9 + 9 * 8 + 45


@pytest.mark.parametrize(("schedule", "updates"), [("fair", 9), ("back", 45), ("front", 45)])
def test_every_round_updates_its_layers(schedule, updates):
    """Breaks if a round, or an update of a layer in it, is missing from the graph."""
    built = collapse.scripts_graph(tiny_case("a", schedule=schedule))
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
    built = collapse.scripts_graph(tiny_case("a", schedule=schedule))
    for op in built.train.graph.get_operations():
        if op.name.startswith("round_"):
            assert not op.control_inputs
            own = op.name.split("/")[0]
            others = [t.op.name.split("/")[0] for t in op.inputs]
            assert not [name for name in others if name.startswith("round_") and name != own]


def test_the_table(capsys):
    """Breaks if a number lands on another graph's line or in another column."""
    subject = collapse.SUBJECTS[6]
    result = collapse.Measurement(subject, 0.1234, 162, tuple(range(1, 10)), 2.5)
    line = collapse.as_text([result]).splitlines()[2]
    expected = "back ordered 123 162 1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0 9.0 2.5e+00"
    assert line.split() == expected.split()


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


MEASURE = """
import pickle, sys
from unfair_bp import collapse
case = pickle.load(open("case", "rb"))
pickle.dump(collapse.measure(case, iterations=2, repeats=1), open("results", "wb"))
"""


def measure(place, threads):
    """All subjects after two batches, the first of which moves nothing in the scripts' graphs.

    A quarter of the width: narrower graphs leave the unordered reads little time before the
    assignments. Only two batches: rounding then is not yet enlarged by Adam. In a process of its
    own, since this one has one thread, whatever is asked for.
    """
    case = replace(tiny_case("a"), width=0.25, threads=threads)
    (place / "case").write_bytes(pickle.dumps(case))
    status, _, stderr = commands.run(["-c", MEASURE], place)
    assert status == 0, stderr
    results = pickle.loads((place / "results").read_bytes())
    return {(result.subject.schedule, result.subject.name): result for result in results}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What all subjects do with all threads, as in 2018: collapsed graphs need them."""
    return measure(tmp_path_factory.mktemp("collapse"), threads=0)


@pytest.fixture(scope="module")
def measured_by_one_thread(tmp_path_factory):
    """What all subjects do by one thread: nothing races, so that no round's update is lost."""
    return measure(tmp_path_factory.mktemp("collapse"), threads=1)


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
def test_collapsed_graphs_move_as_the_fair_one(measured, tmp_path):
    """Breaks if some round still updates its layers by itself.

    An assignment may overtake the reading of part of a layer's m, so that a single layer moves a
    little less or more, and rarely more than that happens: then the measurement is made again. A
    second round would move most layers twice as far every time.
    """

    def ratios(measured):
        fair = np.array(measured["fair", "scripts"].movement)
        return np.array([measured[name, "scripts"].movement / fair for name in ("back", "front")])

    def alike(ratios):
        few = np.all(np.sum(np.abs(ratios - 1) > 1e-2, axis=1) <= 2)
        return few and np.all(np.abs(ratios - 1) < 0.5)

    found = [ratios(measured)]
    while not alike(found[-1]) and len(found) < 4:
        place = tmp_path / str(len(found))
        place.mkdir()
        found.append(ratios(measure(place, threads=0)))
    assert alike(found[-1]), found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scripts, optimisations off", "ordered"])
def test_true_rounds_move_layers_unevenly(measured_by_one_thread, name):
    """Breaks if unfair graphs move all layers alike, so that the test above would prove nothing."""
    # Medians of three layers, since without an order a single one may see a new m in its step.
    lower, upper = np.s_[:3], np.s_[-3:]
    back = measured_by_one_thread["back", name].movement
    assert np.median(back[upper]) > 2 * np.median(back[lower])
    front = measured_by_one_thread["front", name].movement
    assert np.median(front[lower]) > 2 * np.median(front[upper])


def scripts_in_the_usual_order(case):
    """The scripts' graph with every assignment after all reads.

    Nothing orders them in the graph itself: which come first differs from process to process, even
    by one thread, and a test must not depend on it.
    """
    built = collapse.scripts_graph(case)
    operations = [op for op in built.train.graph.get_operations() if op.name.startswith("round_")]
    reads = [op for op in operations if op.type != "Assign"]
    with built.train.graph.as_default(), tf.control_dependencies(reads):
        all_read = tf.no_op()
    for op in operations:
        if op.type == "Assign":
            op._add_control_input(all_read)
    return built


@pytest.mark.slow
def test_as_run_is_what_becomes_of_the_scripts():
    """Breaks if ``--as-run`` is not what TensorFlow makes of a script's graph, or lacks a quirk."""
    case = replace(tiny_case("c"), width=0.25, quirks=quirks.as_run("c"))
    data = shapes.load(3 * case.batch_size, 1)
    batches = list(training_batches(data.train_images, data.train_labels, case, epoch=0))

    def movement(build, names):
        """How each weight of every layer has moved after the batches."""
        bench = collapse.Bench(collapse.Subject("", "back", build), replace(case, quirks=names))
        for number, batch in enumerate(batches):
            bench.train(batch, first=number == 0)
        weights = bench.session.run(list(bench.built.weights))
        bench.session.close()
        return [after - before for after, before in zip(weights, start_weights(case, case.seed))]

    def package(case):
        built = build_graph(case)
        return collapse.Built(
            *(built.images, built.labels, built.train),
            *(built.weights, built.starts, built.initializer, {}),
        )

    def apart(some, others):
        """Median over the layers of the mean difference, relative to the movement."""
        pairs = zip(some, others)
        return np.median([np.mean(np.abs(a - b)) / np.mean(np.abs(b)) for a, b in pairs])

    scripts = movement(scripts_in_the_usual_order, case.quirks)
    assert apart(movement(package, case.quirks), scripts) < 1e-4
    for name in ("elu-slope", "adam-constant", "stale-moments", "collapsed-rounds"):
        others = tuple(quirk for quirk in case.quirks if quirk != name)
        assert apart(movement(package, others), scripts) > 0.25, name
