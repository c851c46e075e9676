"""Timing: everything takes its turn, is warmed up first, and is counted."""

import types

import pytest

from unfair_bp.measuring import timing
from unfair_bp.measuring.timing import Subject, alternate, quartiles


def test_subjects_take_turns_in_changing_orders():
    """Breaks if one subject runs twice in a round, or always after the same one."""
    calls = []
    subjects = [Subject(name, [lambda name=name: calls.append(name)]) for name in "abcd"]
    seconds = alternate(subjects, repeats=20, warmups=2)
    rounds = [calls[i : i + 4] for i in range(0, len(calls), 4)]
    assert len(rounds) == 22
    assert all(sorted(turn) == list("abcd") for turn in rounds)
    assert len({tuple(turn) for turn in rounds}) > 5
    assert {values.shape for values in seconds.values()} == {(20, 1)}


def test_laps_are_timed_in_order_and_warmups_are_not_counted(monkeypatch):
    """Breaks if a lap's time is another's, or the first, slow runs are among the results."""
    runs, now = [], [0.0]
    clock = types.SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(timing, "time", clock)

    def first():
        runs.append("first")
        now[0] += 5.0 if len(runs) <= 2 else 1.0

    def second():
        runs.append("second")
        now[0] += 0.25

    after = []
    seconds = alternate([Subject("s", [first, second])], 3, after_run=lambda: after.append(1))["s"]
    assert runs == ["first", "second"] * 4
    assert len(after) == 4
    assert seconds.tolist() == [[1.0, 0.25]] * 3


def test_quartiles():
    """Breaks if the quartiles are others, or out of order."""
    assert quartiles([4.0, 0.0, 1.0, 3.0, 2.0]) == pytest.approx((1.0, 2.0, 3.0))
