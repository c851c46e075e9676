"""TensorFlow as the package imports it: its settings, and what else in the process still works."""

import mmap

import commands
import pytest

from unfair_bp.backprop.graph_mode import cond, tf

ROWS, COLUMNS = 16, 2**20
BYTES = 4 * ROWS * COLUMNS  # more than any system keeps for the next who asks


def test_memory_is_kept_for_the_next_tensor():
    """Breaks if a large tensor is given back to the system, and so costs a fault for each page."""
    resource = pytest.importorskip("resource", reason="page faults are counted on Unix only")
    with tf.Graph().as_default(), tf.Session() as session:
        negative = (-tf.random.uniform([ROWS, COLUMNS])).op
        session.run(negative)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            session.run(negative)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 5 * BYTES / mmap.PAGESIZE / 10


def test_branches_are_operations_of_the_graph():
    """Breaks if a branch becomes a function, whose operations nothing outside can wait for."""
    enabled = tf.control_flow_v2_enabled()
    try:
        for switch in (tf.enable_control_flow_v2, tf.disable_control_flow_v2):
            switch()
            before = tf.control_flow_v2_enabled()
            with tf.Graph().as_default() as graph, tf.Session() as session:
                condition = tf.placeholder(tf.bool, [])
                result = cond(condition, lambda: tf.constant(1), lambda: tf.constant(2))
                assert session.run([result, result], {condition: True}) == [1, 1]
                assert session.run(result, {condition: False}) == 2
            kinds = {op.type for op in graph.get_operations()}
            assert "Switch" in kinds and not kinds & {"If", "StatelessIf"}
            assert tf.control_flow_v2_enabled() == before
    finally:
        (tf.enable_control_flow_v2 if enabled else tf.disable_control_flow_v2)()


KERAS = """
import logging
import numpy as np
import tensorflow.compat.v1 as tf
tf.enable_v2_behavior()  # 1.15 does not by itself
level = logging.getLogger("tensorflow").level
x, y = np.ones([8, 4], np.float32), np.ones([8, 3], np.float32)
model = tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=[4])])
model.compile("sgd", "mse")
model.fit(x, y, verbose=0)

from unfair_bp import train
assert train.main(WORDS) == 0

model.fit(x, y, verbose=0)
model.save("model.h5")
assert tf.keras.models.load_model("model.h5", compile=False).predict(x, verbose=0).shape == (8, 3)
assert tf.executing_eagerly() and tf.control_flow_v2_enabled()
assert tf.resource_variables_enabled()
assert (tf.constant(1) + 1).numpy() == 2 and tf.TensorShape([3])[0] == 3
assert logging.getLogger("tensorflow").level == level
"""


def test_eager_code_goes_on(tmp_path):
    """Breaks if a training run costs its process eager execution, Keras or TensorFlow's log."""
    words = [*commands.SMALL, "--epochs", "1", "--case", "c", "--run-dir", "run"]
    script = KERAS.replace("WORDS", repr([str(word) for word in words]))
    status, _, stderr = commands.run(["-c", script], tmp_path)
    assert status == 0, stderr


WRITING = """
import os, threading, time
stop = threading.Event()
count = [0]
def write():
    while not stop.is_set():
        os.write(2, b"mine\\n")
        count[0] += 1
        time.sleep(0.01)
thread = threading.Thread(target=write)
thread.start()
import unfair_bp.backprop.graph_mode
stop.set()
thread.join()
print(count[0])
"""


def test_other_threads_keep_their_standard_error(tmp_path):
    """Breaks if what another thread writes during the import is lost."""
    status, stdout, stderr = commands.run(["-c", WRITING], tmp_path)
    assert status == 0, stderr
    assert int(stdout) > 10
    assert stderr.count("mine") == int(stdout)


@pytest.mark.parametrize("before", ["", "sys.stderr = None; "])
def test_the_import_is_silent(tmp_path, before):
    """Breaks if a command begins with TensorFlow's messages, or needs a place to show them."""
    script = f"import sys; {before}import unfair_bp.backprop.graph_mode"
    status, _, stderr = commands.run(["-c", script], tmp_path)
    assert (status, stderr) == (0, "")


def test_a_closed_standard_error(tmp_path):
    """Breaks if a process that was started without one cannot import the package."""
    script = "import os; os.close(2); import unfair_bp.backprop.graph_mode; print('imported')"
    assert commands.run(["-c", script], tmp_path)[:2] == (0, "imported\n")
