"""The six cases, and the values that cannot be run."""

import json
import re
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from unfair_bp.data import shapes
from unfair_bp.data.cifar import sets
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.cases import CASES, TRAINING_IMAGES, Case, as_text, case_named


def test_cases_are_those_of_the_post():
    """Breaks if a case has another schedule, augmentation or length than the post's."""
    assert {name: (c.schedule, c.augment, c.epochs) for name, c in CASES.items()} == {
        "a": ("fair", False, 50),
        "b": ("fair", True, 10),
        "c": ("back", False, 10),
        "d": ("back", True, 10),
        "e": ("front", False, 10),
        "f": ("front", True, 10),
    }


def test_settings_are_those_of_the_post():
    """Breaks if a setting that all cases share is changed for one of them."""
    shared = {"batch_size": 10, "learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.9}
    shared.update({"epsilon": 1e-8, "seed": 678, "width": 1.0, "data": "cifar10"})
    shared.update({"train_size": None, "test_size": None})
    for name, case in CASES.items():
        assert case.name == name
        assert {key: getattr(case, key) for key in shared} == shared


def test_training_images_of_each_data_set():
    """Breaks if schedules are shown for another number of iterations than is trained."""
    official = {name: files.train_images for name, files in sets.SETS.items()}
    assert {**official, "shapes": len(shapes.load().train_images)} == TRAINING_IMAGES


def test_a_case_is_frozen():
    """Breaks if a run could change its own description."""
    with pytest.raises(FrozenInstanceError):
        CASES["a"].epochs = 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": 0}, "epochs 0 is out of range; give at least 1"),
        ({"epochs": -1}, "epochs -1"),
        ({"epochs": 10**25}, "epochs 10000000000000000000000000"),
        ({"learning_rate": 10**400}, "learning_rate 1000"),
        ({"momentum": 10**400}, "momentum 1000"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 5, "augment": True}, "batch_size 5 is odd"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"learning_rate": float("inf")}, "learning_rate inf"),
        ({"learning_rate": 0.0}, "learning_rate 0"),
        ({"learning_rate": -1e-4}, "learning_rate -0.0001"),
        ({"beta1": 1.0}, "beta1 1"),
        ({"beta2": -0.1}, "beta2 -0.1"),
        ({"beta2": float("nan")}, "beta2 nan"),
        ({"epsilon": 0.0}, "epsilon 0"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed 4294967296 is out of range; give 0 to 4294967295"),
        ({"width": 0.0}, "width 0"),
        ({"width": float("nan")}, "width nan"),
        ({"width": 17.0}, "width 17"),
        ({"data": "mnist"}, "data 'mnist'"),
        ({"train_size": 0}, "train_size 0"),
        ({"test_size": -5}, "test_size -5"),
        ({"validation_size": 0}, "validation_size 0"),
        ({"threads": -1}, "threads -1"),
        ({"schedule": "0"}, "schedule '0'"),
    ],
)
def test_values_that_cannot_be_run(changes, named):
    """Breaks if such a value gets as far as the graph, or its error does not name it."""
    with pytest.raises(UsageError) as raised:
        replace(CASES["a"], **changes)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


FAIR_OR_BACK = np.array([[True] * 9, [False] * 8 + [True]])


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("learning_rate", np.logspace(-4, -2, 3)[1], 1e-3),
        ("learning_rate", np.array(1e-3), 1e-3),
        ("width", np.float32(0.5), 0.5),
        ("epochs", np.int32(3), 3),
        ("train_size", np.array(5), 5),
        ("augment", np.bool_(True), True),
        ("schedule", np.str_("back"), "back"),
        ("schedule", np.array("back"), "back"),
        ("quirks", np.array(["adam-constant"]), ("adam-constant",)),
        ("quirks", [np.str_("adam-constant")], ("adam-constant",)),
        ("schedule", FAIR_OR_BACK, "1-9;9"),
        ("schedule", schedules.parse("back"), "back"),
        ("schedule", schedules.Schedule("mine", FAIR_OR_BACK), "1-9;9"),
        ("schedule", schedules.Schedule("back", FAIR_OR_BACK), "1-9;9"),
    ],
)
def test_values_of_numpy_are_stored_as_pythons(name, given, stored):
    """Breaks if NumPy's scalars and arrays are refused, or a schedule counts by its name alone."""
    value = getattr(replace(CASES["a"], **{name: given}), name)
    assert value == stored
    assert type(value) is type(stored)
    assert json.loads(json.dumps(value)) == (list(stored) if name == "quirks" else stored)


@pytest.mark.parametrize("columns", [8, 10])
def test_a_schedule_of_another_network_is_refused(columns):
    """Breaks if a table without a column for the last layers leaves these as they are."""
    table = np.ones([2, columns], bool)
    for given in (table, schedules.Schedule("mine", table)):
        with pytest.raises(FieldError, match=f"table of {columns} layers, but the network has 9"):
            replace(CASES["a"], schedule=given)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": 3.0}, "epochs 3.0 is of the wrong type; give int"),
        ({"epochs": np.float64(3)}, "epochs 3.0 is of the wrong type; give int"),
        ({"learning_rate": np.array([0.1, 0.2])}, "wrong type; give int or float"),
        ({"quirks": "adam-constant"}, "wrong type; give tuple"),
        ({"schedule": [[True] * 9]}, "wrong type; give str"),
    ],
)
def test_a_wrong_type_is_named_with_the_right_one(changes, named):
    """Breaks if the line does not say what to give."""
    with pytest.raises(FieldError, match=re.escape(named)):
        replace(CASES["a"], **changes)


def test_an_odd_batch_without_augmentation_is_fine():
    """Breaks if the rule for augmented batches is applied to all."""
    assert replace(CASES["a"], batch_size=5).batch_size == 5


def test_unknown_case():
    """Breaks if a missing case is a KeyError."""
    with pytest.raises(UsageError, match="'g' is not known; give one of a, b, c, d, e, f"):
        case_named("g")


def test_text_shows_every_field():
    """Breaks if a setting that matters is not printed."""
    lines = as_text(CASES["c"]).splitlines()
    assert [line.split()[1] for line in lines if "_size" in line] == ["10", "all", "all", "none"]
    assert [line.split()[0] for line in lines] == [field.name for field in fields(Case)]
