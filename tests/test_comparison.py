"""Comparing runs: only like with like, each seed once, and statistics that are the textbook's."""

import os
from itertools import product

import commands
import numpy as np
import pytest
from run_directories import DATA, FLOPS_PER_EPOCH, SECONDS_PER_EPOCH, epochs_of, write_run

from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment import published as published_log
from unfair_bp.experiment.cases import CASES
from unfair_bp.results import statistics
from unfair_bp.results.collection import collect, read_run


def only_groups(root):
    """The groups of a directory that has one setting."""
    (groups,) = collect(str(root)).settings.values()
    return groups


def by_letters(found):
    """Differences by the letters of their cases."""
    return {(item.first.name, item.second.name): item for item in found}


# --- statistics


def test_the_interval_is_the_bootstraps():
    """Breaks if values are drawn without replacement, too few, or other percentiles are taken.

    Of three values all 27 samples can be written down: the bootstrap converges to their means.
    """
    values = [0.1, 0.2, 0.6]
    found = statistics.statistic(values)
    means = sorted(np.mean(sample) for sample in product(values, repeat=3))
    assert found.mean == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((means[0], means[-1]))  # 1/27 > 2.5 %
    assert found.count == 3


def test_the_interval_of_many_values_is_that_of_the_normal_distribution():
    """Breaks if the interval is that of the values and not of their mean, or of another width."""
    values = np.random.RandomState(1).normal(0.5, 0.1, 400)
    found = statistics.statistic(values)
    error = values.std() / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_the_interval_is_repeatable():
    """Breaks if the same runs give another interval the next time, or it depends on global state.

    The numbers come from a loop over single samples.
    """
    values = np.random.RandomState(3).uniform(size=12)
    random = np.random.RandomState(0)
    means = [np.mean(values[random.randint(0, 12, 12)]) for _ in range(10000)]
    expected = (np.percentile(means, 2.5), np.percentile(means, 97.5))
    for seed in (1, 2):
        np.random.seed(seed)
        found = statistics.statistic(values)
        assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_a_single_value_has_no_interval():
    """Breaks if one seed pretends to certainty."""
    assert statistics.statistic([0.25]) == (0.25, None, None, 1)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (1, "no interval"),
        (2, "few seeds"),
        (4, "few seeds"),
        (5, ""),
        (9, ""),
    ],
)
def test_few_seeds_are_said_to_be_few(seeds, said):
    """Breaks if the limit moves, or too few seeds pass in silence."""
    assert statistics.trust(seeds) == said


def test_the_quantities_of_a_run(tmp_path):
    """Breaks if best and last, first and last layer, or the sign of the gap are mixed up."""
    write_run(tmp_path, "c", test=[0.2, 0.5, 0.4], train=[0.3, 0.6, 0.7])
    (group,) = only_groups(tmp_path)
    found = {name: value.mean for name, value in statistics.summary(group).items()}
    assert found == pytest.approx(
        {
            "test_final": 0.4,
            "test_best": 0.5,
            "train_final": 0.7,
            "gap": 0.3,
            "seconds": 3 * SECONDS_PER_EPOCH,
            "tflop": 3 * FLOPS_PER_EPOCH / 1e12,
            "updates_first": 3,
            "updates_last": 27,
        }
    )


def test_a_groups_statistics_are_over_its_seeds(tmp_path):
    """Breaks if a seed is left out of the mean, or the best is taken of the mean curve."""
    write_run(tmp_path / "1", "a", [0.9, 0.2], seed=1)
    write_run(tmp_path / "2", "a", [0.1, 0.4], seed=2)
    (group,) = only_groups(tmp_path)
    found = statistics.summary(group)
    assert found["test_final"] == pytest.approx((0.3, 0.2, 0.4, 2))
    assert found["test_best"] == pytest.approx((0.65, 0.4, 0.9, 2))


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
        {"protocol": "per-batch"},
        {"quirks": ("elu-slope",)},
        {"augment": True},
    ],
)
def test_what_is_compared_makes_groups_of_one_setting(tmp_path, changes):
    """Breaks if a mean is taken over runs that trained differently, or they cannot be compared."""
    write_run(tmp_path / "1", "a", [0.1], seed=1)
    write_run(tmp_path / "2", "a", [0.3], seed=2, **changes)
    assert [group.seeds for group in only_groups(tmp_path)] in ([(1,), (2,)], [(2,), (1,)])


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
    assert statistics.summary(group)["test_final"].mean == pytest.approx(0.2)
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
        {"updates": (1,) * 8},
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
    with pytest.raises(UsageError, match=r"config\.json is damaged \(%s" % fact):
        read_run(str(tmp_path))


def test_an_unknown_letter_is_damage(tmp_path):
    """Breaks if a case that the post does not have ends in a KeyError further on."""
    write_run(tmp_path, "a", [0.1])
    commands.edit_config(tmp_path, lambda config: config["case"].update(name="z"))
    with pytest.raises(UsageError, match="case 'z'"):
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
        write_run(tmp_path / ("a%d" % seed), "a", [accuracy], seed=seed)
    for seed, accuracy in ((2, 0.55), (3, 0.7), (4, 0.1)):
        write_run(tmp_path / ("c%d" % seed), "c", [accuracy], seed=seed)
    (found,) = statistics.differences(only_groups(tmp_path))
    assert (found.first.name, found.second.name) == ("c", "a")
    assert found.seeds == (2, 3)
    assert found.statistic == pytest.approx((-0.125, -0.2, -0.05, 2))


