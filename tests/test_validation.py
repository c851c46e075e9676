"""Images held out of training: which they are, and what is measured on them."""

import os
import signal
from unittest import mock

import commands
import numpy as np
import numpy_model
import pytest
from reports import markdown
from run_directories import epochs_of, write_run

from unfair_bp import evaluate, train
from unfair_bp.data import shapes
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError
from unfair_bp.experiment.cases import CASES
from unfair_bp.figures.curves import learning_curves
from unfair_bp.running import epochs, training

TRAIN, HELD_OUT = 14, 5  # so that fewer are left than there are examples to look at
NUMBERS = np.arange(6)
IMAGES = np.zeros([6, 2, 2, 1], np.uint8) + NUMBERS[:, None, None, None].astype(np.uint8)
DATASET = Dataset("numbers", tuple("abcdef"), IMAGES, NUMBERS, IMAGES[:1], NUMBERS[:1])


def words(path, *more, case="c"):
    """The words of a run of two epochs of three or four iterations."""
    small = [*commands.SMALL, "--batch-size", "4", "--epochs", "2"]
    return ["--case", case, *small, "--run-dir", str(path), *map(str, more)]


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    """A run that holds the last five of fourteen images out."""
    path = tmp_path_factory.mktemp("runs") / "validated"
    assert commands.here(train.main, *words(path, "--validation-size", HELD_OUT)) == 0
    return path


def table(run):
    """The rows of metrics.csv by column, without the seconds."""
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    found = [dict(zip(header.split(","), row.split(","))) for row in rows]
    for row in found:
        row.pop("seconds")
    return found


# --- the split


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_last_images_are_held_out(size):
    """Breaks if others are held out, one is lost or used twice, or labels go elsewhere."""
    left, (images, labels) = DATASET.hold_out(size)
    assert left.train_labels.tolist() == left.train_images[:, 0, 0, 0].tolist()
    assert labels.tolist() == images[:, 0, 0, 0].tolist() == list(range(6 - size, 6))
    assert left.train_labels.tolist() == list(range(6 - size))
    assert left.test_labels is DATASET.test_labels and left.classes == DATASET.classes
    assert DATASET.train_labels.tolist() == list(range(6))


def test_without_a_size_nothing_is_held_out():
    """Breaks if every run lost images."""
    assert DATASET.hold_out(None) == (DATASET, None)


@pytest.mark.parametrize("size", [-1, 0, 6, 7])
def test_something_must_be_left_to_train_on(size):
    """Breaks if nothing, or the wrong part, is trained on, or the line does not say how many."""
    with pytest.raises(FieldError, match=f"^validation_size {size} .* of 6 .*fewer than 6$"):
        DATASET.hold_out(size)


@pytest.mark.parametrize(
    ("more", "images"),
    [
        (["--validation-size", TRAIN], TRAIN),
        (["--data", "cifar10", "--validation-size", TRAIN], TRAIN),
        (["--data", "cifar10", "--train-size", 50000, "--validation-size", 50000], 50000),
    ],
)
def test_it_is_said_before_anything_is_read_or_written(tmp_path, capfd, more, images):
    """Breaks if 170 MB are downloaded, or a directory is made, for a run that cannot be."""
    assert commands.here(train.main, *words(tmp_path / "run", *more)) == 2
    out, error = capfd.readouterr()
    assert "training on" not in out
    assert error.startswith(f"error: --validation-size {images} cannot be held out of {images} ")
    assert error.count("\n") == 1 and "train_size" in error
    assert commands.snapshot(tmp_path) == {}


# --- training


