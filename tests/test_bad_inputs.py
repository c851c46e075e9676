"""The table of bad inputs: that it can be had, and that it sees what is wrong."""

import bad_inputs
import commands
import pytest

from unfair_bp.errors import UsageError


@pytest.mark.slow
def test_every_bad_input_gets_one_line(tmp_path):
    """Breaks if any of them ends in a traceback or in two lines, or leaves or loses a file."""
    status, output, errors = commands.run([commands.ROOT / "tests" / "bad_inputs.py"], tmp_path)
    assert (status, errors) == (0, ""), output[-2000:] + errors
    *_, last = output.splitlines()
    count, what = last.split(" ", 1)
    assert int(count) >= 200
    assert what == (
        "bad inputs: 0 tracebacks, 0 other answers than one line and status 2, "
        "0 files left behind, 0 files lost"
    )


def refuse(message="no"):
    raise UsageError(message)


WRONG = {
    "tracebacks": lambda place: 1 // 0,
    "other answers than one line and status 2": lambda place: 0,
    "files left behind": lambda place: (place / "new").mkdir() or refuse(),
    "files lost": lambda place: (place / "file").write_text("changed") and refuse(),
}


@pytest.mark.parametrize("what", [None, *WRONG])
def test_what_goes_wrong_is_seen(tmp_path, what):
    """Breaks if a bad answer is counted as a good one, or a good one as bad."""
    act = WRONG.get(what, lambda place: refuse())

    def prepare(at):
        (at.path / "file").write_text("text")
        return (lambda words: act(at.path)), []

    line, wrong = bad_inputs.outcome(prepare, tmp_path)
    assert wrong == ([what] if what else [])
    assert line == "error: no" or what in list(WRONG)[:2]