def test_differences_pair_seed_with_seed(tmp_path):
    """Breaks if the interval is that of unpaired runs: here every seed differs by the same."""
    for seed, accuracy in ((1, 0.2), (2, 0.5), (3, 0.8)):
        write_run(tmp_path / ("b%d" % seed), "b", [accuracy], seed=seed)
        write_run(tmp_path / ("d%d" % seed), "d", [accuracy + 0.1], seed=seed)
    (found,) = statistics.differences(only_groups(tmp_path))
    assert found.statistic == pytest.approx((0.1, 0.1, 0.1, 3))


def test_the_differences_are_those_that_the_post_is_about(tmp_path):
    """Breaks if a pair is missing, turned round, or another one is added."""
    finals = {"a": 0.10, "b": 0.21, "c": 0.33, "d": 0.46, "e": 0.60, "f": 0.75}
    for name, accuracy in finals.items():
        write_run(tmp_path / name, name, [accuracy])
    found = by_letters(statistics.differences(only_groups(tmp_path)))
    pairs = ["ca", "ea", "ce", "db", "fb", "df", "ba"]
    assert ["".join(letters) for letters in found] == pairs
    for (first, second), item in found.items():
        assert item.statistic.mean == pytest.approx(finals[first] - finals[second])


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "per-batch"},
        {"quirks": ("elu-slope",)},
        {"schedule": "single"},
        {"augment": True},
        {"seed": 1},
        {"width": 0.5},
    ],
)
def test_what_is_not_alike_is_not_paired(tmp_path, changes):
    """Breaks if a difference comes from a protocol, quirk or schedule and is put down to the case.

    A schedule that is not the letter's own would be reported as the post's.
    """
    write_run(tmp_path / "a", "a", [0.1])
    write_run(tmp_path / "c", "c", [0.2], **changes)
    for groups in collect(str(tmp_path)).settings.values():
        assert statistics.differences(groups) == []


def test_other_numbers_of_epochs_are_not_paired(tmp_path):
    """Breaks if 50 epochs of one case are compared with 10 of another."""
    write_run(tmp_path / "a", "a", [0.1, 0.2])
    write_run(tmp_path / "c", "c", [0.1])
    assert statistics.differences(only_groups(tmp_path)) == []


def test_each_protocol_has_its_own_difference(tmp_path):
    """Breaks if runs of one protocol are paired with those of the other."""
    for protocol, shift in (("per-step", 0.1), ("per-batch", 0.3)):
        write_run(tmp_path / protocol / "a", "a", [0.2], protocol=protocol)
        write_run(tmp_path / protocol / "c", "c", [0.2 + shift], protocol=protocol)
    found = statistics.differences(only_groups(tmp_path))
    assert {item.first.protocol: round(item.statistic.mean, 6) for item in found} == {
        "per-batch": 0.3,
        "per-step": 0.1,
    }


# --- words and curves


def test_how_a_variant_is_named(tmp_path):
    """Breaks if runs with the scripts' quirks pass for runs without, or the other way round."""
    for name in "ac":
        write_run(tmp_path / name, name, [0.1], quirks=ledger.as_run(name), seed=1)
    write_run(tmp_path / "x", "c", [0.1], quirks=("elu-slope", "sum-loss"), seed=2)
    write_run(tmp_path / "y", "c", [0.1], schedule="front", augment=True, seed=3)
    found = {group.seeds + (group.variant.name,): group.variant for group in only_groups(tmp_path)}
    assert found[(1, "a")].mode == "per-step"
    assert found[(1, "c")].mode == "per-step, as run in 2018"
    assert found[(2, "c")].mode == "per-step, elu-slope, sum-loss"
    assert found[(3, "c")].training == "front, augmented"
    assert [found[key].as_posted for key in sorted(found)] == [True, True, True, False]


def test_the_curve_of_a_run():
    """Breaks if updates are summed over layers, or an axis is off by an epoch."""
    found = statistics.curve(epochs_of([0.2, 0.5]))
    np.testing.assert_allclose(found.epochs, [1, 2])
    np.testing.assert_allclose(found.updates, [5, 10])  # layers 1 to 9: 1, 2, ..., 9 an epoch
    np.testing.assert_allclose(found.tflop, [3, 6])
    np.testing.assert_allclose(found.accuracy, [0.2, 0.5])


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


def test_every_field_of_a_case_is_thought_of():
    """Breaks if a case gets a field of which nobody decided whether it parts settings or groups."""
    assert set(CASES["a"].__dataclass_fields__) == {
        *("name", "question", "seed", "threads"),
        *("schedule", "protocol", "quirks", "augment", "epochs"),
        *("data", "train_size", "test_size"),
        *("batch_size", "learning_rate", "beta1", "beta2", "epsilon", "width", "initial_weights"),
    }
