"""Overfitting, weights and published epochs in the report."""

import re

import numpy as np
import pytest
import reports
from run_directories import epochs_of, write_run

from unfair_bp.experiment import ledger
from unfair_bp.reporting.differences import Wanted
from unfair_bp.results import budgets, differences, statistics
from unfair_bp.results.collection import collect
from unfair_bp.running.metrics import LayerMetrics

FULL = {"training_images": 50000, "name": "CIFAR-10, JPEG re-encoded"}
AS_RUN = {"quirks": ledger.as_run("c"), "initial_weights": "2018"}


def with_layers(path, name, test, skewness, train=None, **changes):
    """A run whose layers' weights end with this skewness, layer by layer with alternating signs."""
    directory = write_run(path, name, test, train, **changes)
    signs = np.resize([1.0, -1.0], 9)
    directory.write_layers(
        [
            LayerMetrics(
                epoch=epoch,
                rotation=tuple(epoch * np.arange(1, 10) / 100),
                norm=(1.0,) * 9,
                skewness=tuple(signs * (skewness if epoch == len(test) else 9.0)),
            )
            for epoch in range(len(test) + 1)
        ]
    )


def table(text, heading):
    """The rows of a table of the Markdown, as dictionaries."""
    (section,) = (part for part in re.split("^#+ ", text, flags=re.M) if part.startswith(heading))
    rows = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [dict(zip(rows[0], row)) for row in rows[2:]]


def test_weights_after_the_last_epoch(tmp_path):
    """Breaks if another epoch or layer is taken, signs cancel, or seeds are not averaged."""
    for seed, skewness in ((0, 0.2), (1, 0.4)):
        with_layers(tmp_path / f"a{seed}", "a", [0.3, 0.4], skewness, seed=seed)
        write_run(tmp_path / f"c{seed}", "c", [0.3, 0.4], seed=seed)  # before there was layers.csv
    fair, back = table(reports.markdown(tmp_path), "Weights")
    assert fair["rotation of layer 1"].startswith("0.020 [0.020")
    assert fair["rotation of layer 9"].startswith("0.180 [0.180")
    assert fair["skewness of layer 1"].startswith("+0.300 [-0.971, +1.571")
    assert fair["skewness of layer 9"].startswith("+0.300 [")
    assert fair["skewness, mean absolute value"].startswith("0.300 [")
    assert fair["seeds"] == "2"
    assert back["rotation of layer 1"] == back["skewness, mean absolute value"] == "-"


def test_quantities_of_the_weights():
    """Breaks if the first layer's stands for the last one's, or signs cancel in the mean."""
    layers = LayerMetrics(epoch=1, rotation=(0.1, 0.2), norm=(1.0, 1.0), skewness=(0.3, -0.5))
    found = {name: of(layers) for name, of in statistics.WEIGHT_QUANTITIES.items()}
    assert found == pytest.approx(
        {
            "rotation_first": 0.1,
            "rotation_last": 0.2,
            "skewness_first": 0.3,
            "skewness_last": -0.5,
            "skewness": 0.4,
        }
    )


def test_overfitting_and_skewness_beside_the_baseline(tmp_path):
    """Breaks if a difference is reversed, unpaired, or taken between runs of other lengths."""
    for seed in (0, 1):
        fair, back = [0.8 + seed / 10], [0.7 + seed / 10]
        with_layers(tmp_path / f"a{seed}", "a", [0.5], 0.2 + seed, fair, seed=seed)
        with_layers(tmp_path / f"c{seed}", "c", [0.5], 0.5 + seed, back, seed=seed)
        with_layers(tmp_path / f"e{seed}", "e", [0.4, 0.5], 0.5, seed=seed)
    heading = "Paired differences of overfitting"
    (row,) = table(reports.markdown(tmp_path), heading)
    assert (row["cases"], row["pairs"]) == ("c - a", "2")
    assert row["train - test"] == "-0.1000 [-0.1000, -0.1000]"
    assert row["skewness, mean absolute value"] == "+0.300 [+0.300, +0.300]"
    (row,) = table(reports.markdown(tmp_path, Wanted("back")), heading)
    assert row["cases"] == "a - c" and row["train - test"].startswith("+0.1000")


