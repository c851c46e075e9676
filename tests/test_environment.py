"""Libraries that cannot be loaded: one line, before anything is written."""

import sys

import commands
import pytest
from run_directories import write_run

from unfair_bp import environment, report, train
from unfair_bp.errors import LibraryError, UsageError

TRAIN = ["-m", "unfair_bp.train", *commands.SMALL]
DRAWN = [word for word in TRAIN if word != "--no-plots"]
DESCRIPTORS = "raise TypeError('Descriptors cannot be created directly.\\nIf this call came')"
# A module in place of the real one, the command, and how its line begins.
BROKEN = {
    "Matplotlib, at the end of training": (
        "matplotlib",
        "raise ImportError('numpy.core.multiarray failed to import')",
        [*DRAWN, "--run-dir", "run"],
        "Matplotlib cannot be loaded: numpy.core.multiarray failed to import; ",
    ),
    "Matplotlib, for a picture": (
        "matplotlib",
        "import no_such_module",
        ["-m", "unfair_bp.schedule", "--png", "x.png"],
        "Matplotlib cannot be loaded: No module named 'no_such_module'; ",
    ),
    "Pillow, below Matplotlib": (
        "PIL",
        "raise ImportError('DLL load failed')",
        ["-m", "unfair_bp.schedule", "--gif", "x.gif"],
        "Matplotlib cannot be loaded: DLL load failed; ",
    ),
    "TensorFlow": (
        "tensorflow",
        DESCRIPTORS,
        [*TRAIN, "--run-dir", "run"],
        "TensorFlow cannot be loaded: Descriptors cannot be created directly. If this call came; ",
    ),
    "TensorFlow, for a measurement": (
        "tensorflow",
        "raise OSError",
        ["-m", "unfair_bp.collapse", "--png", "x.png"],
        "TensorFlow cannot be loaded: OSError; ",
    ),
    "pooch, for a download": (
        "pooch",
        "import numpy; numpy.no_such_name",
        ["-m", "unfair_bp.train", "--run-dir", "run"],
        "pooch cannot be loaded: module 'numpy' has no attribute 'no_such_name'",
    ),
}


def in_a_process(tmp_path, monkeypatch, module, content, words):
    """Run a command that finds a module of another content; returns its status and errors."""
    broken, place = tmp_path / "broken", tmp_path / "place"
    broken.mkdir()
    place.mkdir()
    (broken / (module + ".py")).write_text(content + "\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    for name in ("XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    status, _, errors = commands.run(words, place)
    return status, errors, commands.snapshot(place)


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_library_is_one_line(tmp_path, monkeypatch, name):
    """Breaks if it is a traceback, is met after hours of training, or leaves a file."""
    module, content, words, line = BROKEN[name]
    status, errors, left = in_a_process(tmp_path, monkeypatch, module, content, words)
    assert (status, errors.count("\n"), left) == (2, 1, {}), errors
    assert errors.startswith("error: " + line)
    assert "pip install --force-reinstall" in errors


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("tensorflow", ["-m", "unfair_bp.schedule", "--png", "x.png"]),
        ("matplotlib", ["-m", "unfair_bp.schedule"]),
        ("pooch", ["-c", "from unfair_bp.data import sources"]),
        ("tqdm", ["-m", "unfair_bp.train", "--help"]),
    ],
)
def test_what_is_not_needed_may_be_broken(tmp_path, monkeypatch, module, words):
    """Breaks if a command fails for a library that it does not use."""
    status, errors, _ = in_a_process(tmp_path, monkeypatch, module, "1 / 0", words)
    assert (status, errors) == (0, "")


def test_bars_are_looked_for_before_a_run_begins(tmp_path, monkeypatch, capfd):
    """Breaks if tqdm is missed when the run directory has been begun."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    words = ["--case", "c", *commands.SMALL, "--run-dir", tmp_path / "run"]
    assert commands.here(train.main, *words) == 2
    assert capfd.readouterr().err.startswith("error: tqdm cannot be loaded: ")
    assert commands.snapshot(tmp_path) == {}


def test_statistics_over_seeds_need_scipy(tmp_path, monkeypatch, capfd):
    """Breaks if its lack is a traceback, or one seed needs it."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    write_run(tmp_path / "logs" / "one", "a", [0.1, 0.2], seed=1)
    assert commands.here(report.main, tmp_path / "logs") == 0
    write_run(tmp_path / "logs" / "two", "a", [0.1, 0.3], seed=2)
    capfd.readouterr()
    assert commands.here(report.main, tmp_path / "logs") == 2
    assert capfd.readouterr().err.startswith("error: SciPy cannot be loaded: ")


def test_a_broken_library_is_still_an_import_error():
    """Breaks if code that tries an import cannot catch its failure as it catches all others."""
    for kind in (ImportError, UsageError):
        with pytest.raises(kind) as caught, environment.library("x", "y"):
            raise AttributeError("no\nname")
        assert type(caught.value) is LibraryError
        assert isinstance(caught.value.__cause__, AttributeError)
        assert str(caught.value).startswith("x cannot be loaded: no name; ")
