"""Sweeps: what they run, under which names, and what becomes of runs that are killed or fail."""

import argparse
import ast
import contextlib
import inspect
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from dataclasses import replace

import commands
import psutil
import pytest
import run_directories

import unfair_bp
from unfair_bp import commandline, console, files, sweep, train
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import CASES
from unfair_bp.sweeping import attempt as attempts
from unfair_bp.sweeping import cluster, images, loop, plan
from unfair_bp.sweeping.attempt import STOPPED, Job, Outcome, attempt
from unfair_bp.sweeping.signs import SignOfLife, Watch

PACKAGE = pathlib.Path(unfair_bp.__file__).parent
SMALL = [*commands.SMALL, "--batch-size", "4", "--epochs", "1"]


def planned(root, line):
    """The runs of a command line, without training them."""
    parser = argparse.Namespace()

    def keep(options, _):
        parser.options = options
        return []

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plan, "plan", keep)
        assert commands.here(sweep.main, "--dry-run", *shlex.split(line)) == 0
    return plan.plan(parser.options, str(root))


def as_trained(run):
    """The case that ``unfair_bp.train`` makes of a planned run's words."""
    parser = commandline.Parser(prog="test", description="")
    commandline.add_case(parser)
    commandline.add_quick(parser)
    commandline.add_fields(parser)
    commandline.add_data_dir(parser)
    commandline.add_training(parser)
    return commandline.resolve_case(parser.parse_args(run.words))


# --- the plan


def test_every_combination_is_run_under_the_name_of_what_differs(tmp_path):
    """Breaks if a combination is missing, runs twice, or its directory says something else."""
    runs = planned(tmp_path, "--case c e --seed 0-1 7 --learning-rate 1e-4 3e-4 --width 0.25")
    there = {os.path.relpath(run.path, str(tmp_path)): run.case for run in runs}
    assert len(there) == len(runs) == 12
    for name in "ce":
        for rate in (1e-4, 3e-4):
            for seed in (0, 1, 7):
                path = os.path.join(f"case_{name}", f"learning-rate_{rate}", f"seed{seed}")
                expected = replace(
                    CASES[name], learning_rate=rate, seed=seed, width=0.25, threads=1
                )
                assert there[path] == expected
    assert [run.case.seed for run in runs] == [0] * 4 + [1] * 4 + [7] * 4
    assert not os.listdir(str(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        "--case b d --threads 2 --batch-size 8 16 --quirk sum-loss --quirk elu-slope",
        "--case c --as-run --seed 3",
        "--schedule fair back '9;7-9;1-9' --no-augment --nesterov --optimizer sgd adam",
        "--quick --epochs 3 --train-size 100 200 --test-size 20 --tensorboard --no-plots",
        "--learning-rate 1.5e-3 0.1 --data-dir 'a b' --checkpoint-minutes 3 --beta2 0.999",
    ],
)
def test_a_run_is_trained_as_it_was_planned(tmp_path, line):
    """Breaks if the words for the training process stand for another case than the plan's."""
    runs = planned(tmp_path, line)
    assert all(as_trained(run) == run.case for run in runs)
    assert len({run.path for run in runs}) == len(runs)
    for word in ("--tensorboard", "--no-plots", "--data-dir", "--checkpoint-minutes"):
        given = [any(x.startswith(word) for x in run.words) for run in runs]
        assert given == len(runs) * [word in line]


def test_every_option_of_training_is_one_of_the_sweep(capsys):
    """Breaks if an option is added to the training command and the sweep does not know it."""
    options = {}
    for command in (train, sweep):
        with pytest.raises(SystemExit):
            command.main(["--help"])
        options[command] = set(re.findall(r"--[a-z][a-z0-9-]*", capsys.readouterr().out))
    assert options[train] - options[sweep] == {"--resume", "--overwrite", "--run-dir", "--verbose"}


