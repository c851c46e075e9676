"""Which form of the convolution a layer gets: the fastest one on the kernels that run here.

TensorFlow's version and the machine decide on the kernels. On a processor TensorFlow 1.15 has
Eigen's; TensorFlow 2 has oneDNN's on newer processors and Eigen's on others. The choice was
measured, see ``logs/benchmark/README.md``.
"""

import functools
import os
import platform
from typing import Dict, Mapping, Optional, Tuple

from unfair_bp.backprop.convolution import Convolution
from unfair_bp.backprop.fast.grouped import GroupedConvolution, SplitConvolution
from unfair_bp.backprop.fast.library import LibraryConvolution
from unfair_bp.backprop.fast.winograd import WinogradConvolution
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.experiment.architecture import LayerSpec

GPU, ONEDNN, EIGEN = "gpu", "oneDNN", "Eigen"
LIBRARIES = (GPU, ONEDNN, EIGEN)

ONEDNN_SINCE = (2, 9)  # the first TensorFlow that uses oneDNN without being asked to
# Any of these, and TensorFlow does so. Source: its function DefaultOneDnnPolicy.
ONEDNN_FLAGS = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}

# In smaller images, or with fewer inputs or outputs, Winograd's changes of basis cost too much.
WINOGRAD_SIZE = 16  # pixels
WINOGRAD_CHANNELS = 128


@functools.lru_cache(maxsize=None)
def library() -> str:
    """The library that convolutions run on here, one of ``LIBRARIES``."""
    if tf.config.experimental.list_physical_devices("GPU"):
        return GPU
    version = tuple(int(part) for part in tf.version.VERSION.split(".")[:2])
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return library_of_processor(version, processor_facts() if x86 else None, os.environ)


def library_of_processor(
    version: Tuple[int, ...], facts: Optional[Mapping[str, str]], environment: Mapping[str, str]
) -> str:
    """The library on a processor.

    Args:
        version: TensorFlow's, major and minor.
        facts: What Linux says of the processor, with ``flags`` among it; None if it is not of the
            x86 family.
        environment: ``TF_ENABLE_ONEDNN_OPTS`` switches oneDNN on or off.
    """
    if facts is None or version < ONEDNN_SINCE:
        return EIGEN
    switch = environment.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    flags = facts.get("flags", "").split()
    used = switch in ("1", "true") if switch else not ONEDNN_FLAGS.isdisjoint(flags)
    return ONEDNN if used else EIGEN


def processor_facts() -> Dict[str, str]:
    """What Linux says of the first processor, by name; empty on other systems."""
    facts: Dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break  # the next processor
                name, _, value = line.partition(":")
                facts[name.strip()] = value.strip()
    except OSError:
        pass  # not Linux
    return facts


def forms_of(layer: LayerSpec, kernels: Optional[str] = None) -> Dict[str, Convolution]:
    """Every form that a layer can have, by name.

    Args:
        layer: Its kernel and the size of its images decide.
        kernels: What TensorFlow's convolutions run on, one of ``LIBRARIES``; by default what they
            run on here.
    """
    forms = {"plain": Convolution(), "library": LibraryConvolution()}
    if WinogradConvolution.fits(layer):
        # oneDNN does the grouped convolution in one operation; Eigen does it group by group.
        onednn = (kernels or library()) == ONEDNN
        forms["Winograd"] = WinogradConvolution(
            GroupedConvolution() if onednn else SplitConvolution()
        )
    return forms


def name_of_choice(layer: LayerSpec, kernels: Optional[str] = None) -> str:
    """Name of the form that is the fastest for a layer; arguments as in :func:`forms_of`."""
    kernels = kernels or library()
    if kernels == GPU:
        return "library"  # made for it, and has filterings like Winograd's in itself
    channels = min(layer.inputs, layer.outputs)
    large = layer.size >= WINOGRAD_SIZE and channels >= WINOGRAD_CHANNELS
    if large and WinogradConvolution.fits(layer):
        return "Winograd"
    return "library" if kernels == ONEDNN else "plain"


def chosen_form(layer: LayerSpec, kernels: Optional[str] = None) -> Convolution:
    """The form of the convolution that a layer gets; arguments as in :func:`forms_of`."""
    return forms_of(layer, kernels)[name_of_choice(layer, kernels)]
