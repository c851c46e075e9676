"""Which library of kernels TensorFlow's convolutions run on: its version and the machine decide.

TensorFlow 1.15 has Eigen's on a processor. TensorFlow 2 has oneDNN's, whose gradient kernels are
good where the processor has AVX-512, and leave something to be gained where it has not.
"""

import functools
import os
import platform
from typing import Collection, Mapping, Optional, Tuple

from unfair_bp.graph_mode import tf

GPU = "gpu"
ONEDNN_AVX512 = "oneDNN, AVX-512"
ONEDNN = "oneDNN"
EIGEN = "Eigen"
LIBRARIES = (GPU, ONEDNN_AVX512, ONEDNN, EIGEN)

ONEDNN_SINCE = (2, 9)  # the first TensorFlow that uses oneDNN unless told not to


@functools.lru_cache(maxsize=None)
def library() -> str:
    """The library that convolutions run on here, one of ``LIBRARIES``."""
    if tf.config.experimental.list_physical_devices("GPU"):
        return GPU
    version = tuple(int(part) for part in tf.version.VERSION.split(".")[:2])
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return library_of_processor(version, processor_flags() if x86 else None, os.environ)


def library_of_processor(
    version: Tuple[int, ...], flags: Optional[Collection[str]], environment: Mapping[str, str]
) -> str:
    """The library on a processor.

    Args:
        version: TensorFlow's, major and minor.
        flags: What the processor can do, as Linux names it; None if it is not of the x86 family.
        environment: oneDNN is switched off by ``TF_ENABLE_ONEDNN_OPTS=0``, and told to do without
            AVX-512 by ``ONEDNN_MAX_CPU_ISA``.
    """
    off = environment.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false")
    if flags is None or version < ONEDNN_SINCE or off:
        return EIGEN
    most = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    allowed = most.startswith(("AVX512", "AVX10")) or most in ("", "ALL", "DEFAULT")
    return ONEDNN_AVX512 if "avx512f" in flags and allowed else ONEDNN


def processor_flags() -> Collection[str]:
    """What the processor can do, as Linux names it; empty where there is no such list."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.split(":", 1)[1] for line in file if line.startswith("flags")]
    except OSError:
        return ()  # not Linux
    return frozenset(lines[0].split()) if lines else ()