def test_schedules_have_names_that_any_file_system_takes(tmp_path):
    """Breaks if a typed schedule makes a path that is refused, too long, or not its own."""
    long = ";".join(["1-9"] * 200)
    rows = ["9; 7-9", "9;7-9", "fair", long, long + ";9"]
    runs = planned(tmp_path, "--schedule " + " ".join(shlex.quote(text) for text in rows))
    names = [os.path.basename(os.path.dirname(run.path)) for run in runs]
    assert len(set(names)) == len(rows)
    assert names[2] == "schedule_fair"
    assert all(re.fullmatch(r"schedule_[\w.+-]{1,60}", name) for name in names), names


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--seed 0-2 1", "--seed gives 1 twice"),
        ("--learning-rate 1e-4 0.0001", "--learning-rate gives 0.0001 twice"),
        ("--case a z", "--case 'z' is not known"),
        ("--learning-rate 1e-4 2", "--learning-rate 2 is out of range"),
        ("--seed 4-0", "'4-0' is not an integer"),
        ("--seed 0-99999999", "'0-99999999' is not an integer"),
        ("--epochs 1.5", "'1.5' is not an integer"),
        ("--workers 0", "--workers 0 is out of range"),
        ("--workers 1 --scheduler tcp://127.0.0.1:1", "not allowed with"),
        ("--checkpoint-minutes nan", "nan is out of range"),
        ("--root 'a*b'", "cannot be a run directory"),
        ("--case c e --schedule single", "would be the same run"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(tmp_path, monkeypatch, capfd, line, said):
    """Breaks if a wrong value is found after hours, or in a traceback."""
    monkeypatch.chdir(tmp_path)
    assert commands.here(sweep.main, *shlex.split(line)) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error, error
    assert not os.listdir(str(tmp_path))


def test_a_directory_with_another_run_is_refused(tmp_path, capfd):
    """Breaks if a sweep with other options goes on with, or passes over, the runs of another."""
    run_directories.write_run(tmp_path / "seed3", "a", [0.5], seed=3, threads=1)
    words = ["--seed", 3, "--epochs", 1, "--width", 0.5, "--root", tmp_path, "--dry-run"]
    assert commands.here(sweep.main, *words) == 2
    assert "--width 0.5 is not what" in capfd.readouterr().err


# --- what is there already


def finish(run):
    """Add what the last moment of a training run writes."""
    pathlib.Path(run.file("weights_after.npz")).write_bytes(b"")


def test_runs_that_are_there_keep_their_place(tmp_path):
    """Breaks if a value that is added to a sweep makes all of its runs start again elsewhere."""
    finish(run_directories.write_run(tmp_path / "seed3", "a", [0.5], seed=3, threads=1))
    runs = planned(tmp_path, "--seed 3 --epochs 1 --learning-rate 1e-4 3e-4")
    assert [os.path.relpath(run.path, str(tmp_path)) for run in runs] == [
        "seed3",
        os.path.join("learning-rate_0.0003", "seed3"),
    ]
    assert [run.progress().finished for run in runs] == [True, False]


def test_a_run_is_done_when_its_last_file_is_written(tmp_path):
    """Breaks if a run that lacks epochs or its final weights is passed over."""
    written = run_directories.write_run(tmp_path / "seed3", "a", [0.5], seed=3, threads=1)
    checkpoints = tmp_path / "seed3" / "checkpoints"
    (checkpoints / "model-5.index").write_bytes(b"")
    (run,) = planned(tmp_path, "--seed 3 --epochs 1")
    assert run.progress() == plan.Progress(1, 5, False)
    finish(written)
    assert run.progress() == plan.Progress(1, 5, True)
    (longer,) = planned(tmp_path, "--seed 3 --epochs 2")
    assert longer.path == run.path and not longer.progress().finished


def test_a_copy_of_a_run_does_not_take_its_place(tmp_path):
    """Breaks if a sweep goes on with the user's backup and leaves the run itself behind."""
    for part in ("backup", ""):
        finish(run_directories.write_run(tmp_path / part / "seed3", "a", [0.5], seed=3, threads=1))
    (run,) = planned(tmp_path, "--seed 3 --epochs 1")
    assert run.path == str(tmp_path / "seed3")
    shutil.rmtree(str(tmp_path / "seed3"))
    (run,) = planned(tmp_path, "--seed 3 --epochs 1")
    assert run.path == str(tmp_path / "backup" / "seed3")


def test_a_run_is_what_it_trains_whatever_it_is_called(tmp_path, capfd):
    """Breaks if a run that was stored under a letter starts again, or one training runs twice."""
    run = run_directories.write_run(tmp_path / "old", "a", [0.5], schedule="back", threads=1)
    assert json.loads(pathlib.Path(run.file("config.json")).read_text())["case"]["name"] == "a"
    finish(run)
    (found,) = planned(tmp_path, "--schedule back --epochs 1")
    assert found.path == str(tmp_path / "old")
    words = ["--case", "a", "c", "--schedule", "back", "--epochs", 5, "--root", tmp_path / "new"]
    assert commands.here(sweep.main, *words, "--dry-run") == 2
    assert "would be the same run" in capfd.readouterr().err


def test_lengths_of_a_schedule_that_spans_its_run(tmp_path):
    """Breaks if runs of different lengths pass for one run that may grow."""
    runs = planned(tmp_path, "--schedule freeze --data shapes --epochs 2 4 --seed 0")
    assert len({run.path for run in runs}) == 2
    run_directories.write_run(
        tmp_path / "old", "own", [0.5, 0.6], schedule="freeze", seed=0, threads=1
    )
    (run,) = planned(tmp_path, "--schedule freeze --epochs 4 --seed 0")
    assert run.path == str(tmp_path / "seed0")


def test_what_training_would_refuse_is_said_before_the_sweep(tmp_path, capfd):
    """Breaks if a run fails in the middle of a sweep for what could be seen before."""
    for words, said in (
        ("--data own", "--data 'own' is a data set that was given from Python"),
        ("--data shapes --train-size 200000", "--train-size 200000 is out of range for shapes"),
        ("--train-size 50001", "--train-size 50001 is more than the 50000 images"),
        ("--data shapes --validation-size 3000", "--validation-size 3000 cannot be held out"),
        ("--data shapes cifar10 --data-dir x", "--data-dir 'x' has no effect"),
    ):
        arguments = [*shlex.split(words), "--root", tmp_path, "--dry-run"]
        assert commands.here(sweep.main, *arguments) == 2
        assert said in capfd.readouterr().err
    run_directories.write_run(tmp_path / "seed3", "a", [0.5], seed=3, threads=1)
    assert commands.here(sweep.main, "--seed", 3, "--epochs", 1, "--root", tmp_path) == 2
    error = capfd.readouterr().err
    assert error.endswith("holds no checkpoint; move it away, or give another --root\n")
    words = ["--schedule", "9; 8-9", "--seed", 3, "--root", tmp_path, "--dry-run"]
    assert commands.here(sweep.main, *words) == 2
    said = "--schedule 9; 8-9 is not what .*seed3 was started with, fair; move it away"
    assert re.search(said, capfd.readouterr().err)


def test_a_sweep_that_is_done_starts_nothing(tmp_path, capsys, monkeypatch):
    """Breaks if a sweep that has ended trains again, or shows no results."""
    finish(run_directories.write_run(tmp_path / "seed3", "a", [0.5], seed=3, threads=1))
    monkeypatch.setattr(loop, "connected", None)
    words = ["--seed", 3, "--epochs", 1, "--root", tmp_path]
    assert commands.here(sweep.main, *words) == 0
    out = capsys.readouterr().out
    assert re.search(r"seed3 +was done +1/1 +0\.5000", out), out
    assert out.endswith(f"report: python -m unfair_bp.report {tmp_path}\n")


def test_a_dry_run_lists_the_commands(tmp_path, capsys):
    """Breaks if the list differs from what would be run, or listing leaves something behind."""
    finish(run_directories.write_run(tmp_path / "seed3", "a", [0.5], seed=3, threads=1))
    run_directories.write_run(tmp_path / "seed4", "a", [], seed=4, threads=1)
    before = commands.snapshot(tmp_path)
    words = ["--seed", "3-5", "--epochs", 1, "--root", tmp_path]
    assert commands.here(sweep.main, *words, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" python")[0].strip() for line in lines] == ["done", "epoch 0 of 1", "new"]
    assert lines[1].endswith(
        f"python -m unfair_bp.train --case a --epochs 1 --seed 4 --threads 1 "
        f"--run-dir={tmp_path / 'seed4'} --resume"
    )
    assert not lines[2].endswith("--resume")
    assert commands.snapshot(tmp_path) == before


