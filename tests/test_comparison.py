"""Comparing runs: only like with like, each seed once, and statistics that are the textbook's."""

import os
from dataclasses import replace

import commands
import numpy as np
import pytest
import reports
from run_directories import (
    DATA,
    FLOPS_PER_EPOCH,
    OTHER_NETWORK,
    SECONDS_PER_EPOCH,
    epochs_of,
    write_run,
)
from scipy import stats

from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment import published as published_log
from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.schedules import parse, specification
from unfair_bp.results import budgets, differences, statistics
from unfair_bp.results.collection import collect
from unfair_bp.results.run import read_run


def only_groups(root):
    """The groups of a directory that has one setting."""
    (groups,) = collect(str(root)).settings.values()
    return groups


def by_letters(found):
    """Differences by the letters of their cases."""
    return {(item.first.name, item.second.name): item for item in found}


# --- statistics


def test_the_interval_is_students():
    """Breaks if the quantile is the normal one's, the spread that of n, or the error not divided.

    Written out: mean 0.3, standard deviation of n - 1 sqrt(0.07), t 4.302653 for two degrees.
    """
    found = statistics.statistic([0.1, 0.2, 0.6])
    reach = 4.302653 * np.sqrt(0.07 / 3)
    assert found == pytest.approx((0.3, 0.3 - reach, 0.3 + reach, 3), rel=1e-6)


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_interval_and_p_are_the_librarys(count):
    """Breaks if interval or p is not that of scipy.stats, the second oracle."""
    values = np.random.RandomState(count).normal(0.02, 0.05, count)
    found = statistics.statistic(values)
    expected = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert statistics.p_value(values) == pytest.approx(stats.ttest_1samp(values, 0.0)[1])


@pytest.mark.parametrize(
    ("values", "p"), [([0.0, 0.0], None), ([0.5, 0.5], None), ([0.5], None), ([-0.1, 0.1], 1.0)]
)
def test_p_without_spread_or_mean(values, p):
    """Breaks if seeds that all give the same divide by zero, or are certain."""
    assert statistics.p_value(values) == p


def test_a_spread_that_is_rounding_is_none():
    """Breaks if equal differences of accuracies are certain because of their last digits."""
    values = [0.2 - 0.1, 0.7 - 0.6, 0.9 - 0.8]
    assert np.ptp(values) > 0 and statistics.p_value(values) is None


def test_a_single_value_has_no_interval():
    """Breaks if one seed pretends to certainty."""
    assert statistics.statistic([0.25]) == (0.25, None, None, 1)


def test_holms_correction():
    """Breaks if a step has another factor, order is lost, or p falls again or exceeds 1.

    Sorted 0.01, 0.02, 0.03, 0.6 times 4, 3, 2, 1; the third may not fall below the second.
    """
    assert statistics.holm([0.03, 0.6, 0.01, 0.02]) == pytest.approx([0.06, 0.6, 0.04, 0.06])
    assert statistics.holm([0.7, 0.6]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover_what_they_say(seeds):
    """Breaks if fewer, or more, intervals hold the truth than 95 % of them.

    Simulated are accuracies on 2,000 test images: a network's own, normal over seeds, and what
    the images make of it, binomial; and differences of two such runs with a seed.
    """
    random = np.random.RandomState(seeds)
    truths = [0.6, 0.65]
    ours = [random.normal(truth, 0.02, [4000, seeds]) for truth in truths]
    worse, better = (random.binomial(2000, accuracies) / 2000 for accuracies in ours)
    for samples, truth in ((worse, truths[0]), (better - worse, truths[1] - truths[0])):
        found = [statistics.statistic(sample) for sample in samples]
        covered = np.mean([item.low <= truth <= item.high for item in found])
        assert 0.93 < covered < 0.97


def test_the_quantities_of_a_run(tmp_path):
    """Breaks if first and last epoch, first and last layer, or the sign of the gap are mixed up."""
    write_run(tmp_path, "c", test=[0.2, 0.5, 0.4], train=[0.3, 0.6, 0.7])
    (group,) = only_groups(tmp_path)
    found = {name: value.mean for name, value in statistics.summary(group).items()}
    assert found == pytest.approx(
        {
            "test": 0.4,
            "train": 0.7,
            "gap": 0.3,
            "seconds": 3 * SECONDS_PER_EPOCH,
            "tflop": 3 * FLOPS_PER_EPOCH / 1e12,
            "updates": 15,
            "updates_first": 3,
            "updates_last": 27,
        }
    )


def test_a_groups_statistics_are_over_its_seeds(tmp_path):
    """Breaks if a seed is left out of the mean, or another epoch than the last is taken."""
    write_run(tmp_path / "1", "a", [0.9, 0.2], seed=1)
    write_run(tmp_path / "2", "a", [0.1, 0.4], seed=2)
    (group,) = only_groups(tmp_path)
    found = statistics.summary(group)
    assert found["test"] == pytest.approx((0.3, 0.3 - 1.270620, 0.3 + 1.270620, 2))


# --- finding and grouping


def test_runs_are_found_at_any_depth(tmp_path):
    """Breaks if the root itself, or a run below others, is overlooked, or a link doubles a run."""
    write_run(tmp_path, "a", [0.1], seed=1)
    write_run(tmp_path / "x" / "y" / "z", "a", [0.1], seed=2)
    write_run(tmp_path / "x", "a", [0.1], seed=3)
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    found = collect(str(tmp_path))
    assert [group.seeds for groups in found.settings.values() for group in groups] == [(1, 2, 3)]
    assert (found.left_out, found.unfinished, found.run_count) == ([], [], 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 20),
        ("learning_rate", 2e-4),
        ("beta1", 0.8),
        ("beta2", 0.8),
        ("epsilon", 1e-7),
        ("width", 0.5),
        ("optimizer", "sgd"),
        ("initial_weights", "2018"),
        ("architecture", OTHER_NETWORK),
    ],
)
def test_other_settings_are_never_mixed(tmp_path, field, value):
    """Breaks if runs that differ in more than what is compared get into one table."""
    write_run(tmp_path / "1", "a", [0.1], seed=1)
    write_run(tmp_path / "2", "a", [0.1], seed=2, **{field: value})
    write_run(tmp_path / "3", "c", [0.1], seed=2, **{field: value})
    settings = collect(str(tmp_path)).settings
    assert [len(groups) for groups in settings.values()] == [2, 1]  # most runs first
    assert [getattr(setting.case, field) == value for setting in settings] == [True, False]


