"""Checkpoints: a run's whole state, from which it goes on as if it had never stopped.

TensorFlow writes a checkpoint ``model-STEP`` as values, first under another name, and then an
index; it verifies checksums when it reads them. Without an index a checkpoint was never finished.
The newest whole checkpoint is the run's state. The list that TensorFlow keeps beside the
checkpoints is not read. The variables that it holds are created in backprop.graph,
backprop.optimizers and running.training; here, one more that says whose it is. Another run's
checkpoint, which somebody has copied or linked, would be restored without a word otherwise.
"""

import os
import re
from typing import Any, Dict, List, Optional

import numpy as np

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.console import warn
from unfair_bp.errors import UsageError
from unfair_bp.running import tidying
from unfair_bp.running.configuration import IDENTITY_BYTES
from unfair_bp.running.directory import RunDirectory

KEPT = 2  # so that there is another one if the newest is damaged
OWNER = "checkpoint/owner"  # name of the variable that holds the run's identity


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run: The run's directory.
        variables: What to restore; if None, every variable that the default graph has now, so
            create all others first. Only then can checkpoints be saved.
    """

    def __init__(self, run: RunDirectory, variables: Optional[List[tf.Variable]] = None) -> None:
        self.run = run
        self._variables = tf.global_variables() if variables is None else variables
        self._restorer = tf.train.Saver(self._variables)
        self._saver: Optional[tf.train.Saver] = None
        if variables is None:
            # Zeros are the identity of runs that were started before there were any.
            self._owner = tf.get_variable(
                OWNER, initializer=np.zeros(IDENTITY_BYTES, np.uint8), use_resource=True
            )
            self._owner_feed = tf.placeholder(tf.uint8, self._owner.shape)
            self._set_owner = self._owner.assign(self._owner_feed, read_value=False)
            self._saver = tf.train.Saver(
                [*self._variables, self._owner], max_to_keep=KEPT, save_relative_paths=True
            )

    def save(self, session: tf.Session, step: int) -> None:
        """Save the session's variables as the newest checkpoint, and remove the oldest.

        Raises:
            UsageError: If it cannot be written; earlier checkpoints are as they were.
        """
        directory = self.run.file(tidying.CHECKPOINTS)
        session.run(self._set_owner, {self._owner_feed: self.run.identity()})
        try:
            with session.graph.as_default():  # a saver of TensorFlow 2 asks what is the default
                self._saver.save(
                    session,
                    os.path.join(directory, tidying.MODEL),
                    global_step=step,
                    write_meta_graph=False,
                )
        except (OSError, ValueError, tf.errors.OpError) as error:  # ValueError: no directory
            tidying.delete(tidying.unfinished(directory))
            raise UsageError(
                f"cannot write the checkpoint {self._path(step)} ({reason(error)}); earlier ones "
                "are intact: make room, then go on with --resume"
            ) from error

    def restore(self, session: tf.Session) -> None:
        """Give the variables their values in the newest checkpoint that is whole.

        The shapes are compared first, because TensorFlow would accept a weight of another shape.
        A warning names each newer checkpoint that is damaged, or another run's.

        Raises:
            UsageError: If there is no checkpoint, or none that is whole.
        """
        steps = self.run.saved_steps()
        unusable, mine = [], list(steps)
        for step in steps:
            path = self._path(step)
            try:
                reader = tf.train.load_checkpoint(path)
                self._check_shapes(reader.get_variable_to_shape_map())
                with session.graph.as_default():
                    self._restorer.restore(session, path)
                if self._is_anothers(reader):
                    unusable.append(f"the checkpoint {path} is another run's")
                    mine.remove(step)  # nor is it ours to delete
                    continue
            except (ValueError, IndexError, tf.errors.OpError) as error:
                unusable.append(f"the checkpoint {path} is damaged ({reason(error)})")
                continue
            if self._saver is not None:
                self._adopt(step, mine)
            for line in unusable:
                warn(f"{line}; going back to the one before")
            return
        if unusable:
            raise UsageError(
                f"{'; '.join(unusable)}, and there is no other; train again with --overwrite"
            )
        raise UsageError(f"{self.run.path} holds no checkpoint; train it again with --overwrite")

    def _adopt(self, restored: int, steps: List[int]) -> None:
        """Let the saver delete older checkpoints in their turn, the damaged ones first."""
        order = [step for step in steps if step > restored]
        order += reversed([step for step in steps if step <= restored])
        self._saver.recover_last_checkpoints([self._path(step) for step in order])

    def _is_anothers(self, reader: Any) -> bool:
        """Whether a checkpoint says that it belongs to another run."""
        if not reader.has_tensor(OWNER):
            return False
        owner = reader.get_tensor(OWNER)
        return bool(owner.any()) and not np.array_equal(owner, self.run.identity())

    def _check_shapes(self, saved: Dict[str, List[int]]) -> None:
        for variable in self._variables:
            name, shape = variable.op.name, variable.shape.as_list()
            if saved.get(name) != shape:
                raise ValueError(f"{name} is {saved.get(name, 'missing')}, expected {shape}")

    def _path(self, step: int) -> str:
        return os.path.join(self.run.file(tidying.CHECKPOINTS), f"{tidying.MODEL}-{step}")


def reason(error: Exception) -> str:
    """Return the cause in a few words: TensorFlow's own messages are pages long."""
    if isinstance(error, OSError):
        return error.strerror
    if isinstance(error, (ValueError, IndexError)):
        return str(error)
    # For a file, one of the lines is "PATH; No space left on device".
    words = re.search(r"^\S.*; (\w[^;\n]{1,60})$", error.message, re.MULTILINE)
    return words.group(1) if words else type(error).__name__