# --- the loop, with attempts whose ends are made up


class MadeUp:
    """Stands in for the cluster: each attempt takes the next end of its run's script."""

    slots = 2

    def __init__(self, scripts):
        self.scripts = scripts
        self.jobs = []

    def submit(self, job, place):
        self.jobs.append(job)
        future = Future()
        end = self.scripts[os.path.basename(job.path)].pop(0)
        if callable(end):
            takes = len(inspect.signature(end).parameters)
            end = end(*(job, future)[:takes])
        if isinstance(end, Exception):
            future.set_exception(end)
        elif end is not None:
            future.set_result(end)
        return future

    def check(self):
        """The scheduler is always there."""

    def working(self):
        return False


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """Sweep with made-up ends of attempts; returns what became of each run, and the cluster."""
    monkeypatch.setattr(loop, "POLL", 0.001)

    def run(scripts):
        made_up = MadeUp(scripts)
        monkeypatch.setattr(loop, "connected", lambda *where: contextlib.nullcontext(made_up))
        seeds = " ".join(name[4:] for name in scripts)
        runs = planned(tmp_path, f"--seed {seeds} --epochs 1")
        results = loop.sweep(runs, str(tmp_path), None, 1)
        assert not (tmp_path / loop.SIGN).exists() and not (tmp_path / loop.LOCK).exists()
        return {os.path.basename(result.run.path): result for result in results}, made_up

    return run