@pytest.mark.parametrize("fact", sorted(DATA))
def test_other_data_is_never_mixed(tmp_path, fact):
    """Breaks if results on other images get into one table."""
    other = {"name": "others", "training_images": 49, "test_images": 19, "sha256": "cd" * 32}
    write_run(tmp_path / "1", "a", [0.1], seed=1)
    write_run(tmp_path / "2", "a", [0.1], seed=2, data={fact: other[fact]})
    assert len(collect(str(tmp_path)).settings) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "back"},
        {"moments": "reset"},
        {"protocol": "per-batch"},
        {"quirks": ("elu-slope",)},
        {"augment": True},
    ],
)
def test_what_is_compared_makes_groups_of_one_setting(tmp_path, changes):
    """Breaks if a mean is taken over runs that trained differently, or they cannot be compared."""
    write_run(tmp_path / "1", "e", [0.1], seed=1)
    write_run(tmp_path / "2", "e", [0.3], seed=2, **changes)
    assert [group.seeds for group in only_groups(tmp_path)] in ([(1,), (2,)], [(2,), (1,)])


@pytest.mark.parametrize("changes", [{"name": "a"}, {"name": "c", "quirks": ledger.as_run("c")}])
def test_a_cycle_of_one_row_is_the_same_under_both_protocols(tmp_path, changes):
    """Breaks if a fair run counts as another experiment for the protocol that it does not use."""
    write_run(tmp_path / "1", test=[0.1], seed=1, **changes)
    write_run(tmp_path / "2", test=[0.3], seed=2, protocol="per-batch", **changes)
    assert [group.seeds for group in only_groups(tmp_path)] == [(1, 2)]


def test_a_case_of_ones_own_is_called_by_its_schedule(tmp_path):
    """Breaks if a case that the post does not have is dropped, or passes for one of the post's."""
    long = ";".join(99 * ["1-9", "9"])
    for seed, (name, schedule) in enumerate(
        [("own", "single"), ("mine", "single"), ("", long), ("c", "single"), ("c", "back")]
    ):
        write_run(tmp_path / str(seed), name, [0.1], schedule=schedule, seed=seed)
    found = {group.variant.name: group for group in only_groups(tmp_path)}
    assert {name: group.seeds for name, group in found.items()} == {
        "c": (4,),
        long: (2,),
        "single": (0, 1, 3),
    }
    assert [name for name in found if found[name].as_posted] == ["c"]
    assert len(found[long].variant.shortened().training) == 60
    assert [variant.rules for variant in (found["c"].variant, found["single"].variant)] == ["", ""]
    titles = [found[name].variant.title for name in ("c", "single")]
    assert titles == ["case c", "schedule single"]


