"""Which library the convolutions run on, and which form of their derivatives is chosen for it."""

from dataclasses import replace

import pytest
from conftest import DIRECT_FORMS, WINOGRAD_FORMS

from unfair_bp.backprop.convolution import PointwiseConvolution
from unfair_bp.backprop.fast import choice
from unfair_bp.backprop.fast.choice import (
    EIGEN,
    GPU,
    LIBRARIES,
    ONEDNN_AMD_AVX512,
    ONEDNN_AVX2,
    ONEDNN_AVX512,
    chosen_form,
    chosen_nested_form,
    chosen_row_form,
    library_of_processor,
)
from unfair_bp.backprop.fast.winograd import WinogradConvolution, WinogradGroupedConvolution
from unfair_bp.backprop.fast.winograd_plane import (
    WinogradNestedConvolution,
    WinogradNestedGroupedConvolution,
    WinogradPlaneConvolution,
)
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL

AVX2 = {"vendor_id": "GenuineIntel", "flags": "avx avx2 fma avx_vnni"}
OLDER = {"vendor_id": "AuthenticAMD", "flags": "avx avx2 fma"}
OLDER_AVX512 = {"vendor_id": "GenuineIntel", "flags": "avx avx2 fma avx512f"}
AMD = {"vendor_id": "AuthenticAMD", "flags": "avx avx2 fma avx512f avx512_vnni"}
INTEL = {"vendor_id": "GenuineIntel", "flags": "avx avx2 fma avx512f avx512_vnni"}
# Whether this TensorFlow has them or not.
ROWS = (WinogradConvolution, WinogradGroupedConvolution)
NESTED = (WinogradNestedConvolution, WinogradNestedGroupedConvolution)
ON, OFF = {"TF_ENABLE_ONEDNN_OPTS": "1"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}


@pytest.mark.parametrize(
    "version, facts, environment, expected",
    [
        ((1, 15), AMD, {}, EIGEN),
        ((2, 8), AMD, {}, EIGEN),
        ((2, 9), AMD, {}, ONEDNN_AMD_AVX512),
        ((2, 21), AMD, {}, ONEDNN_AMD_AVX512),
        ((2, 21), INTEL, {}, ONEDNN_AVX512),
        ((2, 21), AVX2, {}, ONEDNN_AVX2),
        ((2, 21), OLDER, {}, EIGEN),
        ((2, 21), OLDER_AVX512, {}, EIGEN),
        ((2, 21), OLDER, ON, ONEDNN_AVX2),
        ((2, 21), OLDER_AVX512, ON, ONEDNN_AVX512),
        ((2, 21), {}, {}, EIGEN),
        ((2, 21), None, {}, EIGEN),
        ((2, 21), AMD, OFF, EIGEN),
        ((1, 15), AMD, ON, EIGEN),
        ((2, 21), AMD, {"TF_ENABLE_ONEDNN_OPTS": "false"}, EIGEN),
        ((2, 21), AMD, ON, ONEDNN_AMD_AVX512),
        ((2, 21), AMD, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, ONEDNN_AVX2),
        ((2, 21), INTEL, {"ONEDNN_MAX_CPU_ISA": "avx512_core_amx"}, ONEDNN_AVX512),
        ((2, 21), INTEL, {"ONEDNN_MAX_CPU_ISA": "DEFAULT"}, ONEDNN_AVX512),
    ],
)
def test_library_of_processor(version, facts, environment, expected):
    """Breaks if a machine is taken for another, or what the user switched off is ignored."""
    assert library_of_processor(version, facts, environment) == expected


def test_library_here(monkeypatch):
    """Breaks if what the machine is asked gives no library, or a graphics card is not seen."""
    choice.library.cache_clear()
    assert choice.library() in LIBRARIES
    devices = choice.tf.config.experimental
    monkeypatch.setattr(devices, "list_physical_devices", lambda kind: [kind])
    choice.library.cache_clear()
    assert choice.library() == GPU
    choice.library.cache_clear()


@pytest.mark.parametrize(
    "library, full, quarter",
    [
        (GPU, "LLLLLLLLL", "LLLLLLLLL"),
        (ONEDNN_AMD_AVX512, "LGg22gLpp", "LgLLLLLpp"),
        (ONEDNN_AVX512, "LGg22gCpp", "LgCCCCCpp"),
        (ONEDNN_AVX2, "LGg22gPpp", "LgPPPPPpp"),
        (EIGEN, "LWwwwwCpp", "LwCCCCCpp"),
    ],
)
def test_chosen_form_of_each_layer(library, full, quarter):
    """Breaks if a layer gets another form than the one that the measurements speak for."""
    winograd = (*ROWS, *NESTED, WinogradPlaneConvolution)
    forms = dict(zip("CPLpwgWG2", (*DIRECT_FORMS, PointwiseConvolution, *winograd)))
    for width, expected in ((1.0, full), (0.25, quarter)):
        found = [chosen_form(layer, library) for layer in ALL_CONVOLUTIONAL.scaled(width)]
        assert found == [forms[letter] for letter in expected]


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_forms_that_are_measured_are_those_that_are_used(library):
    """Breaks if the benchmark shows the rates of other ones of Winograd's forms."""
    used = {chosen_form(layer, library) for layer in ALL_CONVOLUTIONAL.scaled(1.0)}
    for chosen, forms in ((chosen_row_form, ROWS), (chosen_nested_form, NESTED)):
        assert used.intersection(forms) == ({chosen(library)} if library != GPU else set())


def test_only_layers_that_it_fits_get_winograds_form():
    """Breaks if a layer is given a form that refuses it."""
    (large,) = [
        layer for layer in ALL_CONVOLUTIONAL.scaled(1.0) if layer.inputs == layer.outputs == 256
    ]
    for other in (replace(large, kernel=1), replace(large, kernel=5), replace(large, size=18)):
        assert chosen_form(large, EIGEN) is WinogradNestedConvolution
        assert chosen_form(other, EIGEN) not in WINOGRAD_FORMS
