"""How TensorFlow sessions are set up."""

import contextlib
from typing import Iterator, List

from unfair_bp.backprop.graph_mode import tf
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.cases import Case


def config(case: Case) -> tf.ConfigProto:
    """Return a session's settings: the case's threads, and a GPU's memory only as needed."""
    settings = tf.ConfigProto(
        intra_op_parallelism_threads=case.threads,
        inter_op_parallelism_threads=case.threads,
        allow_soft_placement=True,
    )
    settings.gpu_options.allow_growth = True
    return settings


@contextlib.contextmanager
def enough_memory(refusal: UsageError) -> Iterator[None]:
    """Say in one line that memory is used up; TensorFlow's message has a hundred.

    Args:
        refusal: What to raise in place of what TensorFlow or NumPy raises.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise refusal from error


def too_large(case: Case, advice: str = "") -> UsageError:
    """Return what to raise if a case's batches need more memory than there is.

    Args:
        case: The case.
        advice: What else to say.
    """
    return FieldError(
        "batch_size",
        f"{case.batch_size} needs more memory than there is, at width {case.width:g}; give a "
        f"smaller batch size or width{advice}",
    )


def accelerators(session: tf.Session) -> List[str]:
    """Return the names of the session's devices other than the processor."""
    return [
        device.name.split("device:")[-1]
        for device in session.list_devices()
        if "CPU" not in device.device_type
    ]
