"""Checkpoints: a run's whole state, from which it goes on as if nothing had happened.

TensorFlow writes a checkpoint ``model-STEP`` as values, first under another name, and then an
index; it checks sums when it reads them. What has no index was never finished. The newest
checkpoint that is whole is the run's state, whatever the list says that TensorFlow keeps beside
them.
"""

import contextlib
import os
import re
import shutil
import sys
from typing import List, Optional

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import UsageError
from unfair_bp.running.directory import CHECKPOINTS, RunDirectory

KEPT = 2  # so that there is another one if the newest is damaged
NAME = "model"  # RunDirectory.saved_steps knows it, too


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run: Whose they are.
        variables: What they hold; all variables of the graph by default.
    """

    def __init__(self, run: RunDirectory, variables: Optional[List[tf.Variable]] = None) -> None:
        self.run = run
        self._saver = tf.train.Saver(variables, max_to_keep=KEPT, save_relative_paths=True)

    def save(self, session: tf.Session, step: int) -> None:
        """Save the session's variables as the newest checkpoint, and remove the oldest.

        Raises:
            UsageError: If it cannot be written; earlier checkpoints are as they were.
        """
        path = os.path.join(self.run.file(CHECKPOINTS), NAME)
        try:
            with session.graph.as_default():  # a saver of TensorFlow 2 asks what is the default
                self._saver.save(session, path, global_step=step, write_meta_graph=False)
        except (OSError, tf.errors.OpError) as error:
            with contextlib.suppress(OSError):
                self.remove_unfinished()
            raise UsageError(
                "cannot write the checkpoint %s-%d (%s); earlier ones are intact: make room, then "
                "go on with --resume" % (path, step, reason(error))
            ) from error

    def restore(self, session: tf.Session) -> None:
        """Give the variables their values in the newest checkpoint that is whole.

        Every variable must be in the checkpoint with its shape, because TensorFlow itself would
        take a weight of any other shape. A newer one that is damaged is named on standard error.

        Raises:
            UsageError: If there is no checkpoint, or none that is whole.
        """
        steps = self.run.saved_steps()
        damaged = []
        for step in steps:
            path = os.path.join(self.run.file(CHECKPOINTS), "%s-%d" % (NAME, step))
            try:
                _check_shapes(session.graph, path)
                with session.graph.as_default():
                    self._saver.restore(session, path)
            except (ValueError, tf.errors.OpError) as error:
                damaged.append("the checkpoint %s is damaged (%s)" % (path, reason(error)))
                continue
            self._adopt(step, steps)
            for line in damaged:
                print("warning: %s; going back to the one before" % line, file=sys.stderr)
            return
        if damaged:
            raise UsageError(
                "%s, and there is no other; train again with --overwrite" % "; ".join(damaged)
            )
        raise UsageError("%s holds no checkpoint; train it again with --overwrite" % self.run.path)

    def _adopt(self, restored: int, steps: List[int]) -> None:
        """Count earlier checkpoints among those to keep: the damaged are the first to go."""
        order = [step for step in steps if step > restored]
        order += reversed([step for step in steps if step <= restored])
        directory = self.run.file(CHECKPOINTS)
        self._saver.recover_last_checkpoints(
            [os.path.join(directory, "%s-%d" % (NAME, step)) for step in order]
        )

    def remove_unfinished(self) -> None:
        """Remove what a save left behind that was killed."""
        steps = "|".join(map(str, self.run.saved_steps()))
        finished = re.compile(r"%s-(%s)\.(index|data-\d+-of-\d+)|checkpoint" % (NAME, steps))
        for entry in os.scandir(self.run.file(CHECKPOINTS)):
            if finished.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.remove(entry.path)


def _check_shapes(graph: tf.Graph, checkpoint: str) -> None:
    saved = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
        name, shape = variable.op.name, variable.shape.as_list()
        if saved.get(name) != shape:
            raise ValueError("%s is %s, expected %s" % (name, saved.get(name, "missing"), shape))


def reason(error: Exception) -> str:
    """Why, in a few words: TensorFlow's own messages are pages long."""
    if isinstance(error, OSError):
        return error.strerror
    if isinstance(error, ValueError):
        return str(error)
    # The system's words, if it was a file: a line "PATH; No space left on device" among others.
    words = re.search(r"^\S.*; (\w[^;\n]{1,60})$", error.message, re.MULTILINE)
    return words.group(1) if words else type(error).__name__
