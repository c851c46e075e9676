"""What several test modules share: small graphs in float64, and how to compare arrays."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.fast.grouped import GroupedConvolution, SplitConvolution
from unfair_bp.backprop.fast.library import LibraryConvolution
from unfair_bp.backprop.fast.winograd import WinogradConvolution
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL, initial_weights
from unfair_bp.experiment.cases import CASES

# The forms of the convolution: whatever machine a test runs on, it tries all that TensorFlow can.
DIRECT_FORMS = {"plain": Convolution(), "library": LibraryConvolution()}  # these fit every layer
GROUPED_FORMS = {"split": SplitConvolution()}
if GroupedConvolution.works_here():
    GROUPED_FORMS["grouped"] = GroupedConvolution()
WINOGRAD_FORMS = {name: WinogradConvolution(form) for name, form in GROUPED_FORMS.items()}
FORMS = {**DIRECT_FORMS, **WINOGRAD_FORMS}

LAYERS = ALL_CONVOLUTIONAL.scaled()  # the post's network
TINY = 1 / 32  # channels 8, 8, 4, 4, 4, 2, 2, 2, 10


def relative_error(actual, expected):
    """Largest difference, relative to the largest expected magnitude; 0 if both are zero."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    difference = np.max(np.abs(actual - expected))
    assert np.isfinite(difference)  # max(0.0, nan) is 0.0: a caller would not see it
    return float(difference / np.max(np.abs(expected))) if difference != 0 else 0.0


def wherever_it_fits(form):
    """A rule that gives every layer the form of this name, or the plain one where it cannot be."""
    return lambda layer: FORMS[form] if fits(form, layer) else FORMS["plain"]


def fits(form, layer):
    """Whether a layer can have the form of this name."""
    return form in DIRECT_FORMS or WinogradConvolution.fits(layer)


def tiny_case(name, **changes):
    """A case small enough to run many times: few channels, batches of four."""
    return replace(CASES[name], width=TINY, batch_size=4, **changes)


def start_weights(case, seed=7):
    """The weights that a case starts from."""
    return initial_weights(case.layers, seed)


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard():
    """Let Ctrl-C and SIGHUP be heard, here and in what is started here.

    A shell that starts the tests in the background, and nohup, have them ignore these.
    """
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, default) for number, default in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Let TensorFlow have one thread in this process, so that results repeat bit for bit.

    All sessions of a process share the threads of the first: a later ``--threads 1`` asks in vain.
    """
    settings = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.Graph().as_default(), tf.Session(config=settings) as session:
        session.run(tf.constant(0))


@pytest.fixture
def batch():
    """Four images in float64 and their labels."""
    random = np.random.RandomState(3)
    return random.uniform(size=[4, 32, 32, 3]), random.randint(0, 10, size=4)