BACK = ";".join(f"{first}-9" for first in range(9, 0, -1))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("back", BACK, ("c", "back")),
        (BACK, "9" + BACK[3:], ("c", "back")),
        ("1-9", "1,2-9", ("a", "fair")),
        ("random:3", "random:3:81:0", ("random:3", "random:3")),
        ("9;8-9", "9 ; 8,9", ("9;8-9", "9;8-9")),
        ("back*2", BACK + "*2", ("back*2", "back*2")),
        ("lisa", "lisa:2:20:0", ("lisa", "lisa")),
        ("share:fair", "1-9@1", ("a", "fair")),
        (";".join(map(str, range(1, 10))), "1;2;3;4;5;6;7;8;9-9", ("single", "single")),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_equal_schedules_are_one_however_they_are_written(tmp_path, one, other, expected, first):
    """Breaks if seeds of one schedule are torn apart by how it was typed, or named by chance."""
    texts, (name, schedule) = (one, other), expected
    write_run(tmp_path / "1", "own", [0.1], schedule=texts[first], seed=1)
    write_run(tmp_path / "2", "own", [0.3], schedule=texts[1 - first], seed=2)
    write_run(tmp_path / "3", "own", [0.3], schedule="9;7", seed=3)
    found = {group.variant.name: group for group in only_groups(tmp_path)}
    assert {name: group.seeds for name, group in found.items()} == {name: (1, 2), "9;7": (3,)}
    assert found[name].variant.schedule == schedule


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "back*2"},
        {"schedule": "share:back"},
        {"schedule": BACK + "@0.5"},
        {"moments": "reset"},
        {"schedule": "shuffled:back"},
    ],
)
def test_schedules_that_differ_in_anything_are_apart(tmp_path, changes):
    """Breaks if hold, rates, moments or the order of rows do not part two schedules."""
    write_run(tmp_path / "1", "c", [0.1], seed=1)
    write_run(tmp_path / "2", "c", [0.1], seed=2, **changes)
    first, second = only_groups(tmp_path)
    text = changes.get("schedule", "back, moments reset")
    assert (first.variant.name, second.variant.name) == ("c", text)
    assert second.variant.schedule == text


def test_a_schedule_of_the_whole_run_is_that_of_its_length(tmp_path):
    """Breaks if half of a longer run passes for a whole shorter one, or rows are miscounted.

    50 images in batches of 10 are five iterations an epoch. Layer i is updated while t < i T / 9,
    with T = 10 or 20 iterations, of which ten are done.
    """
    write_run(tmp_path / "1", "own", [0.1, 0.2], schedule="freeze", seed=1)
    write_run(tmp_path / "2", "own", [0.1, 0.2], schedule="freeze", seed=2, epochs=4)
    found = {group.variant.schedule: group.runs[0] for group in only_groups(tmp_path)}
    assert {name: run.case.seed for name, run in found.items()} == {
        "freeze": 1,
        "freeze of 4 epochs": 2,
    }
    assert found["freeze"].expected_updates.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    longer = found["freeze of 4 epochs"].expected_updates
    assert longer.tolist() == [3, 5, 7, 9, 10, 10, 10, 10, 10]
    # A run that has ended, of the same schedule as the one that has not.
    write_run(tmp_path / "3", "own", [0.1, 0.2, 0.3, 0.4], schedule="freeze", seed=3)
    write_run(tmp_path / "4", "own", [0.1, 0.2], schedule="freeze:1", seed=4)
    seeds = {(g.variant.name, g.variant.epochs): g.seeds for g in only_groups(tmp_path)[:3]}
    assert seeds == {("freeze", 2): (1, 4), ("freeze", 4): (3,), ("freeze of 4 epochs", 2): (2,)}


def test_a_run_that_has_ended_is_not_called_a_part(tmp_path):
    """Breaks if a typed schedule gets the name of an unfinished run that does the same."""
    typed = specification(replace(parse("freeze", 9, 20), spans=0))
    write_run(tmp_path / "1", "own", [0.1, 0.2], schedule="freeze", seed=1, epochs=4)
    write_run(tmp_path / "2", "own", [0.1, 0.2, 0.3, 0.4], schedule=typed, seed=2)
    names = {group.seeds: group.variant.schedule for group in only_groups(tmp_path)}
    assert names == {(1,): "freeze of 4 epochs", (2,): typed}


def test_a_run_whose_rounds_collapsed_spans_nothing(tmp_path):
    """Breaks if half of a run that trained fairly is called a part of the schedule that it lost."""
    quirks = ("collapsed-rounds",)
    write_run(tmp_path, "own", [0.1, 0.2], schedule="freeze", quirks=quirks, epochs=4)
    (group,) = only_groups(tmp_path)
    assert group.variant.schedule == "freeze"


def test_a_schedule_of_the_whole_run_is_not_cut_short(tmp_path):
    """Breaks if a part of such a run is compared as if it were a shorter run of the schedule."""
    for seed in (1, 2):
        rows = [0.1, 0.2, 0.3, 0.4 + seed / 100]
        write_run(tmp_path / f"u{seed}", "own", rows, schedule="unfreeze", seed=seed, flops=9)
        write_run(tmp_path / f"a{seed}", "a", rows[:2], seed=seed, flops=5)
        write_run(tmp_path / f"b{seed}", "back", rows, schedule="back", seed=seed, flops=5)
    groups = only_groups(tmp_path)
    found = {
        budget.option: [item.label for item in differences.differences(groups, budget)]
        for budget in budgets.BUDGETS
    }
    assert all("unfreeze - a" not in labels for labels in found.values())
    assert all("c - a" in labels for labels in found.values())
    (ended,) = differences.differences(groups, budgets.EPOCHS, "back")[1:]
    assert (ended.label, ended.at) == ("unfreeze - c", 4)
    assert len(differences.differences(groups, budgets.OPERATIONS, "back")) == 1
    write_run(tmp_path / "f1", "own", rows, schedule="freeze", seed=1, flops=10_000)
    for flops, count in ((9_995, 1), (9_900, 0)):  # of 10,000
        write_run(tmp_path / "b1", "back", rows, schedule="back", seed=1, flops=flops)
        found = differences.differences(only_groups(tmp_path), budgets.OPERATIONS, "back")
        assert [item.label for item in found].count("freeze - c") == count
    # At 0.7 of training accuracy, which freeze has reached one epoch before its end.
    reached = dict(test=[0.1, 0.5, 0.8, 0.2], train=[0.2, 0.5, 0.7, 0.6999])
    write_run(tmp_path / "f1", "own", schedule="freeze", seed=1, flops=10_000, **reached)
    write_run(tmp_path / "b1", "back", rows, [0.1, 0.2, 0.3, 0.7], schedule="back", seed=1)
    found = differences.differences(only_groups(tmp_path), budgets.TRAINING_ACCURACY, "back")
    assert "freeze - c" not in [item.label for item in found]
    reached["train"] = [0.2, 0.5, 0.6, 0.7]
    write_run(tmp_path / "f1", "own", schedule="freeze", seed=1, flops=10_000, **reached)
    found = differences.differences(only_groups(tmp_path), budgets.TRAINING_ACCURACY, "back")
    assert "freeze - c" in [item.label for item in found]
    text = reports.markdown(tmp_path)
    assert "would be cut short: freeze - a, unfreeze - a." in text
    assert "A schedule that spans its run is compared at the end of the run only" in text


