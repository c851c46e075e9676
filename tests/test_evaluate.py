"""Evaluation: the command against the run it evaluates, and against an independent model."""

import json
import re
import shutil
from unittest import mock

import commands
import numpy as np
import numpy_model
import pytest
from conftest import LAYERS

from unfair_bp import evaluate, train
from unfair_bp.data import shapes
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL, initial_weights
from unfair_bp.running import evaluation, training
from unfair_bp.running.evaluation import Evaluation

TEST_IMAGES = 30
CONFUSION = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 4]])


def larger_weights(case):
    """Initial weights with which signals survive all nine layers of a narrow network."""
    return [3 * w for w in initial_weights(case.layers, case.seed)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A run whose network tells some classes apart."""
    path = tmp_path_factory.mktemp("template") / "run"
    words = ["--case", "a", *commands.SMALL, "--learning-rate", "1e-5", "--seed", "2"]
    words += ["--epochs", "2", "--test-size", str(TEST_IMAGES), "--run-dir", str(path)]
    with mock.patch.object(training, "starting_weights", larger_weights):
        assert commands.here(train.main, *words) == 0
    return path


@pytest.fixture
def finished(template, tmp_path):
    """The run, for this test alone, and in another place than where it was trained."""
    shutil.copytree(str(template), str(tmp_path / "moved"))
    return tmp_path / "moved"


def parse(text):
    """Images, cost, accuracy, class accuracies and confusion of a printed evaluation."""
    totals = [re.search(rf"^{name} +(\S+)$", text, re.MULTILINE).group(1) for name in
              ("images", "cost", "accuracy")]  # fmt: skip
    rows = [line.split() for line in text.splitlines() if line.split()[:1] and
            line.split()[0] in shapes.CLASSES]  # fmt: skip
    assert [row[0] for row in rows] == list(shapes.CLASSES)
    confusion = np.array([[int(word) for word in row[2:]] for row in rows])
    return totals, [row[1] for row in rows], confusion


# --- the command


def test_evaluation_is_the_last_row_of_the_run(finished, capsys):
    """Breaks if another checkpoint, other images or another cost is evaluated."""
    assert commands.here(evaluate.main, finished) == 0
    text, error = capsys.readouterr()
    assert error == ""
    (images, cost, accuracy), _, confusion = parse(text)
    last = commands.metrics(finished)[-1]
    assert images == str(TEST_IMAGES)
    assert cost == f"{float(last[3]):.5f}"
    assert accuracy == f"{float(last[4]):.4f}"
    assert f"after {last[5]} iterations, on the test set of shapes" in text
    assert confusion.sum() == TEST_IMAGES
    assert np.trace(confusion) == round(float(last[4]) * TEST_IMAGES)


def test_evaluation_is_that_of_an_independent_model(finished, capsys):
    """Breaks if rows and columns are swapped, images are scaled otherwise, or weights mixed up."""
    assert commands.here(evaluate.main, finished) == 0
    (_, cost, _), accuracies, confusion = parse(capsys.readouterr().out)
    data = shapes.load(train_size=1, test_size=TEST_IMAGES)
    weights = [w.astype(np.float64) for w in commands.weights(finished)]
    images = data.test_images / 255.0
    logits, _ = numpy_model.forward(weights, images)
    expected = np.zeros([10, 10], int)
    for label, prediction in zip(data.test_labels, logits.argmax(axis=1)):
        expected[label, prediction] += 1
    assert np.count_nonzero(expected.sum(axis=0)) > 1, "the network must not predict one class"
    np.testing.assert_array_equal(confusion, expected)
    expected_cost, _ = numpy_model.cost_and_accuracy(weights, images, data.test_labels)
    assert float(cost) == pytest.approx(expected_cost, abs=2e-5)
    for label, accuracy in enumerate(accuracies):
        among = data.test_labels == label
        if among.any():
            right = np.mean(logits.argmax(axis=1)[among] == label)
            assert float(accuracy) == pytest.approx(right, abs=5e-5)
        else:
            assert accuracy == "nan"


@pytest.mark.slow
def test_evaluation_writes_nothing_and_says_nothing_else(finished, tmp_path):
    """Breaks if the real command changes the run, or TensorFlow or a progress bar talks."""
    before = commands.snapshot(tmp_path)
    words = ["-m", "unfair_bp.evaluate", "moved"]
    status, stdout, stderr = commands.run(words, tmp_path)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("moved after ")
    assert commands.snapshot(tmp_path) == before


def truncate(run):
    (run / "config.json").write_bytes((run / "config.json").read_bytes()[:100])


def no_checkpoints(run):
    shutil.rmtree(str(run / "checkpoints"))


def cut_values(run):
    for path in (run / "checkpoints").glob("*.data-00000-of-00001"):
        path.write_bytes(path.read_bytes()[:100])


def other_data(run):
    commands.edit_config(run, lambda config: config["case"].update(test_size=5))


def own_data(run):
    commands.edit_config(run, lambda config: config["case"].update(data="own"))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncate, "config.json is damaged"),
        (lambda run: (run / "config.json").unlink(), "is not a run directory"),
        (lambda run: shutil.rmtree(str(run)), "is not a run directory"),
        (lambda run: (run / "config.json").write_text("[1]"), "config.json is damaged"),
        (lambda run: commands.edit_config(run, lambda c: c.pop("data")), "config.json is damaged"),
        (no_checkpoints, "holds no checkpoint"),
        (cut_values, "no other"),
        (other_data, "is not what"),
        (own_data, "was trained on images given from Python"),
    ],
)
def test_a_run_that_cannot_be_evaluated_is_one_line(finished, tmp_path, capfd, damage, named):
    """Breaks if a damaged run, or none, ends in a traceback or in numbers."""
    damage(finished)
    before = commands.snapshot(tmp_path)
    assert commands.here(evaluate.main, finished) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", error)
    assert named in error
    assert commands.snapshot(tmp_path) == before


def test_a_run_under_a_name_that_is_a_pattern_is_one_line(finished, capfd):
    """Breaks if TensorFlow looks for checkpoints by that pattern, finds none and calls them bad."""
    finished.rename(finished.with_name("moved [1]"))
    assert commands.here(evaluate.main, finished.with_name("moved [1]")) == 2
    error = capfd.readouterr().err
    assert "cannot be a run directory" in error and error.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["a", "b"], ["--epochs", "3", "a"], ["file"], ["."]])
def test_bad_words_are_one_line(tmp_path, monkeypatch, capfd, words):
    """Breaks if something that is no run directory is evaluated, or ends in a traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert commands.here(evaluate.main, *words) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: [^\n]+\n", error)


# --- in batches


class FakeSession:
    """Predicts the first pixel of each image at a cost of the label, and counts its images."""

    def __init__(self):
        self.batches = []

    def run(self, fetches, feed):
        assert fetches == ("costs", "predictions")
        self.batches.append(len(feed["images"]))
        assert feed["images"].dtype == np.float32
        first = np.round(feed["images"][:, 0, 0, 0] * 255).astype(np.int64)
        return feed["labels"].astype(np.float32), first


class FakeGraph:
    """The names of what a session is asked for."""

    images, labels = "images", "labels"

    class evaluation:  # noqa: N801
        costs, predictions = "costs", "predictions"

        class logits:  # noqa: N801
            class shape:  # noqa: N801
                @staticmethod
                def as_list():
                    return [None, 10]


def fake_evaluate(batch, after_batch=lambda done: None):
    random = np.random.RandomState(0)
    images = np.zeros([23, 32, 32, 3], np.uint8)
    images[:, 0, 0, 0] = random.randint(0, 10, 23)
    labels = random.randint(0, 10, 23).astype(np.uint8)
    session = FakeSession()
    result = evaluation.evaluate(
        session, FakeGraph, images, labels, batch=batch, after_batch=after_batch
    )
    return result, session.batches, images[:, 0, 0, 0], labels


@pytest.mark.parametrize(
    ("batch", "batches"), [(1, [1] * 23), (5, [5] * 4 + [3]), (23, [23]), (100, [23])]
)
def test_every_image_counts_once_whatever_the_batch(batch, batches):
    """Breaks if the last, smaller batch is dropped, or weighs as much as a whole one."""
    done = []
    result, sizes, predictions, labels = fake_evaluate(batch, done.append)
    assert sizes == done == batches
    assert result.cost == pytest.approx(labels.mean())
    expected = np.zeros([10, 10], int)
    for label, prediction in zip(labels, predictions):
        expected[label, prediction] += 1
    np.testing.assert_array_equal(result.confusion, expected)


def test_evaluation_can_be_stopped_between_batches():
    """Breaks if Ctrl-C has to wait for the whole test set."""
    done = []

    def stop(images):
        done.append(images)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fake_evaluate(5, stop)
    assert done == [5, 5]


def test_batches_fit_the_memory():
    """Breaks if one activation of a batch is larger than meant, or a wide network gets none."""
    # 32 x 32 pixels of 256 channels of 4 bytes: a megabyte an image.
    assert evaluation.batch_size(LAYERS) == 64
    assert evaluation.batch_size(ALL_CONVOLUTIONAL.scaled(0.25)) == 256
    assert evaluation.batch_size(ALL_CONVOLUTIONAL.scaled(16.0)) == 4
    assert evaluation.batch_size([LAYERS[0].__class__(3, 1, 10**6, 0.1, 32)]) == 1


# --- the numbers


def test_accuracies_of_a_confusion_by_hand():
    """Breaks if columns are taken for labels, or a class without images counts as wrong."""
    evaluation = Evaluation(0.5, CONFUSION)
    assert evaluation.accuracy == 0.7
    np.testing.assert_array_equal(evaluation.class_accuracies(), [0.75, np.nan, 4 / 6])
    assert type(evaluation.accuracy) is float
    json.dumps(evaluation.accuracy)


def test_text_of_a_confusion_by_hand(recwarn):
    """Breaks if a row is under another name, a number in another column, or a warning appears."""
    assert evaluation.as_text(Evaluation(0.5, CONFUSION), ("cat", "aeroplane", "dog")) == (
        "images    10\n"
        "cost      0.50000\n"
        "accuracy  0.7000\n"
        "\n"
        "class      accuracy   predicted as   cat aerop   dog\n"
        "cat          0.7500                    3     1     0\n"
        "aeroplane       nan                    0     0     0\n"
        "dog          0.6667                    2     0     4"
    )
    assert not recwarn.list
