"""The one place where TensorFlow is imported: version 1's graphs and sessions, on 1.15 and on 2.

Everything else says ``from unfair_bp.backprop.graph_mode import tf``. Version 2's behaviour stays
on, so that code which uses eager TensorFlow or Keras in the same process goes on working. The
package builds its graphs inside ``tf.Graph().as_default()``, where nothing is eager, asks for
resource variables by name, and builds its branches with :func:`cond`.

TensorFlow's messages about itself are hidden unless the process has imported it before: this
module sets ``TF_CPP_MIN_LOG_LEVEL`` in the environment, where 0 shows them all, and the level of
the logger ``tensorflow``. It also sets ``TF_CPU_ALLOCATOR_USE_BFC``.
"""

import contextlib
import logging
import os
import sys
import tempfile
import threading
import warnings
from typing import Any, Callable, Iterator, Optional

from unfair_bp.environment import any_backend, library

FIRST_IMPORT = "tensorflow" not in sys.modules
if FIRST_IMPORT:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, by the import
# TensorFlow keeps freed memory for its next tensors instead of returning it to the system, which
# would hand it out again page by page. Version 1.15 does not by itself.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
QUIET = FIRST_IMPORT and os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0"


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Hold back what C++ code writes to standard error; show it if the block raises.

    TensorFlow 2 reports missing CUDA drivers before it has read its own log level.
    """
    if sys.stderr is not None:  # as in a process without a console
        sys.stderr.flush()
    try:
        shown = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
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


with any_backend(), library("TensorFlow", "tensorflow"), contextlib.ExitStack() as hidden:
    if QUIET:
        # All threads share standard error: where there are others, as in a notebook, theirs would
        # be held back too, and TensorFlow 2 shows its six lines.
        if threading.active_count() == 1:
            hidden.enter_context(_held_back_stderr())
        # TensorFlow 1.15 spells structured types as old NumPy did, once for each of its types.
        hidden.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", FutureWarning)
    import tensorflow.compat.v1 as tf

    if QUIET:
        # Not before: in a notebook the import itself sets a level, and a place to log to.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def cond(
    condition: tf.Tensor,
    if_true: Callable[[], Any],
    if_false: Callable[[], Any],
    name: Optional[str] = None,
) -> Any:
    """Build a ``tf.cond`` of version 1, whose branches are operations of the graph itself.

    Version 2 would put each branch into a function of its own, from which an update could not be
    handed to the rounds that wait for it. Whichever of the two the process uses is kept.

    Args:
        condition: A boolean scalar.
        if_true: Builds the operations that run if it holds, and returns the result.
        if_false: Builds the operations that run if it does not.
        name: Of the result.
    """
    version_2 = tf.control_flow_v2_enabled()
    if version_2:
        tf.disable_control_flow_v2()
    try:
        return tf.cond(condition, if_true, if_false, name=name)
    finally:
        if version_2:
            tf.enable_control_flow_v2()


__all__ = ["cond", "tf"]
