"""Bad options, run directories, libraries and surroundings."""

import contextlib
import functools
import io
import pathlib
import shutil
import sys
import tempfile

import commands
import test_checkpoints
import test_plots
import test_survival
import test_train
from bad_input_groups import group
from run_directories import write_run

from unfair_bp import (
    benchmark,
    collapse,
    evaluate,
    plots,
    published,
    quirks,
    report,
    schedule,
    sweep,
    train,
)
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.data import cifar
from unfair_bp.running.directory import DIRECTORIES

SEED, ANOTHER_SEED = 678, 5  # of the runs that are trained once
WORDS = {
    "an option that a schedule has not": (schedule.main, ["--momentum", "0.5"]),
    "digits of another script": (schedule.main, ["--schedule", "\u0669"]),
    "10,001 rows": (schedule.main, ["--schedule", "9" + ";9" * 10_000]),
    "picture of unknown kind": (schedule.main, ["--png", "x.doc"]),
    "picture in no directory": (schedule.main, ["--png", "missing/x.png"]),
    "picture that is there": (schedule.main, ["--png", "there.png"]),
    "picture in the place of a directory": (schedule.main, ["--gif", "folder.gif", "--overwrite"]),
    "two pictures of one name": (schedule.main, ["--png", "x.gif", "--gif", "./x.gif"]),
    "name with a zero byte": (schedule.main, ["--png", "a\0b.png"]),
    "name with a line break": (schedule.main, ["--png", "missing/a\nb.png"]),
    "name that a terminal obeys": (schedule.main, ["--png", "missing/\x1b[2J.png"]),
    "report without a directory": (report.main, []),
    "report of an empty name": (report.main, [""]),
    "report of nothing": (report.main, ["missing"]),
    "report of no runs": (report.main, ["thesis"]),
    "report into a device": (report.main, ["thesis", "--html", "/dev/null", "--overwrite"]),
    "two reports of one name": (report.main, ["thesis", "--html", "x", "--markdown", "./x"]),
    "plots of nothing": (plots.main, ["missing"]),
    "plots of another program's directory": (plots.main, ["server"]),
    "plots of unknown format": (plots.main, ["server", "--format", "gif"]),
    "evaluation of a file": (evaluate.main, ["file"]),
    "evaluation of two": (evaluate.main, ["server", "thesis"]),
    "published case z": (published.main, ["--case", "z"]),
    "a word for the ledger": (quirks.main, ["more"]),
    "no batches to measure": (collapse.main, ["--iterations", "0"]),
    "run directory that is a pattern": (train.main, ["--data", "shapes", "--run-dir", "case_[ab]"]),
    "run directory in memory": (train.main, ["--data", "shapes", "--run-dir", "ram://run"]),
    "run directory that is no text": (train.main, ["--data", "shapes", "--run-dir", "\udcff"]),
    "run directory of an empty name": (train.main, ["--data", "shapes", "--run-dir", ""]),
    "a data set that only Python gives": (train.main, ["--data", "own", "--run-dir", "new"]),
    "CIFAR-100 where there is none": (train.main, ["--data", "cifar100", "--data-dir", "."]),
    "a place for embedded data": (train.main, ["--data", "shapes", "--data-dir", "."]),
    "minutes that are none": (train.main, ["--data", "shapes", "--checkpoint-minutes", "nan"]),
}


def with_files(main, words, at):
    """Some files that are no runs, and a command that may come upon them."""
    (at.path / "file").write_text("text")
    (at.path / "there.png").write_text("mine")
    (at.path / "folder.gif").mkdir()
    for directory, file in (("thesis", "thesis.txt"), ("server", "config.json")):
        (at.path / directory).mkdir()
        (at.path / directory / file).write_text('{"years": 4}')
    return main, words


@group("command line")
def command_lines():
    for name, (more, _) in test_train.BAD_INPUT.items():
        words = [*test_train.small("a", "run"), *more.split()]
        yield name, functools.partial(with_files, train.main, words)
    for name, (main, words) in WORDS.items():
        yield name, functools.partial(with_files, main, words)


def finished_run(place):
    """A copy of a small finished run, which is trained once."""
    shutil.copytree(str(_template(SEED)), str(place / "run"))
    return place / "run"


@functools.lru_cache(maxsize=None)
def _template(seed):
    path = pathlib.Path(tempfile.mkdtemp()) / "run"
    words = test_train.small("c", path, "--seed", seed)
    with contextlib.redirect_stdout(io.StringIO()):
        assert commands.here(train.main, *words) == 0
    return path


def tidy_up():
    """Delete the runs that were trained for these inputs."""
    for seed in (SEED, ANOTHER_SEED):
        shutil.rmtree(str(_template(seed).parent))


def resumed_run(damage, more, at):
    run = finished_run(at.path)
    if damage:
        damage(run)
    words = test_train.small("c", "run", "--resume")
    return train.main, [*words, "--epochs", "2", *more.split()]


def damaged_run(main, damage, at):
    damage(finished_run(at.path))
    return main, ["run"]


def damaged_checkpoints(ending, content, run):
    for path in run.glob("checkpoints/*" + ending):
        test_checkpoints.change(content)(path)


def replaced_run(damage, at):
    damage(finished_run(at.path))
    return train.main, test_train.small("c", "run", "--overwrite")


