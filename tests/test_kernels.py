"""Which library the convolutions run on, and which form of their derivatives is chosen for it."""

import io
from dataclasses import replace

import pytest

from unfair_bp.backprop.fast import choice
from unfair_bp.backprop.fast.choice import (
    EIGEN,
    GPU,
    LIBRARIES,
    ONEDNN,
    chosen_form,
    forms_of,
    library_of_processor,
    name_of_choice,
)
from unfair_bp.backprop.fast.grouped import GroupedConvolution, SplitConvolution
from unfair_bp.backprop.fast.winograd import WinogradConvolution
from unfair_bp.experiment.architecture import ALL_CONVOLUTIONAL

OLDER = {"flags": "avx avx2 fma avx512f"}
NEWER = {"flags": "avx avx2 fma avx512f avx512_vnni"}
ON, OFF = {"TF_ENABLE_ONEDNN_OPTS": "1"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}


@pytest.mark.parametrize(
    "version, facts, environment, expected",
    [
        ((1, 15), NEWER, {}, EIGEN),
        ((2, 8), NEWER, {}, EIGEN),
        ((2, 9), NEWER, {}, ONEDNN),
        ((2, 21), NEWER, {}, ONEDNN),
        ((2, 21), {"flags": "avx avx2 fma avx_vnni"}, {}, ONEDNN),
        ((2, 21), OLDER, {}, EIGEN),
        ((2, 21), OLDER, ON, ONEDNN),
        ((2, 21), {}, {}, EIGEN),
        ((2, 21), None, {}, EIGEN),
        ((2, 21), NEWER, OFF, EIGEN),
        ((1, 15), NEWER, ON, EIGEN),
        ((2, 21), NEWER, {"TF_ENABLE_ONEDNN_OPTS": "false"}, EIGEN),
        ((2, 21), OLDER, {"TF_ENABLE_ONEDNN_OPTS": "TRUE"}, ONEDNN),
    ],
)
def test_library_of_processor(version, facts, environment, expected):
    """Breaks if a machine is taken for another, or what the user switched off is ignored."""
    assert library_of_processor(version, facts, environment) == expected


def test_what_linux_says_of_the_first_processor(monkeypatch):
    """Breaks if a value is cut wrongly, or is that of another processor."""
    text = "processor\t: 0\nmodel name\t: One: two\nflags\t\t: avx fma\n\nmodel name\t: Other\n"
    monkeypatch.setattr(choice, "open", lambda *words, **more: io.StringIO(text), raising=False)
    facts = {"processor": "0", "model name": "One: two", "flags": "avx fma"}
    assert choice.processor_facts() == facts


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
        (ONEDNN, "LWWWWLLLL", "LLLLLLLLL"),
        (EIGEN, "PWWWWPPPP", "PPPPPPPPP"),
    ],
)
def test_chosen_form_of_each_layer(library, full, quarter):
    """Breaks if a layer gets another form than the one that the measurements speak for."""
    for width, expected in ((1.0, full), (0.25, quarter)):
        assert forms_at(width, library) == expected


def forms_at(width, library):
    """The form of each layer, a letter each."""
    letters = {"plain": "P", "library": "L", "Winograd": "W"}
    layers = ALL_CONVOLUTIONAL.scaled(width)
    return "".join(letters[name_of_choice(layer, library)] for layer in layers)


def test_winograds_limits():
    """Breaks if images of 8 pixels or layers of 96 channels get Winograd's form."""
    assert forms_at(2.0, EIGEN) == "PWWWWWPPP"
    assert forms_at(0.75, EIGEN) == "PWPPPPPPP"


@pytest.mark.parametrize(
    "library, grouped", [(ONEDNN, GroupedConvolution), (EIGEN, SplitConvolution)]
)
def test_winograds_grouped_convolution_is_the_faster_one(library, grouped):
    """Breaks if Eigen is given groups, or oneDNN has to go through them one by one."""
    large = ALL_CONVOLUTIONAL.scaled()[1]
    assert type(chosen_form(large, library).grouped) is grouped


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_layers_that_it_fits_get_winograds_form(library):
    """Breaks if a layer is given a form that refuses it."""
    large = ALL_CONVOLUTIONAL.scaled()[1]
    assert isinstance(forms_of(large, library)["Winograd"], WinogradConvolution)
    for other in (replace(large, kernel=1), replace(large, kernel=5), replace(large, size=18)):
        assert "Winograd" not in forms_of(other, library)
        assert not isinstance(chosen_form(other, library), WinogradConvolution)