@pytest.mark.parametrize("case", ["c", "d"])
def test_training_is_that_on_the_images_that_are_left(tmp_path, case, validated):
    """Breaks if a held-out image is trained on, or order or augmentation follow another number."""
    fewer, held = tmp_path / "fewer", tmp_path / "held"
    left = TRAIN - HELD_OUT
    assert commands.here(train.main, *words(fewer, "--train-size", left, case=case)) == 0
    assert commands.here(train.main, *words(held, "--validation-size", HELD_OUT, case=case)) == 0
    assert commands.same_bits(commands.weights(held), commands.weights(fewer))
    columns = table(fewer)[0]
    assert [{name: row[name] for name in columns} for row in table(held)] == table(fewer)
    assert set(table(held)[0]) - set(columns) == {"validation_cost", "validation_accuracy"}
    with np.load(str(held / "examples.npz")) as one, np.load(str(fewer / "examples.npz")) as two:
        assert all(np.array_equal(one[name], two[name]) for name in two.files)


def test_validation_is_that_of_an_independent_model(validated):
    """Breaks if other images or other weights are evaluated, or the mean is another."""
    data = shapes.load(train_size=TRAIN, test_size=1)
    images, labels = data.train_images[-HELD_OUT:] / 255.0, data.train_labels[-HELD_OUT:]
    weights = [w.astype(np.float64) for w in commands.weights(validated)]
    cost, accuracy = numpy_model.cost_and_accuracy(weights, images, labels)
    last = table(validated)[-1]
    assert float(last["validation_cost"]) == pytest.approx(cost, abs=2e-5)
    assert float(last["validation_accuracy"]) == accuracy
    assert last["validation_cost"] != table(validated)[0]["validation_cost"]


@pytest.mark.parametrize("when", ["within the epoch", "validation"])
def test_an_interrupted_run_ends_as_a_whole_one(tmp_path, validated, capfd, when):
    """Breaks if resuming draws other batches, loses a part of an epoch, or evaluates it not at all.

    The second epoch is interrupted in its second iteration, or in its evaluation.
    """
    run, calls = tmp_path / "run", []

    def stop(number):
        calls.append(number)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGINT)

    def evaluated(*arguments, **named):
        stop(4)
        return evaluate_images(*arguments, **named)

    def batches(*arguments):
        for batch in training_batches(*arguments):
            stop(5)
            yield batch

    evaluate_images, training_batches = epochs.evaluate, training.training_batches
    patch = mock.patch.object(epochs, "evaluate", evaluated)
    if when == "within the epoch":
        patch = mock.patch.object(training, "training_batches", batches)
    more = ["--validation-size", HELD_OUT]
    with patch, mock.patch.object(training, "prefetch", iter_of):
        assert commands.here(train.main, *words(run, *more)) == 130
    assert len(table(run)) == 1
    iterations = 5 if when == "within the epoch" else 6
    assert (run / "checkpoints" / f"model-{iterations}.index").exists()
    assert commands.here(train.main, *words(run, *more, "--resume")) == 0
    assert table(run) == table(validated)
    assert commands.same_bits(commands.weights(run), commands.weights(validated))


def iter_of(batches):
    """Batches that are made when they are asked for."""
    yield from batches


