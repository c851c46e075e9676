"""Progress bars and warnings: where they show, and where they keep quiet."""

import io
import sys
import types

import pytest

from unfair_bp import console
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


def test_lines_where_there_is_no_terminal(monkeypatch):
    """Breaks if a log file says nothing for hours, more than a line a minute, or moves a cursor."""
    stream, now = Stream(False), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(console, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    options = {"desc": "epoch 1/2", "unit": "it", "mininterval": 0}
    with progress_bar(total=10, initial=3, **options) as bar:
        for step in range(7):
            now[0] += 35.0  # of the 60 between two lines
            bar.set_postfix_str(f"accuracy 0.{step}")  # asks for a new state at once
            bar.update()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("epoch 1/2: ")
    assert [line.rpartition("to go, ")[2] for line in lines] == [
        f"accuracy 0.{step}" for step in (1, 3, 5)
    ]
    assert all(" of 10 it, 00:0" in line for line in lines)
    assert stream.getvalue().endswith("\n")
    assert not {"\r", "\x1b"}.intersection(stream.getvalue())


def test_lines_that_nobody_reads(monkeypatch):
    """Breaks if a run ends because the lines of its progress cannot be written."""
    stream, now = Stream(False), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(console, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    with progress_bar(total=2, unit="it", mininterval=0) as bar:
        now[0] = 70.0
        bar.update()
        assert stream.getvalue().startswith("1 of 2 it, ")
        stream.close()
        now[0] = 140.0
        bar.update()


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
