"""A value picked for each schedule on held-out images: which, why, and what is reported."""

import re

import pytest
import run_directories

from unfair_bp import report
from unfair_bp.commandline import run
from unfair_bp.errors import UsageError
from unfair_bp.figures.tuning import tuning_curves
from unfair_bp.results import statistics
from unfair_bp.results.collection import collect
from unfair_bp.results.selection import SELECTABLE, select


def tuning(path, name, validation, **changes):
    """A run that holds images out, with these validation accuracies and others on the test set."""
    test = [1 - accuracy for accuracy in validation]
    options = {"validation_size": 10, "seed": 99, **changes}
    directory = run_directories.write_run(path, name, test, **options)
    rows = zip(run_directories.epochs_of(test), validation)
    directory.write_metrics(
        [row._replace(validation_cost=1.0, validation_accuracy=accuracy) for row, accuracy in rows]
    )


@pytest.fixture
def logs(tmp_path):
    """Cases a and c, tuned over three rates; two other seeds at two of them."""
    for rate, fair, back in ((1e-4, 0.5, 0.3), (3e-4, 0.6, 0.4), (1e-3, 0.55, 0.45)):
        tuning(tmp_path / f"tuning/a/{rate}", "a", [0.9, fair], learning_rate=rate)
        tuning(tmp_path / f"tuning/c/{rate}", "c", [0.9, back], learning_rate=rate)
    for seed in (1, 2):
        for name, rate, test in (
            ("a", 1e-4, 0.81),
            ("a", 3e-4, 0.71),
            ("c", 3e-4, 0.91),
            ("c", 1e-3, 0.61),
        ):
            path = tmp_path / f"answer/{name}/{rate}/{seed}"
            accuracy = test + seed / 100
            changes = {"learning_rate": rate, "seed": seed}
            run_directories.write_run(path, name, [0.1, accuracy], **changes)
    return tmp_path


def test_each_schedule_has_its_best_value_on_held_out_images(logs):
    """Breaks if a value is picked by test accuracy, at another epoch, or for all schedules."""
    selected = select(collect(str(logs)), "learning_rate")
    picked = {choice.variant.name: choice for choice in selected.choices}
    assert {name: choice.value for name, choice in picked.items()} == {"a": 3e-4, "c": 1e-3}
    assert picked["a"].tried == ((1e-4, 0.5), (3e-4, 0.6), (1e-3, 0.55))
    assert [(c.epoch, c.seeds, c.others) for c in picked.values()] == [(2, 1, 2)] * 2
    assert not picked["a"].at_edge and picked["c"].at_edge


def test_the_other_runs_at_that_value_stand_in_one_table(logs):
    """Breaks if a tuning run, or one at another value, is reported, or schedules are kept apart."""
    selected = select(collect(str(logs)), "learning_rate")
    (groups,) = selected.settings.values()
    found = {
        group.variant.name: [(run.case.learning_rate, run.case.seed) for run in group.runs]
        for group in groups
    }
    assert found == {"a": [(3e-4, 1), (3e-4, 2)], "c": [(1e-3, 1), (1e-3, 2)]}


def test_values_are_compared_after_the_same_epoch(logs):
    """Breaks if a tuning run that went further than the others wins by that."""
    tuning(logs / "tuning/a/longer", "a", [0.1, 0.2, 0.99], learning_rate=1e-2)
    selected = select(collect(str(logs)), "learning_rate")
    (choice,) = [choice for choice in selected.choices if choice.variant.name == "a"]
    assert (choice.value, choice.epoch, choice.tried[-1]) == (3e-4, 2, (1e-2, 0.2))


def test_of_equal_values_the_smallest_is_picked(logs):
    """Breaks if a tie is decided by the order of the files."""
    tuning(logs / "tuning/a/lower", "a", [0.9, 0.6], learning_rate=2e-4)
    choice = select(collect(str(logs)), "learning_rate").choices[0]
    assert (choice.variant.name, choice.value) == ("a", 2e-4)


def test_what_is_unreadable_or_unfinished_is_told(logs):
    """Breaks if a tuning run that lacks epochs, or a torn run, goes unmentioned."""
    tuning(logs / "tuning/a/short", "a", [0.1, 0.2], learning_rate=1e-2, epochs=3)
    tuning(logs / "tuning/a/torn", "a", [0.1, 0.2], learning_rate=2e-2)
    (logs / "tuning/a/torn/metrics.csv").write_text("epoch,tr")
    selected = select(collect(str(logs)), "learning_rate")
    assert selected.unfinished == [f"{logs}/tuning/a/short: 2 of 3 epochs"]
    (torn,) = selected.left_out
    assert "torn" in torn


def test_a_value_is_judged_by_the_mean_over_seeds(logs):
    """Breaks if one lucky seed decides."""
    tuning(logs / "tuning/a/again", "a", [0.9, 0.3], learning_rate=3e-4, seed=98)
    tuning(logs / "tuning/a/other", "a", [0.9, 0.55], learning_rate=1e-3, seed=98)
    selected = select(collect(str(logs)), "learning_rate")
    (choice,) = [choice for choice in selected.choices if choice.variant.name == "a"]
    assert choice.value == 1e-3 and choice.seeds == 1
    assert dict(choice.tried)[3e-4] == pytest.approx(0.45)


def test_another_width_is_tuned_for_itself(logs):
    """Breaks if runs of different settings are tuned together."""
    tuning(logs / "tuning/wide", "a", [0.9, 0.99], learning_rate=1e-3, width=0.5)
    selected = select(collect(str(logs)), "learning_rate")
    picked = [choice for choice in selected.choices if choice.variant.name == "a"]
    assert {(c.setting.case.width, c.value, c.others) for c in picked} == {
        (1.0, 3e-4, 2),
        (0.5, 1e-3, 0),
    }