def test_what_trains_like_the_posts_case_is_the_posts(tmp_path):
    """Breaks if a schedule of the post's is another experiment when asked for by its name."""
    write_run(tmp_path / "1", "c", [0.1], seed=1)
    write_run(tmp_path / "2", "own", [0.1], schedule="back", seed=2)
    write_run(tmp_path / "3", "own", [0.1], schedule="back", seed=1)
    write_run(tmp_path / "4", "c", [0.1], protocol="per-batch", seed=4)
    found = {(g.variant.name, g.variant.protocol): g.seeds for g in only_groups(tmp_path)}
    assert found == {("c", "per-step"): (1, 2), ("back", "per-batch"): (4,)}
    (line,) = collect(str(tmp_path)).left_out
    assert line.startswith(f"{tmp_path / '3'}: case c with seed 1 again")


def test_runs_of_another_network_stand_apart(tmp_path):
    """Breaks if a network that is not the post's is mixed with it, or not read at all."""
    write_run(tmp_path / "1", "c", [0.1])
    write_run(tmp_path / "2", "c", [0.2], architecture=OTHER_NETWORK)
    settings = collect(str(tmp_path)).settings
    assert len(settings) == 2
    for setting, (group,) in settings.items():
        assert setting.posted_network == group.as_posted == (group.runs[0].metrics[0][4] == 0.1)
        assert group.runs[0].expected_updates.shape == (9 if setting.posted_network else 5,)
    write_run(tmp_path / "3", "own", [0.2], schedule="back", seed=3, architecture=OTHER_NETWORK)
    assert [len(groups) for groups in collect(str(tmp_path)).settings.values()] == [1, 1]


@pytest.mark.parametrize(
    "changes", [{"threads": 1}, {"train_size": 50}, {"test_size": 20}, {"question": "Why?"}]
)
def test_what_does_not_change_a_run_does_not_part_a_group(tmp_path, changes):
    """Breaks if seeds of one experiment are torn apart by how they were asked for."""
    write_run(tmp_path / "1", "a", [0.1], seed=1)
    write_run(tmp_path / "2", "a", [0.3], seed=2, **changes)
    assert [group.seeds for group in only_groups(tmp_path)] == [(1, 2)]


def test_the_order_of_quirks_does_not_matter(tmp_path):
    """Breaks if the order in which quirks were typed parts a group."""
    write_run(tmp_path / "1", "c", [0.1], seed=1, quirks=("elu-slope", "sum-loss"))
    write_run(tmp_path / "2", "c", [0.1], seed=2, quirks=("sum-loss", "elu-slope"))
    assert [group.seeds for group in only_groups(tmp_path)] == [(1, 2)]


def test_unfinished_runs_stand_apart_and_are_named(tmp_path):
    """Breaks if an accuracy after two epochs goes into the mean of accuracies after three."""
    write_run(tmp_path / "1", "a", [0.1, 0.2, 0.3], seed=1)
    write_run(tmp_path / "2", "a", [0.1, 0.2], seed=2, epochs=3)
    assert [(g.variant.epochs, g.seeds) for g in only_groups(tmp_path)] == [(2, (2,)), (3, (1,))]
    (line,) = collect(str(tmp_path)).unfinished
    assert line == "%s: 2 of 3 epochs" % (tmp_path / "2")


def test_a_seed_is_counted_once(tmp_path):
    """Breaks if a copied run counts as a further seed, in silence or at all."""
    write_run(tmp_path / "b", "a", [0.9], seed=1, threads=1)
    write_run(tmp_path / "a", "a", [0.1], seed=1)
    write_run(tmp_path / "c", "a", [0.3], seed=2)
    (group,) = only_groups(tmp_path)
    assert statistics.summary(group)["test"].mean == pytest.approx(0.2)
    (line,) = collect(str(tmp_path)).left_out
    assert line.startswith("%s: case a with seed 1 again" % (tmp_path / "b"))
    assert str(tmp_path / "a") in line


