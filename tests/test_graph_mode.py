"""What TensorFlow is told before it is imported."""

import mmap

import pytest

from unfair_bp.backprop.graph_mode import tf

resource = pytest.importorskip("resource", reason="page faults are counted on Unix only")

ROWS, COLUMNS = 16, 2**20
BYTES = 4 * ROWS * COLUMNS  # more than any system keeps for the next who asks


def test_memory_is_kept_for_the_next_tensor():
    """Breaks if a large tensor is given back to the system, and so costs a fault for each page."""
    with tf.Graph().as_default(), tf.Session() as session:
        negative = (-tf.random.uniform([ROWS, COLUMNS])).op
        session.run(negative)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            session.run(negative)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 5 * BYTES / mmap.PAGESIZE / 10
