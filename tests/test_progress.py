"""Progress bars and warnings: where they show, and where they keep quiet."""

import io
import sys

import pytest

from unfair_bp.console import progress_bar, warn


class Stream(io.StringIO):
    """Standard error of some kind."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class Notebook(Stream):
    """Standard error of a notebook's kernel, which says that it is no terminal."""

    __module__ = "ipykernel.iostream"


@pytest.mark.parametrize(
    ("stream", "shown"), [(Stream(True), True), (Stream(False), False), (Notebook(False), True)]
)
def test_where_bars_show(monkeypatch, stream, shown):
    """Breaks if a bar fills a log file, or nothing moves for hours in a notebook."""
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar([1, 2, 3], unit="batch") as bar:
        assert list(bar) == [1, 2, 3]
    assert ("batch" in stream.getvalue()) == shown


def test_without_standard_error(monkeypatch):
    """Breaks if a program that was started without standard error cannot train."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar([1, 2, 3], unit="batch") as bar:
        assert list(bar) == [1, 2, 3]


def test_a_warning_that_cannot_be_written(monkeypatch):
    """Breaks if a warning that nobody can read ends a program."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    warn("of something")
