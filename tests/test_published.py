"""The published numbers: that they are the author's, all there, and counted from one."""

import commands
import pytest

from unfair_bp import published
from unfair_bp.experiment import published as published_log

# Test accuracies after the first three epochs and after the last, from the author's logs.
TEST_ACCURACY = {
    "a": (0.4599, 0.5545, 0.6168, 0.8333),
    "b": (0.4787, 0.5898, 0.6681, 0.7952),
    "c": (0.5680, 0.6637, 0.7138, 0.8298),
    "d": (0.5757, 0.6813, 0.7452, 0.8131),
    "e": (0.5756, 0.6613, 0.7461, 0.7934),
    "f": (0.5813, 0.6702, 0.7357, 0.7877),
}


def test_every_case_has_its_epochs():
    """Breaks if a case or an epoch is lost, doubled or out of order, or counted from 0."""
    epochs = published_log.load()
    assert list(epochs) == list("abcdef")
    for name, rows in epochs.items():
        assert [row.epoch for row in rows] == list(range(1, 51 if name == "a" else 11))


@pytest.mark.parametrize("name", sorted(TEST_ACCURACY))
def test_accuracies_are_the_published_ones(name):
    """Breaks if columns are swapped, epochs shifted, or one case's log taken for another's."""
    rows = published_log.load()[name]
    found = tuple(rows[i].test_accuracy for i in (0, 1, 2, -1))
    assert found == TEST_ACCURACY[name]


def test_all_columns_of_an_epoch():
    """Breaks if train and test, or cost and accuracy, change places."""
    rows = published_log.load()
    assert rows["a"][9] == (10, 0.542259, 0.81304, 0.643758, 0.7765)
    assert rows["c"][0] == (1, 2.1255, 0.39712, 1.98217, 0.568)
    for epochs in rows.values():
        for row in epochs:
            assert 0 < row.train_accuracy < 1
            assert 0 < row.test_accuracy < 1


def test_costs_of_the_unfair_cases_are_of_a_double_softmax():
    """Breaks if the costs of c to f are mistaken for, or turned into, plain cross entropies."""
    rows = published_log.load()
    for name in "cdef":
        assert min(min(row.train_cost, row.test_cost) for row in rows[name]) > 1.461
    assert min(row.train_cost for row in rows["a"]) < 0.1


def test_the_summary(capsys):
    """Breaks if the summary lacks a case or takes its best from elsewhere."""
    assert commands.here(published.main) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert " ".join(lines[0].split()) == "a 50 0.4599 0.8388 49 0.8333 0.9831"
    assert [line.split()[0] for line in lines] == list("abcdef")


def test_one_case(capsys):
    """Breaks if --case prints another case or leaves an epoch out."""
    assert commands.here(published.main, "--case", "f") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 10
    assert " ".join(lines[0].split()) == "1 2.19335 0.2796 1.92945 0.5813"


def test_an_unknown_case_is_a_usage_error(capsys):
    """Breaks if a case without published numbers gives a traceback or an empty table."""
    assert commands.here(published.main, "--case", "g") == 2
    assert "--case 'g'" in capsys.readouterr().err