def test_runs_that_cannot_be_counted_are_named_and_left_out(tmp_path):
    """Breaks if a damaged run, or one without an epoch, stops the report or is dropped silently."""
    write_run(tmp_path / "good", "a", [0.1])
    write_run(tmp_path / "new", "a", [])
    write_run(tmp_path / "torn", "a", [0.1])
    (tmp_path / "torn" / "metrics.csv").write_text("epoch\n1")
    (tmp_path / "alien").mkdir()
    (tmp_path / "alien" / "config.json").write_text('{"server": "localhost"}')
    found = collect(str(tmp_path))
    assert found.run_count == 1
    assert [line.split(" (")[0] for line in found.left_out] == [
        "%s is damaged" % (tmp_path / "alien" / "config.json"),
        "%s has no finished epoch" % (tmp_path / "new"),
        "%s is damaged" % (tmp_path / "torn" / "metrics.csv"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"test_accuracy": float("nan")},
        {"test_accuracy": 1.5},
        {"train_accuracy": -0.1},
        {"seconds": float("inf")},
        {"seconds": -1.0},
        {"flops": -1},
        {"updates": (1,) * 8 + (-1,)},
    ],
)
def test_impossible_numbers_are_damage(tmp_path, change):
    """Breaks if a number that no run can have gets into a mean."""
    run = write_run(tmp_path, "a", [0.1])
    run.write_metrics([epochs_of([0.1])[0]._replace(**change)])
    with pytest.raises(
        UsageError, match=r"metrics\.csv is damaged \(impossible numbers in epoch 1"
    ):
        read_run(str(tmp_path))


def test_a_diverged_run_counts(tmp_path):
    """Breaks if a run whose cost is not a number is taken for damage: chance is its result."""
    run = write_run(tmp_path, "a", [0.1])
    run.write_metrics([epochs_of([0.1])[0]._replace(train_cost=float("nan"))])
    assert read_run(str(tmp_path)).variant.epochs == 1


@pytest.mark.parametrize(
    ("fact", "value"), [("name", ["x"]), ("sha256", None), ("test_images", "9")]
)
def test_facts_of_another_type_are_damage(tmp_path, fact, value):
    """Breaks if a list where a name should be ends in a traceback."""
    write_run(tmp_path, "a", [0.1])
    commands.edit_config(tmp_path, lambda config: config["data"].update({fact: value}))
    with pytest.raises(UsageError, match=rf"config\.json is damaged \({fact}"):
        read_run(str(tmp_path))


def test_updates_of_another_network_are_damage(tmp_path):
    """Breaks if rows with fewer layers than the run's network are drawn or compared."""
    write_run(tmp_path, "a", [0.1]).write_metrics(epochs_of([0.1], layers=8))
    with pytest.raises(UsageError, match=r"metrics\.csv is damaged \(it has updates of 8 layers"):
        read_run(str(tmp_path))


def test_an_unreadable_directory_is_named(tmp_path, monkeypatch):
    """Breaks if runs are missing because a directory could not be listed, and nobody is told."""
    write_run(tmp_path / "good", "a", [0.1])
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def guarded(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert collect(str(tmp_path)).left_out == [
        "%s cannot be read: Permission denied" % (tmp_path / "locked")
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing is not a directory"),
        ("file", "file is not a directory"),
        ("empty", r"empty holds no run with a finished epoch \(there is no directory with config"),
        ("new", r"new holds no run with a finished epoch \(.*new has no finished epoch\)"),
    ],
)
def test_nothing_to_count(tmp_path, name, message):
    """Breaks if a wrong directory gives an empty report or a traceback."""
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "new", "a", [])
    with pytest.raises(UsageError, match=message):
        collect(str(tmp_path / name))


# --- paired differences


def test_differences_are_over_common_seeds_only(tmp_path):
    """Breaks if seeds that only one case has shift a difference, or its sign is turned."""
    for seed, accuracy in ((1, 0.5), (2, 0.6), (3, 0.9)):
        write_run(tmp_path / f"a{seed}", "a", [accuracy], seed=seed)
    for seed, accuracy in ((2, 0.55), (3, 0.7), (4, 0.1)):
        write_run(tmp_path / f"c{seed}", "c", [accuracy], seed=seed)
    (found,) = differences.differences(only_groups(tmp_path), budgets.EPOCHS)
    assert (found.first.name, found.second.name) == ("c", "a")
    reach = 12.706205 * 0.075  # t for one degree of freedom, times the error of -0.05 and -0.2
    assert found.statistic == pytest.approx((-0.125, -0.125 - reach, -0.125 + reach, 2))
    assert found.p == pytest.approx(stats.ttest_rel([0.55, 0.7], [0.6, 0.9])[1])


