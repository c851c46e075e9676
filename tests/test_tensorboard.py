"""Event files: what TensorBoard will show is what happened."""

import collections

import commands
import numpy as np
import pytest
from conftest import tiny_case

from unfair_bp import train
from unfair_bp.backprop.graph import build_graph
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.running import events
from unfair_bp.running.events import EventWriter

WORDS = [
    *commands.SMALL,
    *("--case", "c", "--train-size", "404", "--batch-size", "4", "--tensorboard"),
]


def events_of(run):
    """Every event of a run, from its files in the order of their making."""
    found = []
    for path in sorted((run / "tensorboard").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        found += list(tf.train.summary_iterator(str(path)))
    return found


def values(found):
    """For each tag its (step, value), in order."""
    by_tag = collections.defaultdict(list)
    for event in found:
        for value in event.summary.value:
            by_tag[value.tag].append((event.step, value))
    return by_tag


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One epoch of 101 iterations, and then a second one, resumed."""
    path = tmp_path_factory.mktemp("run")
    assert commands.here(train.main, *WORDS, "--epochs", "1", "--run-dir", path) == 0
    assert commands.here(train.main, *WORDS, "--epochs", "2", "--resume", "--run-dir", path) == 0
    return path


def test_scalars_are_the_metrics(run):
    """Breaks if a scalar is another column, of another epoch, or at another step."""
    shown = values(events_of(run))
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), row.split(","))) for row in rows]
    columns = {
        "cost/train": "train_cost",
        "cost/test": "test_cost",
        "accuracy/train": "train_accuracy",
        "accuracy/test": "test_accuracy",
    }
    columns.update({f"updates/layer_{n}": f"updates_layer_{n}" for n in range(1, 10)})
    for tag, column in columns.items():
        assert [step for step, _ in shown[tag]] == [101, 202]
        found = [value.simple_value for _, value in shown[tag]]
        assert found == pytest.approx([float(row[column]) for row in rows], rel=1e-6)


def test_batch_curves_are_means_of_their_batches(run):
    """Breaks if points are missing, or do not lie about the epoch's mean."""
    shown = values(events_of(run))
    assert [step for step, _ in shown["batches/cost"]] == [50, 100, 151, 201]
    for name, largest in (("cost", 5.0), ("accuracy", 1.0)):
        means = np.array([value.simple_value for _, value in shown[name + "/train"]])
        points = np.array([value.simple_value for _, value in shown["batches/" + name]])
        # 50 of an epoch's 101 batches are in each of its two points; the last one has the rest.
        last = 101 * means - 50 * points.reshape(2, 2).sum(axis=1)
        assert ((last > -1e-3) & (last < largest + 1e-3)).all()
        assert points[0] != points[1]
    # The last batch has four images: so many of them are right.
    np.testing.assert_allclose(4 * last, np.round(4 * last), atol=1e-3)


def test_histograms_are_of_the_weights(run):
    """Breaks if a layer's histogram is another's, or not of the end of the epoch."""
    shown = values(events_of(run))
    files = (("weights_before.npz", 0), ("weights_after.npz", -1))
    for name, place in files:
        for number, weights in enumerate(commands.weights(run, name), start=1):
            step, value = shown[f"weights/layer_{number}"][place]
            assert step == (0 if place == 0 else 202)
            assert value.histo.num == weights.size
            assert value.histo.min == pytest.approx(weights.min())
            assert value.histo.sum_squares == pytest.approx(np.sum(np.square(weights)), rel=1e-4)


def test_the_graph_has_readable_scopes(run):
    """Breaks if the graph is not written, or its parts do not say what they are."""
    graphs = [event.graph_def for event in events_of(run) if event.graph_def]
    names = [node.name for node in tf.GraphDef.FromString(graphs[0]).node]
    assert {name.split("/")[0] for name in names} == {
        *("images", "labels", "targets", "variables", "step", "schedule"),
        *("forward", "backward", "report", "count_iteration", "Const", "init"),
        *("checkpoint", "weights"),
    }
    top = "backward/layer_9/"
    assert {name[len(top) :].split("/")[0] for name in names if name.startswith(top)} == {
        # From the back, layer 9 is always updated and has no gate of its own.
        *("pre_activation_grad", "param_grad", "update", "if_any_below", "group_deps")
    }
    assert any(name.startswith(top + "if_any_below/layer_8/if_updated/update/") for name in names)
    assert any(name.startswith("forward/layer_9/") for name in names)


def test_a_resumed_run_voids_what_it_does_again(run):
    """Breaks if TensorBoard would show the iterations after a kill twice."""
    starts = [
        event.step
        for event in events_of(run)
        if event.session_log.status == tf.SessionLog.START and event.HasField("session_log")
    ]
    assert starts == [0, 101]


def test_closing_writes_what_is_left(tmp_path):
    """Breaks if the last points of a run, here of an interrupted one, are lost."""
    writer = EventWriter(build_graph(tiny_case("a")))
    writer.open(str(tmp_path / "tensorboard"), 0)
    for step in (50, 100):
        writer.batches(2.5, 0.25, step)
    writer.close()
    points = values(events_of(tmp_path))["batches/cost"]
    assert [(step, value.simple_value) for step, value in points] == [(50, 2.5), (100, 2.5)]


def test_files_of_one_second_do_not_replace_each_other(tmp_path, monkeypatch):
    """Breaks if a run that is resumed at once loses the events of the process before."""
    monkeypatch.setattr(events.time, "time", lambda: 1e9)
    writer = EventWriter(build_graph(tiny_case("a")))
    for step in (0, 1):
        writer.open(str(tmp_path), step)
        writer.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_overwriting_a_run_removes_its_events(tmp_path):
    """Breaks if a new run's curves are drawn over an old one's."""
    words = [*commands.SMALL, "--case", "a", "--epochs", "1", "--run-dir", tmp_path]
    assert commands.here(train.main, *words, "--tensorboard") == 0
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert commands.here(train.main, *words, "--overwrite") == 0
    assert not (tmp_path / "tensorboard").exists()