def done(job):
    """An attempt that finishes the run."""
    seed = int(os.path.basename(job.path)[4:])
    finish(run_directories.write_run(job.path, "a", [0.5], seed=seed, threads=1))
    return Outcome(0, "")


def further(step):
    """An attempt that is killed after it has saved this iteration."""

    def end(job):
        checkpoints = pathlib.Path(job.path) / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        (checkpoints / f"model-{step}.index").write_bytes(b"")
        return Outcome(-signal.SIGKILL, "")

    return end


def test_a_mistake_of_the_users_is_not_tried_again(scripted):
    """Breaks if a run that can never work is started again, or stops the others."""
    results, made_up = scripted({"seed1": [Outcome(2, "no data")], "seed2": [done]})
    assert results["seed1"][1:] == ("failed", "no data")
    assert results["seed2"].state == "done"
    assert len(made_up.jobs) == 2


KILLED, LOST = Outcome(-signal.SIGKILL, ""), Outcome(cluster.LOST, "its workers were lost")


@pytest.mark.parametrize("kill", [KILLED, LOST, Outcome(STOPPED, "")])
def test_a_killed_run_is_tried_again_three_times(scripted, kill):
    """Breaks if a kill ends a run, or a run that is always killed is started for ever."""
    results, made_up = scripted({"seed1": [kill] * 3 + [done], "seed2": [kill] * 4})
    assert results["seed1"].state == "done"
    assert results["seed2"].state == "failed" and "killed 4 times" in results["seed2"].message
    assert len(made_up.jobs) == 8


def test_kills_that_did_not_keep_a_run_from_getting_further_do_not_count(scripted):
    """Breaks if a long run on machines that are often taken away fails although it advances."""
    ends = [end for step in (5, 10, 15) for end in (KILLED, KILLED, further(step))]
    results, made_up = scripted({"seed1": [*ends, KILLED, done]})
    assert results["seed1"].state == "done" and len(made_up.jobs) == 11


def test_a_run_that_is_stuck_fails_however_far_it_had_come(scripted):
    """Breaks if a run that has been saved once is started for ever."""
    results, made_up = scripted({"seed1": [further(5), *[KILLED] * 4]})
    assert results["seed1"].state == "failed" and len(made_up.jobs) == 5


def test_progress_that_was_seen_during_an_attempt_counts(scripted, monkeypatch):
    """Breaks if an attempt that got further counts as in vain because that was noticed before."""
    monkeypatch.setattr(loop, "EVERY", -1.0)

    def later(step):
        """As further, but the kill comes a while after the save."""

        def end(job, future):
            outcome = further(step)(job)
            threading.Timer(0.1, future.set_result, [outcome]).start()

        return end

    ends = [later(step) for step in range(5, 40, 5)]
    results, _ = scripted({"seed1": [*ends, KILLED, KILLED, KILLED, done]})
    assert results["seed1"].state == "done"


def test_an_attempt_that_a_new_scheduler_does_not_know_is_made_again(scripted):
    """Breaks if a run is forgotten along with the scheduler."""
    results, _ = scripted({"seed1": [CancelledError(), done]})
    assert results["seed1"].state == "done"


