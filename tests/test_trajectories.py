"""The same numbers on every TensorFlow: stored trajectories of all cases, computed again."""

from pathlib import Path

import numpy as np
import pytest
from conftest import relative_error
from trajectories import BATCH, ITERATIONS, NAMES, batches, case_of, trajectory

from unfair_bp.experiment.cases import PROTOCOLS

STORED = np.load(str(Path(__file__).with_name("trajectories.npz")))
TOLERANCE = 1e-4  # float32, relative, over 50 iterations


def test_everything_is_stored():
    """Breaks if a case, a protocol or its as-run form is left out."""
    assert sorted(STORED.files) == sorted(NAMES)
    assert len(NAMES) == 6 * 2 * 2
    assert all(STORED[name].shape == (ITERATIONS, 10) for name in NAMES)


def test_stored_trajectories_differ_where_the_training_does():
    """Breaks if a schedule, protocol or quirk had no effect when the file was written."""
    # Without augmentation a and its as-run form are one; c and e collapse to one, in any protocol.
    assert np.array_equal(STORED["a per-step as described"], STORED["a per-step as run"])
    assert np.array_equal(STORED["c per-step as run"], STORED["e per-batch as run"])
    different = ["a per-step as described", "b per-step as described", "b per-step as run"]
    different += ["c per-step as run", "d per-step as run"]
    different += [f"{case} {p} as described" for case in "cdef" for p in PROTOCOLS]
    finals = [STORED[name][-1] for name in different]
    for i, one in enumerate(finals):
        for other in finals[:i]:
            assert relative_error(one, other) > 100 * np.finfo(np.float32).eps


def test_batches_do_not_depend_on_the_version():
    """Breaks if the batches themselves differ, so that a comparison would mean nothing."""
    images, labels = next(batches(case_of("d per-step as described")))
    assert images.shape == (BATCH, 32, 32, 3)
    np.testing.assert_array_equal(images[2:], images[:2, :, ::-1])
    np.testing.assert_array_equal(labels[2:], labels[:2])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_trajectory(name, record_property):
    """Breaks if this TensorFlow computes another training run than the one that is stored."""
    actual, stored = trajectory(name), STORED[name]
    worst = max(relative_error(actual[:, i], stored[:, i]) for i in range(actual.shape[1]))
    record_property("worst_relative_difference", worst)
    assert worst <= TOLERANCE
