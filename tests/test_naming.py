"""Names of runs: what a case is called, and that two different runs have two directories."""

import itertools
import os
import re
from dataclasses import fields, replace

import numpy as np
import pytest

from unfair_bp.experiment import ledger, naming, schedules
from unfair_bp.experiment.cases import CASES, QUICK, Case
from unfair_bp.experiment.naming import default_path, named

BACK = ";".join(f"{first}-9" for first in range(9, 0, -1))
LONG = ";".join(99 * ["1-9", "9"])
# What TensorFlow, a shell, and the file systems of Linux, macOS and Windows take as it is.
SAFE = re.compile(r"[a-z0-9][a-z0-9._+~-]*[a-z0-9]|[a-z0-9]")


def directory(case, **changes):
    """The part of a default path that names the run."""
    logs, name, seed = default_path(replace(case, **changes)).split(os.sep)
    assert (logs, seed) == ("logs", "seed678")
    return name


def test_unchanged_cases_stay_where_they_are():
    """Breaks if two seeds or two cases share a directory, or runs made earlier are not found."""
    paths = {default_path(replace(CASES[name], seed=n)) for name in CASES for n in (1, 12)}
    assert paths == {
        os.path.join("logs", f"case_{x}", f"seed{n}") for x in "abcdef" for n in (1, 12)
    }
    quick = replace(CASES["c"], **QUICK)
    assert default_path(quick, quick=True) == os.path.join("logs", "quick", "case_c", "seed678")


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("c", {"learning_rate": 3e-4}, "case_c_learning-rate_3e-4"),
        ("a", {"schedule": "lisa:1:20"}, "lisa-1-20"),
        ("a", {"schedule": "back*100"}, "backx100"),
        ("a", {"schedule": "badam+8-9"}, "badam-plus-8-9"),
        ("a", {"schedule": "segprop:9:1-3,4-6:10"}, "segprop-9-1to3+4to6-10"),
        ("a", {"schedule": "9;7@0.5"}, "9_7-at-0.5"),
        ("c", {"moments": "reset"}, "back_moments_reset"),
        ("a", {"schedule": "freeze", "epochs": 3}, "freeze_epochs_3"),
        ("c", {"width": 0.25, "train_size": 5000}, "case_c_width_0.25_train-size_5000"),
        ("a", {"schedule": "9;8-9"}, "9_8-9"),
        ("a", {"schedule": "random:3:90:0"}, "random-3-90-0"),
        ("c", {"schedule": "1,4-6;9"}, "1+4-6_9"),
        ("c", {"schedule": "9 ; 8-9", "beta1": 0.0}, "9_8-9_beta1_0"),
        ("c", {"protocol": "per-batch"}, "back_protocol_per-batch"),
        ("d", {"augment": False}, "back"),
        ("a", {"augment": True}, "fair_augment"),
        ("a", {"protocol": "per-batch"}, "case_a_protocol_per-batch"),
        ("c", {"schedule": BACK}, f"case_c_schedule_{BACK.replace(';', '_')}"),
        ("d", {"quirks": ledger.as_run("d")}, "case_d_as-run"),
        ("c", {"quirks": ("elu-slope", "sum-loss")}, "case_c_quirks_elu-slope+sum-loss"),
        ("a", {"optimizer": "sgd", "nesterov": True}, "case_a_optimizer_sgd_nesterov"),
    ],
)
def test_a_directory_says_what_is_not_the_cases_own(name, changes, expected):
    """Breaks if a field is left out, or a letter stands for a schedule that is not its own."""
    assert directory(CASES[name], **changes) == expected


def test_different_runs_have_different_directories():
    """Breaks if a field is not named, or two of its values are written the same."""
    values = {
        "schedule": [
            "back",
            "9;8-9",
            "9;8,9",
            "9,8;9",
            "random:3",
            "random:3:9",
            LONG,
            LONG + ";8",
        ],
        "moments": ["own", "keep", "reset", "reset-all"],
        "protocol": ["per-batch", "per-step"],
        "quirks": [(), ("elu-slope",), ("elu-slope", "sum-loss"), ledger.as_run("c")],
        "augment": [True, False],
        "batch_size": [10, 20],
        "optimizer": ["sgd", "adam"],
        "learning_rate": [0.0001, 0.00010000001, 1e-5, 1.0, 0.1],
        "momentum": [0.9, 0.0],
        "nesterov": [True, False],
        "beta1": [0.9, 0.99],
        "beta2": [0.9, 0.999],
        "epsilon": [1e-8, 1e-7],
        "initial_weights": ["numpy", "2018"],
        "width": [1.0, 0.5],
        "data": ["cifar10", "cifar100", "shapes"],
        "train_size": [None, 100],
        "test_size": [None, 100],
        "validation_size": [None, 100],
        "architecture": [CASES["a"].architecture, replace(CASES["a"].architecture, image_size=64)],
    }
    assert {*values, *naming.UNNAMED} == {item.name for item in fields(Case)}
    changes = [{}]
    for (one, ones), (other, others) in itertools.combinations(values.items(), 2):
        changes += [{one: x, other: y} for x, y in itertools.product(ones, others)]
    found = {}
    for change in changes:
        if schedules.parse(change.get("schedule", "fair")).cycle > 36:
            change.pop("protocol", None)
        if {"optimizer", "moments", "schedule"} & set(change):
            change.pop("quirks", None)
        for quick in (False, True):
            case = named(replace(CASES["c"], **change))
            path = default_path(case, quick)
            assert found.setdefault(path.lower(), case) == case, path
            for word in path.split(os.sep):
                assert SAFE.fullmatch(word), path
                assert len(word) < 140