class LostOnce(Future):
    """A result that its worker has taken with it, so that it is made again."""

    status = "finished"

    def result(self, timeout=None):
        self.result = super().result
        raise TimeoutError


def test_a_result_that_is_lost_is_waited_for(scripted, monkeypatch):
    """Breaks if a worker that dies with a result stops the sweep, or a run is made twice."""
    monkeypatch.setattr(sys.modules[__name__], "Future", LostOnce)
    results, made_up = scripted({"seed1": [done]})
    assert results["seed1"].state == "done" and len(made_up.jobs) == 1


def test_an_attempt_that_fails_with_a_timeout_has_failed():
    """Breaks if a file system's timeout is taken for a result that is late, and waited for."""
    future = Future()
    future.status = "error"
    future.set_exception(TimeoutError("the disk"))
    assert cluster.outcome_of(future) == (1, "a worker failed: TimeoutError: the disk")
    future.status = "pending"
    assert cluster.outcome_of(future) is None


def test_results_that_are_written_elsewhere_are_a_failure(scripted):
    """Breaks if workers without the shared directory count as having trained."""
    results, _ = scripted({"seed1": [Outcome(0, "")]})
    assert "all machines must share" in results["seed1"].message


def test_a_failure_is_one_line_and_the_table_is_printed(tmp_path, scripted, capfd, monkeypatch):
    """Breaks if a failed run goes unnoticed, or hides the results of the others."""
    scripted({"seed1": [Outcome(2, "no data")], "seed2": [done]})
    made_up = MadeUp({"seed1": [Outcome(2, "no data")]})
    monkeypatch.setattr(loop, "connected", lambda *where: contextlib.nullcontext(made_up))
    capfd.readouterr()
    words = ["--seed", 1, 2, "--epochs", 1, "--root", tmp_path]
    assert commands.here(sweep.main, *words) == 2
    out, error = capfd.readouterr()
    assert re.search(r"seed1 +failed +0/1 +-", out) and re.search(r"seed2 +was done", out), out
    assert error.count("\n") == 1 and "1 of 2 runs failed" in error and "seed1.log" in error


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_sweep(tmp_path, monkeypatch, capfd, number, status):
    """Breaks if a sweep goes on after Ctrl-C, or does not say how to go on."""
    made_up = MadeUp({"seed1": [lambda job: os.kill(os.getpid(), number)]})
    monkeypatch.setattr(loop, "connected", lambda *where: contextlib.nullcontext(made_up))
    signs = []

    def working():
        signs.append((tmp_path / loop.SIGN).exists())
        return len(signs) < 3

    made_up.working = working
    words = ["--seed", 1, "--epochs", 1, "--root", tmp_path]
    assert commands.here(sweep.main, *words) == status
    error = capfd.readouterr().err
    assert error.startswith(
        "interrupted, every run is saved; go on with: python -m unfair_bp.sweep"
    )
    # It has waited for its attempts, and they could see that it wanted them to stop.
    assert signs == [False] * 3


def test_a_second_sweep_in_a_directory_is_refused(tmp_path, monkeypatch, capfd):
    """Breaks if two sweeps train the same runs."""
    words = ["--seed", 1, "--epochs", 1, "--root", tmp_path]
    errors = []

    def second(job):
        errors.append(commands.here(sweep.main, *words))
        return Outcome(2, "enough")

    made_up = MadeUp({"seed1": [second]})
    monkeypatch.setattr(loop, "connected", lambda *where: contextlib.nullcontext(made_up))
    assert commands.here(sweep.main, *words) == 2
    assert errors == [2]
    assert f"process {os.getpid()} is sweeping into {tmp_path}" in capfd.readouterr().err


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capfd):
    """Breaks if a disk that is full ends a sweep in a traceback."""

    def full(path, content):
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(files, "write", full)
    words = ["--seed", 1, "--epochs", 1, "--root", tmp_path]
    assert commands.here(sweep.main, *words) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and f"cannot write {tmp_path}" in error
    assert "No space left on device; make room" in error


# --- one attempt


def job(tmp_path, *words):
    """A job, and the sign of life of its sweep."""
    sign = SignOfLife(str(tmp_path / "sign"))
    sign.give()
    return Job(
        cwd=str(tmp_path),
        path="x/run",
        log="x/run.log",
        words=words,
        data="shapes",
        data_dir=None,
        sign="sign",
        owner=sign.owner,
    ), sign