@pytest.mark.parametrize("part", [1, 2])
def test_an_evaluation_that_overflows_stops_the_run(tmp_path, capfd, part):
    """Breaks if a cost that is not finite, of either part, becomes a row of metrics.csv."""
    calls, evaluate_images = [], epochs.evaluate

    def overflowing(*arguments, **named):
        calls.append(part)
        found = evaluate_images(*arguments, **named)
        return found._replace(cost=np.inf) if len(calls) == part else found

    run = tmp_path / "run"
    with mock.patch.object(epochs, "evaluate", overflowing):
        assert commands.here(train.main, *words(run, "--validation-size", HELD_OUT)) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: training diverged in iteration 3: cost inf, ")
    assert error.count("\n") == 1
    assert not (run / "metrics.csv").exists()


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    """Breaks if its configuration, which lacks the field, is another run's, or its rows change."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert commands.here(train.main, *words(whole)) == 0
    assert commands.here(train.main, *words(run, "--epochs", 1)) == 0
    commands.edit_config(run, lambda config: config["case"].pop("validation_size"))
    assert commands.here(train.main, *words(run, "--resume")) == 0
    assert table(run) == table(whole)
    assert not any("validation" in name for name in table(run)[0])


def test_another_size_is_another_run(tmp_path, validated, capfd):
    """Breaks if the second half of a run could be trained on other images than the first."""
    more = ["--validation-size", 3]
    assert commands.here(train.main, *words(validated, "--resume", *more)) == 2
    assert "error: --validation-size" in capfd.readouterr().err


# --- what is shown


def test_the_line_of_an_epoch_and_the_sizes_are_printed(tmp_path, capfd):
    """Breaks if the terminal does not say what was held out and what came of it."""
    run = tmp_path / "run"
    more = ["--validation-size", HELD_OUT, "--epochs", 1, "--tensorboard"]
    assert commands.here(train.main, *words(run, *more)) == 0
    printed = capfd.readouterr().out
    assert "training on 9 images of shapes, validating on 5, testing on 10; writing" in printed
    (row,) = table(run)
    cost, accuracy = float(row["validation_cost"]), float(row["validation_accuracy"])
    assert f"   validation cost {cost:.5f}  accuracy {accuracy:.4f}   test cost " in printed
    scalars = {
        value.tag: value.simple_value
        for path in (run / "tensorboard").iterdir()
        for event in training.tf.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert scalars["cost/validation"] == pytest.approx(cost, rel=1e-6)
    assert scalars["accuracy/validation"] == pytest.approx(accuracy, rel=1e-6)


def test_evaluation_on_the_held_out_images(validated, tmp_path, capfd):
    """Breaks if the option evaluates other images, or a run without any is evaluated on none."""
    assert commands.here(evaluate.main, validated, "--validation") == 0
    text, last = capfd.readouterr().out, table(validated)[-1]
    assert "on the held-out images of shapes" in text
    assert f"images    {HELD_OUT}\n" in text
    assert f"cost      {float(last['validation_cost']):.5f}\n" in text
    assert f"accuracy  {float(last['validation_accuracy']):.4f}\n" in text
    write_run(tmp_path / "without", "c", [0.1])
    assert commands.here(evaluate.main, tmp_path / "without", "--validation") == 2
    assert "held no images out" in capfd.readouterr().err


def test_curves_show_validation():
    """Breaks if it is left out, or drawn in the place of another."""
    rows = [
        row._replace(validation_accuracy=row.test_accuracy / 2, validation_cost=3.0 / row.epoch)
        for row in epochs_of([0.2, 0.4])
    ]
    accuracy, cost, _ = learning_curves(rows, "heading").axes

    def lines(axes):
        return {
            line.get_label().split(",")[0]: line.get_ydata().tolist() for line in axes.get_lines()
        }

    assert lines(accuracy)["validation"] == [0.1, 0.2]
    assert lines(cost)["validation"] == [3.0, 1.5]
    assert lines(accuracy)["test"] == [0.2, 0.4]
    assert cost.get_ylim()[1] > 3.0
    assert "validation 0.2000" in accuracy.get_title(loc="left")


def test_reports_show_validation(tmp_path):
    """Breaks if a report mixes runs with and without a split, or hides how many were held out."""
    for seed, accuracy in ((1, 0.3), (2, 0.5)):
        run = write_run(tmp_path / f"held{seed}", "c", [], epochs=1, seed=seed, validation_size=8)
        (row,) = epochs_of([0.25])
        run.write_metrics([row._replace(validation_cost=1.0, validation_accuracy=accuracy)])
    write_run(tmp_path / "all", "c", [0.25], seed=3)
    text = markdown(tmp_path)
    assert "42 training, 8 validation and 20 test images" in text
    assert "50 training and 20 test images" in text
    with_split, without = text.split("\n## ")[1:]
    assert "| seeds | validation | test |" in with_split and "| 0.4000 [" in with_split
    assert "| seeds | test |" in without and "validation |" not in without


def test_a_case_of_the_post_holds_nothing_out():
    """Breaks if the post's cases trained on fewer images than it did."""
    assert all(case.validation_size is None for case in CASES.values())