def test_the_report_says_what_was_picked(logs, capsys):
    """Breaks if a reader cannot tell which values are reported, and why."""
    assert run(report.main, [str(logs), "--select", "learning-rate"]) == 0
    text = capsys.readouterr().out
    assert f"`python -m unfair_bp.report {logs} --select learning-rate`" in text
    assert "from 4 runs in 1 setting" in text
    picked = text[text.index("## Picked: learning rate") :]
    assert re.search(
        r"\| fair +\| either +\| 0\.0003 +\| 0\.0001: 0\.5000, 0\.0003: 0\.6000, 0\.001: 0\.5500 +"
        r"\| +2 \| +1 \| +2 \|",
        picked,
    ), picked
    assert re.search(r"\| back +\| per-step +\| 0\.001 \\\* ", picked)
    assert "* marks a pick at the end of the range that was tried" in picked
    assert "learning rate picked for each schedule" in picked
    assert re.search(r"\| a +\| fair +\| either +\| +2 \| +2 \| 0\.7250 \[", picked)
    assert re.search(r"\| c +\| back +\| per-step +\| +2 \| +2 \| 0\.6250 \[", picked)


def test_runs_that_were_not_tuned_are_named(logs):
    """Breaks if a schedule that was run but not tuned disappears without a word."""
    run_directories.write_run(logs / "control", "own", [0.5], schedule="share:back")
    (line,) = select(collect(str(logs)), "learning_rate").left_out
    assert line == (
        "schedule share:back, either: 1 run, because there are no tuning runs to pick a learning "
        "rate by"
    )


def test_another_rate_is_not_the_posts(tmp_path):
    """Breaks if a log of the post stands beside runs at another rate because one was picked."""
    data = {"training_images": 50_000, "test_images": 10_000}
    for rate in (1e-4, 3e-4):
        tuning(tmp_path / f"tuning/{rate}", "a", [0.5], learning_rate=rate, data=data)
        changes = {"learning_rate": rate, "data": data, "seed": int(rate > 2e-4)}
        run_directories.write_run(tmp_path / f"answer/{rate}", "a", [0.5], **changes)
    for better, twins in ((1e-4, ["a"]), (3e-4, [])):
        tuning(tmp_path / "tuning/best", "a", [0.9], learning_rate=better, data=data, seed=9)
        selected = select(collect(str(tmp_path)), "learning_rate")
        ((group,),) = selected.settings.values()
        assert list(statistics.published_twins(group)) == twins


def test_nothing_to_pick_from_is_one_line(logs, capsys):
    """Breaks if a report without tuning runs is empty or a traceback."""
    (logs / "tuning").rename(logs.parent / "elsewhere-tuning")
    assert run(report.main, [str(logs), "--select", "learning-rate"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --select learning-rate ") and "holds images out" in error
    assert error.count("\n") == 1


def test_tuning_can_be_seen_before_anything_else_has_run(logs, capsys):
    """Breaks if nobody can tell the value to run next, because no run has it yet."""
    (logs / "answer").rename(logs.parent / "elsewhere-answer")
    words = [str(logs), "--select", "learning-rate", "--html", str(logs / "report.html")]
    assert run(report.main, [*words, "--png", str(logs / "report.png")]) == 0
    text = capsys.readouterr().out
    assert "from 0 runs in 0 settings" in text
    assert re.search(r"\| fair +\| either +\| 0\.0003 +\|.* \| +0 \|", text)
    assert (logs / "report.png").stat().st_size > 10000
    assert "Validation accuracy over the values" in (logs / "report.html").read_text()


def test_the_curve_of_the_tuning(logs):
    """Breaks if a value or an accuracy is another, or the ring is around one not picked."""
    choices = select(collect(str(logs)), "learning_rate").choices
    figure = tuning_curves(choices, [r"one setting, $\bad$"] * 2)
    figure.canvas.draw()  # no formula begins at a dollar
    (axes,) = figure.axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    (back,) = (label for label in curves if label.startswith("back, per-step, after epoch "))
    (fair,) = (label for label in curves if label.startswith("fair, after epoch "))
    assert curves[fair] == [[1e-4, 0.5], [3e-4, 0.6], [1e-3, 0.55]]
    assert curves[back] == [[1e-4, 0.3], [3e-4, 0.4], [1e-3, 0.45]]
    rings = [line for line in axes.lines if line.get_fillstyle() == "none"]
    assert [ring.get_xydata().tolist() for ring in rings] == [[[3e-4, 0.6]], [[1e-3, 0.45]]]
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.0001", "0.0003", "0.001"]


@pytest.mark.parametrize("field", SELECTABLE)
def test_every_field_that_can_be_picked(tmp_path, field):
    """Breaks if a field is offered that runs do not have as a number in common."""
    worse, better = (4, 8) if field == "batch_size" else (0.25, 0.5)
    for value, accuracy in ((worse, 0.3), (better, 0.4)):
        changes = {"optimizer": "sgd" if field == "momentum" else "adam", field: value}
        tuning(tmp_path / f"tuning/{value}", "a", [accuracy], **changes)
        run_directories.write_run(tmp_path / f"other/{value}", "a", [0.5], seed=1, **changes)
    (choice,) = select(collect(str(tmp_path)), field).choices
    assert (choice.value, choice.others) == (better, 1)


def test_a_selection_of_nothing_is_refused_before_the_report(tmp_path):
    """Breaks if runs without held-out images are taken for tuning runs."""
    run_directories.write_run(tmp_path / "a", "a", [0.5])
    with pytest.raises(UsageError, match="no run holds images out"):
        select(collect(str(tmp_path)), "learning_rate")