def test_the_error_of_a_training_process_is_reported(tmp_path):
    """Breaks if a mistake is not told from a kill, or its line is lost."""
    this, _ = job(tmp_path, "--data", "shapes", "--data-dir", "here")
    for _ in range(2):
        outcome = attempt(this)
        assert outcome.status == 2 and outcome.message.startswith("--data-dir 'here' has no effect")
    log = (tmp_path / "x" / "run.log").read_text()
    line = "$ python -m unfair_bp.train --data shapes --data-dir here --run-dir=x/run\n"
    assert log.startswith(line) and log.count(line) == 2


def test_a_data_set_that_is_missing_is_reported_without_a_training_process(tmp_path):
    """Breaks if each run starts TensorFlow to find out, or the reason is lost."""
    this, _ = job(tmp_path, "--data-dir", "nowhere")
    outcome = attempt(this._replace(data="cifar10", data_dir="nowhere"))
    assert outcome.status == 2
    assert outcome.message.startswith("--data-dir 'nowhere': No such file or directory")
    assert not (tmp_path / "x" / "run").exists()
    assert "error: --data-dir 'nowhere'" in (tmp_path / "x" / "run.log").read_text()


def test_an_attempt_whose_sweep_is_gone_is_not_made(tmp_path):
    """Breaks if runs that wait for a free worker start after the sweep was stopped."""
    this, sign = job(tmp_path, *SMALL)
    sign.end()
    assert attempt(this).status == STOPPED
    assert not (tmp_path / "x").exists()


def test_a_sweep_that_ends_while_images_are_read_trains_nothing(tmp_path, monkeypatch):
    """Breaks if Ctrl-C during a download is followed by a training process."""
    this, sign = job(tmp_path, *SMALL)

    def mapped(*words):
        sign.end()
        return images.Mapped(0, b"", {})

    monkeypatch.setattr(attempts, "mapped", mapped)
    assert attempt(this).status == STOPPED
    assert not (tmp_path / "x" / "run").exists()


def test_a_root_that_looks_like_an_option(tmp_path, monkeypatch, capsys):
    """Breaks if the command that is shown, or run, has a directory's name for an option."""
    monkeypatch.chdir(tmp_path)
    assert commands.here(sweep.main, "--root=-x", "--data-dir=-d", "--seed", 1, "--dry-run") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "unfair_bp.train" in line)
    assert "--run-dir=-x/seed1" in line and "--data-dir=-d" in line
    started = []
    monkeypatch.setattr(attempts, "_supervise", lambda words, *more: started.append(words) or 0)
    this, _ = job(tmp_path, *SMALL)
    attempt(this._replace(path="-x/seed1"))
    assert "--run-dir=-x/seed1" in started[0]


def test_a_worker_without_the_directory_says_so(tmp_path):
    """Breaks if a machine that does not share the file system trains into nowhere."""
    this, _ = job(tmp_path)
    outcome = attempt(this._replace(cwd=str(tmp_path / "missing")))
    assert outcome.status == 2 and "all machines share" in outcome.message


def test_signs_of_life(tmp_path):
    """Breaks if a sweep that is dead, stopped or replaced keeps its runs, or a living one not."""
    sign = SignOfLife(str(tmp_path / "sign"))
    watch = Watch(sign.path, sign.owner, silence=0.2)
    assert not watch.alive()
    sign.give()
    assert watch.alive()
    time.sleep(0.3)
    assert not watch.alive()
    sign._given = None
    sign.give()
    assert watch.alive()
    SignOfLife(sign.path).give()
    assert not watch.alive()


# A process that starts another one through the launcher, which prints its id, and waits.
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "unfair_bp.sweeping.launch", str(os.getpid()),
    "timeit", "-n1", "-r1", "import os, time; print(os.getpid(), flush=True); time.sleep(120)"])
