"""The one place where TensorFlow is imported: version 1's graph mode, on TensorFlow 1.15 and 2.

Everything else says ``from unfair_bp.backprop.graph_mode import tf``. TensorFlow's messages about
itself are hidden; ``TF_CPP_MIN_LOG_LEVEL=0`` in the environment shows them all.
"""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from typing import Iterator

LOG_LEVEL = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, by the import
# TensorFlow keeps freed memory for its next tensors instead of returning it to the system, which
# would hand it out again page by page. Version 1.15 does not by itself.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Hold back what C++ code writes to standard error; show it if the block raises.

    TensorFlow 2 reports missing CUDA drivers before it has read its own log level.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


with contextlib.ExitStack() as hidden:
    if LOG_LEVEL != "0":
        hidden.enter_context(_held_back_stderr())
        # TensorFlow 1.15 spells structured types as old NumPy did, once for each of its types.
        hidden.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", FutureWarning)
    import tensorflow.compat.v1 as tf

    if LOG_LEVEL != "0":
        # Not before: in a notebook the import itself sets a level, and a place to log to.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    tf.disable_v2_behavior()

__all__ = ["tf"]
