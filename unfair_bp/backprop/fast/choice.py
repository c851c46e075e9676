"""Which kernels TensorFlow's convolutions run on, and which form of ours a layer gets there.

TensorFlow's version and the machine decide. On a processor TensorFlow 1.15 has Eigen's kernels;
TensorFlow 2 has oneDNN's on newer processors and Eigen's on others. How good oneDNN's derivatives
are depends on the processor: on AMD's with AVX-512 they are as fast as its matrix product,
elsewhere they leave something to be gained.
"""

import functools
import os
import platform
from typing import Dict, Mapping, Optional, Tuple, Type

from unfair_bp.backprop.convolution import (
    Convolution,
    LibraryConvolution,
    PointwiseConvolution,
    ProductConvolution,
)
from unfair_bp.backprop.fast.winograd import WinogradConvolution, WinogradGroupedConvolution
from unfair_bp.backprop.fast.winograd_plane import (
    WinogradNestedConvolution,
    WinogradNestedGroupedConvolution,
    WinogradPlaneConvolution,
)
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.experiment.architecture import LayerSpec

GPU = "gpu"
ONEDNN_AMD_AVX512 = "oneDNN, AVX-512 of AMD"
ONEDNN_AVX512 = "oneDNN, AVX-512"
ONEDNN_AVX2 = "oneDNN, AVX2"  # or less
EIGEN = "Eigen"
ONEDNN = (ONEDNN_AMD_AVX512, ONEDNN_AVX512, ONEDNN_AVX2)
LIBRARIES = (GPU, *ONEDNN, EIGEN)

ONEDNN_SINCE = (2, 9)  # the first TensorFlow that uses oneDNN without being asked to
# Any of these, and TensorFlow does so. Source: its function DefaultOneDnnPolicy.
ONEDNN_FLAGS = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}

# Channels. With fewer inputs, as in the layer that sees the image, the library's derivatives win.
FEW_INPUTS = 8
# In smaller images, or with fewer inputs or outputs, Winograd's changes of basis cost too much.
WINOGRAD_SIZE = 16  # pixels
WINOGRAD_CHANNELS = 64
# Filtering in both directions, as 36 products or nested, changes basis twice: with fewer channels
# its forward pass takes longer than along the rows. Of larger images, :func:`chosen_form` tells.
PLANE_CHANNELS = 128
NESTED_CHANNELS = 256
PLANE_SIZE = 16  # pixels


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
        facts: What Linux says of the processor, ``flags`` and ``vendor_id`` among it; None if it
            is not of the x86 family.
        environment: oneDNN is switched on or off by ``TF_ENABLE_ONEDNN_OPTS``, and told to do
            without AVX-512 by ``ONEDNN_MAX_CPU_ISA``.
    """
    if facts is None or version < ONEDNN_SINCE:
        return EIGEN
    flags = facts.get("flags", "").split()
    switch = environment.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    used = switch in ("1", "true") if switch else not ONEDNN_FLAGS.isdisjoint(flags)
    if not used:
        return EIGEN
    most = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    allowed = most.startswith(("AVX512", "AVX10")) or most in ("", "ALL", "DEFAULT")
    if not allowed or "avx512f" not in flags:
        return ONEDNN_AVX2
    return ONEDNN_AMD_AVX512 if facts.get("vendor_id") == "AuthenticAMD" else ONEDNN_AVX512


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


def chosen_form(layer: LayerSpec, kernels: Optional[str] = None) -> Type[Convolution]:
    """The form of the convolution that a layer gets; measured, see README, "Speed".

    It is the fastest one, with an exception: on oneDNN, Winograd's filtering in both directions is
    the fastest for all three passes in large images, too, but there it gets the forward pass at
    most. Of three passes in that form the first costs more than a third, so that skipping the other
    two saves less than their operations cost; in layers 2 and 3, where most of the time goes, that
    would change what schedules cost beside each other.

    Args:
        layer: Its kernel, its channels and the size of its images decide.
        kernels: What TensorFlow's convolutions run on, one of ``LIBRARIES``; by default what they
            run on here.
    """
    kernels = kernels or library()
    if kernels == GPU:
        return LibraryConvolution  # made for it, and has filterings like Winograd's in itself
    if PointwiseConvolution.fits(layer):
        return PointwiseConvolution
    channels = min(layer.inputs, layer.outputs)
    large = layer.size >= WINOGRAD_SIZE and channels >= WINOGRAD_CHANNELS
    if large and WinogradPlaneConvolution.fits(layer):
        return _winograd_form(layer.size, channels, kernels)
    if kernels == ONEDNN_AMD_AVX512 or layer.inputs < FEW_INPUTS:
        return LibraryConvolution
    if kernels == ONEDNN_AVX2:
        return ProductConvolution
    return Convolution


def _winograd_form(size: int, channels: int, kernels: str) -> Type[Convolution]:
    """The form of Winograd's filtering for images of a size, and so many channels or more."""
    if size <= PLANE_SIZE and channels >= PLANE_CHANNELS and kernels in ONEDNN:
        return WinogradPlaneConvolution
    return chosen_nested_form(kernels) if channels >= NESTED_CHANNELS else chosen_row_form(kernels)


def chosen_row_form(kernels: Optional[str] = None) -> Type[WinogradConvolution]:
    """The faster form of Winograd's filtering along the rows on these kernels, or on those here."""
    onednn = (kernels or library()) in ONEDNN
    return WinogradGroupedConvolution if onednn else WinogradConvolution


def chosen_nested_form(kernels: Optional[str] = None) -> Type[WinogradConvolution]:
    """The same with the forward pass filtered in both directions."""
    onednn = (kernels or library()) in ONEDNN
    return WinogradNestedGroupedConvolution if onednn else WinogradNestedConvolution