def test_differences_at_equal_training_accuracy(tmp_path):
    """Breaks if a run is taken after it fell back, at another's accuracy, or beside its epoch.

    Training accuracy is that of the epochs from the second on; test accuracy beside it is the mean
    of those before and after the epoch.
    """
    fair = [0.1, 0.3, 0.5, 0.4, 0.45, 0.7], [0.4, 0.5, 0.7, 0.55, 0.58, 0.9]
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", "a", *fair, seed=seed)
    write_run(tmp_path / "c0", "c", [0.2, 0.4, 0.5], [0.3, 0.4, 0.6], seed=0)
    write_run(tmp_path / "c1", "c", [0.2, 0.4, 0.5], [0.3, 0.4, 0.5], seed=1)
    write_run(tmp_path / "e0", "e", [0.1, 0.5, 0.2], [0.3, 0.7, 0.6], seed=0)
    ((groups),) = collect(str(tmp_path)).settings.values()
    found = differences.differences(groups, budgets.TRAINING_ACCURACY)
    back, front = (x for x in found if x.pair.second.schedule == "fair")
    # At 0.6 fair has 0.3, midway between 0.2 at 0.5 and 0.4 at 0.7; at 0.5 it has 0.2.
    assert back.at == pytest.approx((0.6 + 0.5) / 2)
    assert back.statistic.mean == pytest.approx(((0.45 - 0.3) + (0.45 - 0.2)) / 2)
    assert front.at == pytest.approx(0.7)
    assert front.statistic.mean == pytest.approx(0.3 - 0.4)


def test_two_epochs_are_needed_for_training_accuracy(tmp_path):
    """Breaks if a run of one epoch, which has no middle, ends in a traceback."""
    for name in "ac":
        write_run(tmp_path / name, name, [0.5])
    text = reports.markdown(tmp_path)
    assert "never reached the other's training accuracy of its second epoch: c - a." in text


def test_training_accuracy_with_augmentation_is_another(tmp_path):
    """Breaks if training accuracies on augmented and on plain images count as the same."""
    write_run(tmp_path / "a", "a", [0.3, 0.5])
    write_run(tmp_path / "b", "b", [0.3, 0.5])
    text = reports.markdown(tmp_path)
    assert "Not compared here" not in text
    assert table(text, "Paired differences of test accuracy at equal training accuracy") == []
    assert len(table(text, "Paired differences of test accuracy at equal epochs")) == 1


def test_each_epoch_beside_the_published_logs(tmp_path):
    """Breaks if another case, epoch or part of the log is taken, or a difference reversed."""
    for seed, test in ((0, [0.5, 0.6]), (1, [0.6, 0.7])):
        write_run(tmp_path / str(seed), "c", test, data=FULL, seed=seed, **AS_RUN)
    rows = table(reports.markdown(tmp_path), "Epoch by epoch")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    lines = [line for line in reports.markdown(tmp_path).splitlines() if "| 1 |" in line]
    cells = lines[-1][2:-2].split(" | ")
    assert cells[1].startswith("0.5500 [")
    assert cells[2:6] == ["0.5680", "-0.0180", "0.5756", "-0.0256"]  # c, then e
    assert cells[6].startswith("0.6500 [")
    assert cells[7:] == ["0.3971", "+0.2529", "0.3933", "+0.2567"]


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0.5},
        {"beta1": 0.5},
        {"quirks": ("elu-slope",)},
        {"data": {**FULL, "name": "shapes"}},
        {"data": {**FULL, "training_images": 5000}},
    ],
)
def test_only_the_same_training_is_compared_epoch_by_epoch(tmp_path, changes):
    """Breaks if a smaller network, other rules or other images pass for the post's experiment."""
    write_run(tmp_path, "c", [0.5], **{"data": FULL, **AS_RUN, **changes})
    assert "Epoch by epoch" not in reports.markdown(tmp_path)


def test_augmented_runs_are_compared_with_the_augmented_log(tmp_path):
    """Breaks if a fair augmented run stands beside the log of one that was not augmented."""
    write_run(tmp_path / "a", "a", [0.3], data=FULL)
    write_run(tmp_path / "b", "b", [0.3], data=FULL, quirks=ledger.as_run("b"))
    write_run(tmp_path / "plain", "b", [0.3], data=FULL, seed=4)
    ((groups),) = collect(str(tmp_path)).settings.values()
    twins = {
        (group.variant.name, bool(group.variant.quirks)): list(statistics.published_twins(group))
        for group in groups
    }
    assert twins == {("a", False): ["a"], ("b", True): ["b"], ("b", False): []}


def test_weights_need_every_seed(tmp_path):
    """Breaks if a seed without measured layers ends in a traceback, or is left out of a mean."""
    write_run(tmp_path / "0", "a", [0.3], seed=0)
    with_layers(tmp_path / "1", "a", [0.3], 0.1, seed=1)
    ((group,),) = collect(str(tmp_path)).settings.values()
    assert statistics.weight_summary(group) == {}


def test_epochs_beyond_the_published_log(tmp_path):
    """Breaks if a run that is longer than the log ends in a traceback."""
    write_run(tmp_path, "c", [0.5] * 11, data=FULL, **AS_RUN)
    rows = table(reports.markdown(tmp_path), "Epoch by epoch")
    assert rows[10]["published c"] == "-" and len(epochs_of([0.5] * 11)) == len(rows)