def moved_away(name, run):
    """A link in the place of a subdirectory, which another run may use as well."""
    (run / name).mkdir(exist_ok=True)
    (run / name).rename(run.parent / "elsewhere")
    (run / name).symlink_to("../elsewhere")


def directory_for_file(name, run):
    if (run / name).exists():
        (run / name).unlink()
    (run / name).mkdir()


def of_another_run(run):
    shutil.rmtree(str(run / "checkpoints"))
    shutil.copytree(str(_template(ANOTHER_SEED) / "checkpoints"), str(run / "checkpoints"))


def link_to_nothing(run):
    shutil.rmtree(str(run / "checkpoints"))
    (run / "checkpoints").symlink_to("gone")


def picture_that_is_a_directory(run):
    (run / "figures" / "curves.png").mkdir(parents=True)


def held_run(at):
    """A run in which another process trains."""
    process = test_survival.hold(finished_run(at.path) / "run.lock")
    at.stack.callback(process.communicate, "")
    return train.main, [*test_train.small("c", "run", "--resume"), "--epochs", "2"]


@group("run directory")
def run_directories():
    for name, (damage, more, _) in test_train.BAD_RUNS.items():
        yield "resumed: " + name, functools.partial(resumed_run, damage, more)
    for name, (ending, content) in test_checkpoints.DAMAGES.items():
        damage = functools.partial(damaged_checkpoints, ending, content)
        yield "resumed, both checkpoints: " + name, functools.partial(resumed_run, damage, "")
    for name, damage in test_plots.DAMAGES.items():
        yield "drawn: " + name, functools.partial(damaged_run, plots.main, damage)
    yield "another process trains in it", held_run
    for name in DIRECTORIES:
        yield (
            f"overwritten: {name} is a link",
            functools.partial(replaced_run, functools.partial(moved_away, name)),
        )
    for name in ("weights_after.npz", "examples.npz", "metrics.csv.part"):
        damage = functools.partial(directory_for_file, name)
        yield f"overwritten: {name} is a directory", functools.partial(replaced_run, damage)
        yield f"resumed: {name} is a directory", functools.partial(resumed_run, damage, "")
    yield "resumed: another run's checkpoints", functools.partial(resumed_run, of_another_run, "")
    yield (
        "evaluated: another run's checkpoints",
        functools.partial(damaged_run, evaluate.main, of_another_run),
    )
    yield "resumed: checkpoints moved away", functools.partial(resumed_run, link_to_nothing, "")
    yield (
        "drawn: curves.png is a directory",
        functools.partial(damaged_run, plots.main, picture_that_is_a_directory),
    )


def without_module(name, main, words, at):
    """A library that cannot be imported."""
    at.patch.setitem(sys.modules, name, None)
    return main, words


def without_pooch(at):
    at.patch.delitem(sys.modules, "unfair_bp.data.cifar.download")
    at.patch.delattr(cifar, "download")
    at.patch.setitem(sys.modules, "pooch", None)
    return train.main, ["--run-dir", "new"]


def without_scipy(at):
    for seed in (1, 2):
        write_run(at.path / "logs" / str(seed), "a", [0.1 * seed], seed=seed)
    at.patch.setitem(sys.modules, "scipy", None)
    return report.main, ["logs"]


@group("library")
def libraries():
    words = ["--data", "shapes", "--run-dir", "new", "--no-plots"]
    yield "no tqdm", functools.partial(without_module, "tqdm", train.main, words)
    augmented = [*words, "--case", "d"]
    yield "no imgaug", functools.partial(without_module, "imgaug", train.main, augmented)
    yield "no pooch", without_pooch
    yield "no SciPy", without_scipy
    swept = ["--data", "shapes", "--root", "new", "--seed", "1", "2"]
    yield "no Dask", functools.partial(without_module, "dask", sweep.main, swept)
    swept += ["--workers", "1"]
    yield "no Dask.distributed", functools.partial(without_module, "distributed", sweep.main, swept)


def working_directory_gone(main, words, at):
    (at.path / "gone").mkdir()
    at.patch.chdir(at.path / "gone")
    (at.path / "gone").rmdir()
    return main, words


def out_of_memory(function, main, words, at):
    """TensorFlow or NumPy finds no memory in a function of the package."""

    def exhausted(*arguments, **named):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when\nallocating")

    if "run" in words:
        finished_run(at.path)
    at.patch.setattr(f"unfair_bp.{function}", exhausted)
    return main, words


def lock_in_use(at):
    (at.path / "new" / "run.lock").mkdir(parents=True)
    return train.main, ["--data", "shapes", "--run-dir", "new"]


@group("surroundings")
def surroundings():
    for name, main, words in (
        ("training", train.main, ["--data", "shapes"]),
        ("a picture", schedule.main, ["--png", "x.png"]),
    ):
        yield (
            f"no working directory: {name}",
            functools.partial(working_directory_gone, main, words),
        )
    for function, main, words in (
        ("running.evaluation.evaluate", evaluate.main, ["run"]),
        ("measuring.collapse.measure", collapse.main, []),
        ("measuring.benchmark.measure", benchmark.main, []),
    ):
        yield f"no memory in {function}", functools.partial(out_of_memory, function, main, words)
    yield "a directory in the lock's place", lock_in_use