def test_differences_pair_seed_with_seed(tmp_path):
    """Breaks if the interval is that of unpaired runs: here every seed differs by the same."""
    for seed, accuracy in ((1, 0.2), (2, 0.5), (3, 0.8)):
        write_run(tmp_path / f"b{seed}", "b", [accuracy], seed=seed)
        write_run(tmp_path / f"d{seed}", "d", [accuracy + 0.1], seed=seed)
    (found,) = differences.differences(only_groups(tmp_path), budgets.EPOCHS)
    assert found.statistic == pytest.approx((0.1, 0.1, 0.1, 3))


def test_one_pair_has_neither_interval_nor_p(tmp_path):
    """Breaks if a single pair of runs pretends to certainty, or counts as a test for Holm."""
    for name in "ace":
        write_run(tmp_path / name, name, [0.1], seed=1)
    for name, accuracy in (("a", 0.1), ("c", 0.15)):
        write_run(tmp_path / f"{name}2", name, [accuracy], seed=2)
    found = by_letters(differences.differences(only_groups(tmp_path), budgets.EPOCHS))
    assert {letters: item.statistic.count for letters, item in found.items()} == {
        ("c", "a"): 2,
        ("e", "a"): 1,
        ("c", "e"): 1,
    }
    assert found["e", "a"].statistic[1:3] == (None, None)
    assert found["e", "a"].p is None
    assert found["c", "a"].p == pytest.approx(0.5)


def test_p_is_corrected_within_a_table(tmp_path):
    """Breaks if several differences are each tested as if there were no others."""
    groups = {"a": (0.1, 0.2, 0.3), "c": (0.2, 0.31, 0.42), "e": (0.1, 0.25, 0.2)}
    for name, accuracies in groups.items():
        for seed, accuracy in enumerate(accuracies):
            write_run(tmp_path / f"{name}{seed}", name, [accuracy], seed=seed)
    found = by_letters(differences.differences(only_groups(tmp_path), budgets.EPOCHS))
    raw = {(x, y): stats.ttest_rel(groups[x], groups[y])[1] for x, y in found}
    smallest = min(raw, key=raw.get)
    assert found[smallest].p == pytest.approx(3 * raw[smallest])
    assert found[max(raw, key=raw.get)].p == pytest.approx(max(raw.values()))