@pytest.mark.parametrize("text", ["CON:*", "a\\b", "über", "x" * 200, "a/b", "..", "fair*10"])
def test_any_text_becomes_a_safe_name(text):
    """Breaks if a schedule of a grammar to come makes a name that a file system does not take."""
    words = {naming._word(text), naming._word(text + "1"), naming._word(text.upper())}
    assert len({word.lower() for word in words}) == len({text, text + "1", text.upper()})
    assert all(SAFE.fullmatch(word) for word in words)
    assert naming._word("fair*10") == "fairx10"


def test_epochs_are_named_where_they_make_another_schedule():
    """Breaks if a longer run is looked for elsewhere, or a whole-run schedule has one directory."""
    assert directory(CASES["c"], epochs=20) == "case_c"
    assert directory(CASES["c"], epochs=20, schedule="freezeout:0.5") == "freezeout-0.5_epochs_20"


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("c", {}, "c"),
        ("c", {"learning_rate": 1.0, "epochs": 3, "quirks": ledger.as_run("c")}, "c"),
        ("c", {"schedule": BACK}, "c"),
        ("a", {"schedule": "1-9", "protocol": "per-batch"}, "a"),
        ("c", {"protocol": "per-batch"}, "back"),
        ("c", {"protocol": "per-batch", "quirks": ledger.as_run("c")}, "c"),
        ("c", {"schedule": "front"}, "front"),
        ("c", {"moments": "reset"}, "back"),
        ("c", {"moments": "keep"}, "c"),
        ("d", {"augment": False}, "back"),
        ("c", {"schedule": LONG}, naming.short_name(LONG)),
    ],
)
def test_a_letter_stands_for_schedule_protocol_and_augmentation(name, changes, expected):
    """Breaks if a run passes for one of the post's, or one of the post's for another."""
    case = replace(CASES[name], **changes)
    assert named(case).name == expected
    assert named(case).question == (case.question if expected == name else "")
    assert replace(named(case), name=name, question=case.question) == case


def test_a_policy_is_named_where_it_is_not_the_schedules_own():
    """Breaks if what every run has parts the runs of one schedule, or another policy is hidden."""
    for schedule, moments, expected in (
        ("share:back", "keep", "share:back"),
        ("share:back", "reset", "share:back, moments reset"),
        ("badam:7", "reset-all", "badam:7"),
        ("badam:7", "keep", "badam:7, moments keep"),
    ):
        case = Case(schedule=schedule, moments=moments)
        assert naming.schedule_name(case) == expected
    kept = Case(schedule="badam:7", moments="keep", quirks=("update-first",))
    assert naming.schedule_name(kept) == "badam:7, moments keep"


def test_a_name_of_ones_own_stays():
    """Breaks if a case that was named in Python is called something else."""
    rows = np.eye(9, dtype=bool)
    assert named(Case("mine", schedule=rows)) == Case("mine", schedule=rows)


def test_long_texts_that_begin_alike_are_told_apart():
    """Breaks if two schedules of thousands of rows look the same in a table."""
    texts = [LONG, LONG + ";9", LONG + ";8"]
    for length in (9, 24, 60):
        short = [naming.short_name(text, length) for text in texts]
        assert len(set(short)) == 3
        assert {len(text) for text in short} == {length}
    assert naming.short_name("x" * 60) == "x" * 60


def test_a_name_is_looked_for_at_the_runs_length():
    """Breaks if a run on a user's own data, whose length the case does not know, is misnamed."""
    case = Case(data="own", schedule="freeze:1")
    assert naming.schedule_name(case, 300) == "freeze"