time.sleep(120)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a request to Linux")
def test_a_training_process_ends_with_its_worker(tmp_path):
    """Breaks if a worker that is killed leaves a training process behind."""
    parent = commands.start(["-c", PARENT], tmp_path)
    child = psutil.Process(int(parent.stdout.readline()))
    try:
        parent.kill()
        parent.wait()  # not for the end of its output, which the child has, too
        _, alive = psutil.wait_procs([child], timeout=30)
        assert not alive
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        parent.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="a request to Linux")
def test_a_training_process_whose_worker_is_gone_does_not_begin(tmp_path):
    """Breaks if a worker that dies in the first moment leaves a training process behind."""
    words = ["-m", "unfair_bp.sweeping.launch", "1", "timeit", "-n1", "print('begun')"]
    process = subprocess.run(
        [sys.executable, *words], env=commands.environment(), stdout=subprocess.PIPE, check=False
    )
    assert process.returncode == 143 and not process.stdout


# --- the cluster


def test_the_sweep_alone_needs_dask():
    """Breaks if another command comes to import the package for clusters."""
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] in ("distributed", "dask")
    }
    assert users == {"sweeping/cluster.py", "sweeping/loop.py"}


def _listening():
    """The addresses at which this process waits for connections."""
    process = psutil.Process()
    connections = getattr(process, "net_connections", None) or process.connections
    return {
        entry.laddr.ip for entry in connections(kind="inet") if entry.status == psutil.CONN_LISTEN
    }


def test_this_machines_cluster_is_not_open_to_others(tmp_path, monkeypatch):
    """Breaks if a port is open to the network, or files are left in the working directory."""
    monkeypatch.chdir(tmp_path)
    before = _listening()
    this, _ = job(tmp_path, "--data", "shapes", "--data-dir", "here")
    with cluster.connected(None, 2) as connected:
        assert connected.slots == 2
        assert _listening() - before <= {"127.0.0.1", "::1"}
        future = connected.submit(this, 0)
        future.result(timeout=300)
        assert cluster.outcome_of(future).status == 2
        assert not connected.working()
        future = connected.submit(None, 0)
        future.exception(timeout=300)
        failed = cluster.outcome_of(future)
        assert failed.status == 1 and failed.message.startswith("a worker failed: ")
    assert sorted(os.listdir(str(tmp_path))) == ["sign", "x"]


NOTED, LAST = [], threading.Event()


def _noted(place):
    """Stands in for an attempt, in a thread of this process: notes its place.

    The first one keeps one of two threads busy, so that the other runs all others alone.
    """
    NOTED.append(place)
    if place == 6:
        LAST.set()
    if place == 0:
        LAST.wait(120)
    return 0, ""


def test_runs_are_trained_in_the_order_of_the_sweep(monkeypatch):
    """Breaks if a later seed is trained before an earlier one is complete."""
    monkeypatch.setattr(cluster, "attempt", _noted)
    NOTED.clear()
    LAST.clear()
    with cluster.connected(None, 2) as connected:
        for future in [connected.submit(place, place) for place in range(7)]:
            future.result(timeout=300)
    assert sorted(NOTED) == list(range(7))
    assert [place for place in NOTED if place] == [1, 2, 3, 4, 5, 6]


def test_it_can_be_imported_where_a_signal_has_no_name(tmp_path):
    """Breaks if the command, --help included, is a traceback on Windows, which has no SIGKILL."""
    code = "import signal; del signal.SIGKILL; import unfair_bp.sweep"
    assert commands.run(["-c", code], tmp_path) == (0, "", "")


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    """Breaks if a wrong address is a traceback."""
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        refused = pytest.raises(UsageError, match=r"^--scheduler .* cannot be reached \([^\n]*$")
        with refused, cluster.connected(address, 1):
            pass


def test_two_runs_at_once(tmp_path, monkeypatch, capfd):
    """Breaks if the command does not train what the training command trains."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 1e9)  # however slow the machine
    words = [*SMALL, "--case", "c", "e", "--seed", "1"]
    assert commands.here(sweep.main, *words, "--workers", 2, "--root", "sweep") == 0
    out, error = capfd.readouterr()
    assert error == "" and out.count("done: ") == 2 and ".log" not in out
    assert commands.here(train.main, *SMALL, "--case", "e", "--seed", 1, "--run-dir", "one") == 0
    swept = tmp_path / "sweep" / "case_e" / "seed1"
    assert commands.metrics(swept) == commands.metrics(tmp_path / "one")
    assert commands.same_bits(commands.weights(swept), commands.weights(tmp_path / "one"))