def test_differences_at_equal_cost(tmp_path):
    """Breaks if the dearer run is taken at its end, at an epoch beside, or at another cost.

    c takes half the operations of a: its four epochs are two of a's. e takes 3/8 of a's, so that
    its four epochs end in the middle of a's second.
    """
    fair = 8 * 10**12
    write_run(tmp_path / "a", "a", [0.1, 0.3, 0.6, 0.8], flops=fair)
    write_run(tmp_path / "c", "c", [0.2, 0.3, 0.4, 0.5], flops=fair // 2)
    write_run(tmp_path / "e", "e", [0.1, 0.2, 0.3, 0.7], flops=fair * 3 // 8)
    groups = only_groups(tmp_path)
    costs = {
        budget.field: by_letters(differences.differences(groups, budget))
        for budget in (budgets.EPOCHS, budgets.UPDATES, budgets.OPERATIONS)
    }
    found = {
        cost: {letters: (item.at, item.statistic.mean) for letters, item in items.items()}
        for cost, items in costs.items()
    }
    assert found["tflop"]["c", "a"] == pytest.approx((16, 0.5 - 0.3))
    assert found["tflop"]["e", "a"] == pytest.approx((12, 0.7 - 0.2))
    assert found["tflop"]["c", "e"] == pytest.approx((12, 0.4 - 0.7))
    for cost, at in (("epochs", 4), ("updates", 20)):  # made up the same for every case
        assert found[cost]["c", "a"] == pytest.approx((at, 0.5 - 0.8))


def test_a_longer_run_is_compared_where_the_shorter_ends(tmp_path):
    """Breaks if 50 epochs of one case are compared with 10 of another."""
    write_run(tmp_path / "a", "a", [0.1, 0.2, 0.9])
    write_run(tmp_path / "c", "c", [0.1, 0.4])
    (found,) = differences.differences(only_groups(tmp_path), budgets.EPOCHS)
    assert (found.at, found.statistic.mean) == pytest.approx((2, 0.2))


def test_nothing_is_known_before_the_first_epoch(tmp_path):
    """Breaks if the accuracy after an epoch stands for one that was never measured."""
    write_run(tmp_path / "a", "a", [0.3, 0.4], flops=8)
    write_run(tmp_path / "c", "c", [0.1], flops=4)
    assert differences.differences(only_groups(tmp_path), budgets.OPERATIONS) == []


def test_the_differences_are_those_that_the_post_is_about(tmp_path):
    """Breaks if a pair is missing, turned round, or another one is added."""
    finals = {"a": 0.10, "b": 0.21, "c": 0.33, "d": 0.46, "e": 0.60, "f": 0.75}
    for name, accuracy in finals.items():
        write_run(tmp_path / name, name, [accuracy])
    found = by_letters(differences.differences(only_groups(tmp_path), budgets.EPOCHS))
    pairs = ["ca", "ea", "ce", "db", "fb", "df", "ba", "dc", "fe"]
    assert ["".join(letters) for letters in found] == pairs
    for (first, second), item in found.items():
        assert item.statistic.mean == pytest.approx(finals[first] - finals[second])


def test_cases_of_ones_own_are_compared(tmp_path):
    """Breaks if the post's question is not answered for another network, or its schedules."""
    for name, accuracy in (("fair", 0.1), ("back", 0.3), ("single", 0.6)):
        changes = {"schedule": name, "architecture": OTHER_NETWORK}
        write_run(tmp_path / name, "own", [accuracy], **changes)
    found = by_letters(differences.differences(only_groups(tmp_path), budgets.OPERATIONS))
    assert {names: item.pair.question for names, item in found.items()} == {
        ("back", "fair"): "from the back against fair",
        ("single", "fair"): "single against fair",
    }
    assert found["back", "fair"].statistic.mean == pytest.approx(0.2)
    assert found["single", "fair"].statistic.mean == pytest.approx(0.5)


def test_another_baseline(tmp_path):
    """Breaks if a schedule is compared with fair although another baseline was asked for."""
    finals = {"fair": 0.1, "back": 0.3, "front": 0.4, "9;8-9": 0.6}
    for name, accuracy in finals.items():
        write_run(tmp_path / name, "own", [accuracy], schedule=name)
    write_run(tmp_path / "augmented", "own", [0.7], schedule="9;8-9", augment=True)
    groups = only_groups(tmp_path)
    baseline = differences.baseline_of(groups, "9; 8,9")
    assert baseline == "9;8-9"
    found = differences.differences(groups, budgets.EPOCHS, baseline)
    assert {item.pair.question: round(item.statistic.mean, 6) for item in found} == {
        "fair against 9;8-9": -0.5,
        "from the back against 9;8-9": -0.3,
        "from the front against 9;8-9": -0.2,
        "augmented against not, both 9;8-9": 0.1,
    }
    assert [pair.question for pair in differences.pairs(groups, "single")] == [
        "augmented against not, both 9;8-9"
    ]
    assert differences.baseline_of(groups, "12") == "12"  # a layer that there is not
    assert [(x.first[0], x.second[0]) for x in differences.pairs(groups)] == [
        ("back", "fair"),
        ("front", "fair"),
        ("9;8-9", "fair"),
        ("back", "front"),
        ("9;8-9", "9;8-9"),
    ]


def test_controls_and_augmentation_beside_their_schedule(tmp_path):
    """Breaks if a control, or augmented runs, are compared with fair alone."""
    finals = {"fair": 0.1, "back": 0.3, "share:back": 0.5, "shuffled:back": 0.7, "share:front": 0.9}
    for name, accuracy in finals.items():
        write_run(tmp_path / name, "own", [accuracy], schedule=name)
    write_run(tmp_path / "augmented", "own", [0.2], schedule="back", augment=True)
    groups = only_groups(tmp_path)
    found = differences.differences(groups, budgets.EPOCHS)
    between = {item.pair.question: round(item.statistic.mean, 6) for item in found}
    assert {name: value for name, value in between.items() if " fair" not in name} == {
        "share:back against from the back": 0.2,
        "shuffled:back against from the back": 0.4,
        "augmented against not, both from the back": -0.1,
    }
    assert len(between) == 3 + 4
    write_run(tmp_path / "seed", "own", [0.6], schedule="shuffled:back:7")
    again = differences.differences(only_groups(tmp_path), budgets.EPOCHS)
    assert [x.pair.question for x in again].count("shuffled:back:7 against from the back") == 1
    to_back = [pair.question for pair in differences.pairs(groups, "back")]
    assert to_back.count("share:back against from the back") == 1


@pytest.mark.parametrize(
    ("name", "controlled"),
    [
        ("share:freeze:0.5", ["freeze:0.5"]),
        ("share:single+9", ["single+9"]),
        ("share:multirate:9:5", ["multirate:9:5"]),
        ("shuffled:back", ["back"]),
        ("shuffled:back:4", ["back:4", "back"]),
        ("shuffled:back:1*100", ["back:1*100", "back*100"]),
        ("shuffled:single:1+9", ["single:1+9", "single+9"]),
        ("shuffled:multirate:9:5:3", ["multirate:9:5:3", "multirate:9:5"]),
        ("freeze:0.5", []),
    ],
)
def test_what_a_control_controls(name, controlled):
    """Breaks if a control is compared with another schedule than the one that it changes."""
    assert differences._controlled(name) == controlled


def test_runs_below_several_directories(tmp_path):
    """Breaks if only the first is read, an empty one passes, or a run counts twice."""
    for name in ("fair", "back"):
        write_run(tmp_path / name / "seed0", "own", [0.5], schedule=name)
    roots = [str(tmp_path / "fair"), str(tmp_path / "back")]
    assert collect(*roots).run_count == 2
    found = collect(*roots, str(tmp_path), str(tmp_path / "back" / ".." / "fair"))
    assert (found.run_count, found.left_out) == (2, [])
    with pytest.raises(UsageError, match="nothing is not a directory"):
        collect(roots[0], str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty holds no run with a finished epoch"):
        collect(roots[0], str(tmp_path / "empty"))


@pytest.mark.parametrize(
    "changes",
    [
        {"quirks": ("elu-slope",)},
        {"augment": True},
        {"seed": 1},
        {"width": 0.5},
    ],
)
def test_what_is_not_alike_is_not_paired(tmp_path, changes):
    """Breaks if a difference comes from quirks, images or width and is put down to the case."""
    write_run(tmp_path / "a", "a", [0.1])
    write_run(tmp_path / "c", "c", [0.2], **changes)
    for groups in collect(str(tmp_path)).settings.values():
        assert differences.differences(groups, budgets.EPOCHS) == []


def test_protocols_are_compared_with_fair_runs_but_not_with_each_other(tmp_path):
    """Breaks if c per batch is paired with e per step, or not with a, whose cycle has one row."""
    write_run(tmp_path / "a", "a", [0.2], protocol="per-batch")
    write_run(tmp_path / "c", "c", [0.3], protocol="per-batch")
    write_run(tmp_path / "e", "e", [0.6])
    found = by_letters(differences.differences(only_groups(tmp_path), budgets.EPOCHS))
    assert {letters: item.mode for letters, item in found.items()} == {
        ("back", "a"): "per-batch",
        ("e", "a"): "per-step",
    }


@pytest.mark.parametrize("as_run", [False, True])
def test_what_trained_alike_is_called_so(tmp_path, as_run):
    """Breaks if c against e as run, both fair, reads like an answer to the post's question."""
    for name in "ce":
        quirks = ledger.as_run(name) if as_run else ()
        write_run(tmp_path / name, name, [0.1], quirks=quirks)
    (match,) = differences.matches(only_groups(tmp_path))
    question = "from the back against from the front"
    assert match.pair.question == question + (", both trained alike" if as_run else "")


# --- words and curves


def test_how_a_variant_is_named(tmp_path):
    """Breaks if runs with the scripts' quirks pass for runs without, or the other way round."""
    for name in "ac":
        write_run(tmp_path / name, name, [0.1], quirks=ledger.as_run(name), seed=1)
    write_run(tmp_path / "x", "c", [0.1], quirks=("elu-slope", "sum-loss"), seed=2)
    write_run(tmp_path / "y", "c", [0.1], schedule="front", augment=True, seed=3)
    write_run(tmp_path / "z", "c", [0.1], augment=True, protocol="per-batch", seed=4)
    found = {group.seeds + (group.variant.name,): group.variant for group in only_groups(tmp_path)}
    assert found[(1, "a")].mode == "either"
    assert found[(1, "c")].mode == "either, as run in 2018"
    assert found[(2, "c")].mode == "per-step, elu-slope, sum-loss"
    assert found[(3, "f")].training == "front, augmented"
    assert found[(4, "back")].label == found[(4, "back")].training == "back, augmented"
    assert [found[key].as_posted for key in sorted(found)] == [True, True, True, True, False]


def test_the_curve_of_a_run():
    """Breaks if updates are summed over layers, or an axis is off by an epoch."""
    found = statistics.curve(epochs_of([0.2, 0.5]))
    np.testing.assert_allclose(found.epochs, [1, 2])
    np.testing.assert_allclose(found.updates, [5, 10])  # layers 1 to 9: 1, 2, ..., 9 an epoch
    np.testing.assert_allclose(found.tflop, [3, 6])
    np.testing.assert_allclose(found.accuracy, [0.2, 0.5])
    np.testing.assert_allclose(found.train, [0.3, 0.6])


def test_the_mean_curve_is_that_over_seeds():
    """Breaks if the mean is taken over epochs."""
    curves = [statistics.curve(epochs_of(test)) for test in ([0.1, 0.3], [0.3, 0.7])]
    found = statistics.mean_curve(curves)
    np.testing.assert_allclose(found.accuracy, [0.2, 0.5])
    np.testing.assert_allclose(found.epochs, [1, 2])


@pytest.mark.parametrize(("name", "iterations"), list(zip("abcdef", 3 * (5000, 10000))))
def test_published_runs_updated_every_layer_on_every_iteration(name, iterations):
    """Breaks if the published c to f count as unfair, or an augmented epoch as 5,000 iterations."""
    log = published_log.load()[name]
    found = statistics.published_curve(name, log)
    np.testing.assert_array_equal(found.epochs, np.arange(1, len(log) + 1))
    np.testing.assert_allclose(found.updates, iterations * found.epochs)
    mflop_per_image = 6046
    np.testing.assert_allclose(
        found.tflop, found.epochs * iterations * 10 * mflop_per_image / 1e6, rtol=1e-4
    )
    assert found.accuracy[-1] == log[-1].test_accuracy
    assert found.train[0] == log[0].train_accuracy


def test_every_field_of_a_case_is_thought_of():
    """Breaks if a case gets a field of which nobody decided whether it parts settings or groups."""
    assert set(CASES["a"].__dataclass_fields__) == {
        *("name", "question", "seed", "threads"),
        *("schedule", "moments", "protocol", "quirks", "augment", "epochs"),
        *("data", "train_size", "test_size"),
        *("batch_size", "learning_rate", "beta1", "beta2", "epsilon", "width", "initial_weights"),
        *("optimizer", "momentum", "nesterov", "architecture", "validation_size"),
    }
