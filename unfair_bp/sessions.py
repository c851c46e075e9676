"""How TensorFlow sessions are set up, and filled from a checkpoint."""

from typing import List

from unfair_bp.cases import Case
from unfair_bp.errors import UsageError
from unfair_bp.graph_mode import tf
from unfair_bp.runs import CHECKPOINTS, RunDirectory


def config(case: Case) -> tf.ConfigProto:
    """Threads as the case says; memory of a graphics card as it is needed."""
    settings = tf.ConfigProto(
        intra_op_parallelism_threads=case.threads,
        inter_op_parallelism_threads=case.threads,
        allow_soft_placement=True,
    )
    settings.gpu_options.allow_growth = True
    return settings


def accelerators(session: tf.Session) -> List[str]:
    """Names of the session's devices other than the processor."""
    return [
        device.name.split("device:")[-1]
        for device in session.list_devices()
        if "CPU" not in device.device_type
    ]


def restore(session: tf.Session, saver: tf.train.Saver, run: RunDirectory) -> None:
    """Give the saver's variables their values in the newest checkpoint of a run.

    Every variable of the graph must be in the checkpoint with its shape, because TensorFlow itself
    would take a weight of any other shape.

    The saver then counts the run's older checkpoints among those it keeps, and so removes them in
    their turn.

    Raises:
        UsageError: If there is no checkpoint, or it cannot be read.
    """
    try:
        state = tf.train.get_checkpoint_state(run.file(CHECKPOINTS))
        if state is not None:
            _check_shapes(session.graph, state.model_checkpoint_path)
            saver.restore(session, state.model_checkpoint_path)
            saver.recover_last_checkpoints(state.all_model_checkpoint_paths)
    except (ValueError, tf.errors.OpError) as error:
        # TensorFlow's own messages are pages long.
        reason = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise UsageError(
            "the newest checkpoint of %s is missing or damaged (%s); train it again with "
            "--overwrite" % (run.path, reason)
        ) from error
    if state is None:
        raise UsageError("%s holds no checkpoint; train it again with --overwrite" % run.path)


def _check_shapes(graph: tf.Graph, checkpoint: str) -> None:
    saved = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
        name, shape = variable.op.name, variable.shape.as_list()
        if saved.get(name) != shape:
            raise ValueError("%s is %s, expected %s" % (name, saved.get(name, "missing"), shape))
