"""Give every bad input that the tests know to the real commands, and print the line each one gets.

    python tests/bad_inputs.py

Every input gets a directory of its own. The command must end with status 2 and one line on standard
error, and every file of the directory must be there afterwards as it was before, and no other. The
output is a table in Markdown; its last line counts what went wrong, and the status is 1 if anything
did.
"""

import collections
import contextlib
import functools
import hashlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import traceback
from typing import NamedTuple

import cifar_files
import commands
import pytest
import test_checkpoints
import test_cifar
import test_download
import test_hostile_data
import test_plots
import test_survival
import test_train
from cifar_files import write, write_archive

from unfair_bp import collapse, evaluate, plots, published, quirks, report, schedule, train
from unfair_bp.data.cifar import download, sets

WORDS = {
    "an option that a schedule has not": (schedule.main, ["--epochs", "3"]),
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
DATA_WORDS = ["--case", "a", "--run-dir", "new", "--data-dir"]

GROUPS = {}  # name: a function that gives pairs of an input's name and what prepares it


def group(name):
    """Register a function that gives the inputs of a group.

    What prepares an input is called with an At and returns a command and its words.
    """

    def register(function):
        GROUPS[name] = function
        return function

    return register


class At(NamedTuple):
    """Where and with what an input is prepared."""

    path: pathlib.Path  # its directory
    patch: pytest.MonkeyPatch  # undone after it
    stack: contextlib.ExitStack  # closed after it


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


def data_file(form, name, content, data, at):
    """A directory of a data set, one file of which has another content."""
    directory = write(at.path / "data", data, form)
    (directory / name).write_bytes(content)
    return train.main, [*DATA_WORDS, "data", "--data", data]


@group("binary file")
def binary_files():
    for name, (content, _) in test_cifar.BAD_BINARY.items():
        yield name, functools.partial(data_file, "binary", "data_batch_2.bin", content, "cifar10")
    sound = cifar_files.contents("cifar100", "binary")["test.bin"]
    for name, content in (
        ("CIFAR-100: fine label 100", b"\0\x64" + sound[2:]),
        ("CIFAR-100: one label byte", sound[len(sound) // 3074 :]),
        ("CIFAR-100: empty", b""),
    ):
        yield name, functools.partial(data_file, "binary", "test.bin", content, "cifar100")


@group("pickled file")
def pickled_files():
    hostile = test_hostile_data.HOSTILE_PICKLES
    for name, content in hostile.items():
        yield name, functools.partial(data_file, "pickled", "data_batch_2", content, "cifar10")
    others = cifar_files.contents("cifar10", "pickled", seed=1)["data_batch_2"]
    yield (
        "sound but not official",
        functools.partial(data_file, "pickled", "data_batch_2", others, "cifar10"),
    )
    command = hostile["runs a command"]
    yield (
        "CIFAR-100: runs a command",
        functools.partial(data_file, "pickled", "train", command, "cifar100"),
    )


def archive_file(content, at):
    (at.path / "a.tar.gz").write_bytes(content)
    return train.main, [*DATA_WORDS, "a.tar.gz"]


def cut_archive(part, at):
    """An official archive, of which a part is missing at the end."""
    whole = write_archive(at.path / "a.tar.gz", patch=at.patch).read_bytes()
    return archive_file(whole[: int(part * len(whole))], at)


def other_archive(at):
    """The official archive of CIFAR-100 for CIFAR-10."""
    return archive_file(write_archive(at.path / "a", "cifar100", patch=at.patch).read_bytes(), at)


@group("archive")
def archives():
    for name, content in test_hostile_data.HOSTILE_ARCHIVES.items():
        yield name, functools.partial(archive_file, content)
    for part in (0.001, 0.5, 0.999):
        yield "cut at %g" % part, functools.partial(cut_archive, part)
    yield "of CIFAR-100", other_archive


def special_file(make, at):
    directory = write(at.path / "data", form_name="pickled")
    (directory / "data_batch_5").unlink()
    make(str(directory / "data_batch_5"))
    return train.main, [*DATA_WORDS, "data"]


@group("in place of a file")
def special_files():
    for name, (make, _) in test_hostile_data.SPECIAL.items():
        yield name, functools.partial(special_file, make)
    yield "nothing", functools.partial(special_file, lambda path: None)


def from_server(settings, patch_more, at):
    """A server that the data set is looked for at, and a cache that is empty."""
    cache = at.path / "cache" / "unfair_bp"
    cache.mkdir(parents=True)
    running = at.stack.enter_context(test_download.Server())
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    at.stack.callback(running.shutdown)
    vars(running).update(settings)
    at.patch.setattr(sets, "SITE", running.url)
    at.patch.setattr(download, "RETRIES", 0)
    patch_more(at.patch, running, cache)
    return train.main, ["--case", "a", "--run-dir", "new"]


def gone(patch, server, cache):
    server.shutdown()
    server.server_close()


def silent(patch, server, cache):
    patch.setattr(download, "TIMEOUT", 0.2)
    patch.setattr(test_download.Handler, "do_GET", lambda self: threading.Event().wait(1))


def garbage(patch, server, cache):
    patch.setattr(
        test_download.Handler, "do_GET", lambda self: self.wfile.write(b"\xff\x00 nothing\n\n")
    )


def no_room(patch, server, cache):
    cache.rmdir()
    cache.write_text("mine")


def already_there(patch, server, cache):
    (cache / "cifar-10-binary.tar.gz").write_text("mine")


@group("download")
def downloads():
    for name, (settings, _) in test_download.BAD.items():
        yield name, functools.partial(from_server, settings, lambda *more: None)
    for name, patch_more in (
        ("no server", gone),
        ("says nothing", silent),
        ("not HTTP", garbage),
        ("a file in the cache's place", no_room),
        ("something else in the archive's place", already_there),
    ):
        yield name, functools.partial(from_server, {}, patch_more)


def finished_run(place):
    """A copy of a small finished run, which is trained once."""
    shutil.copytree(str(_template()), str(place / "run"))
    return place / "run"


@functools.lru_cache(maxsize=None)
def _template():
    path = pathlib.Path(tempfile.mkdtemp()) / "run"
    with contextlib.redirect_stdout(io.StringIO()):
        assert commands.here(train.main, *test_train.small("c", path)) == 0
    return path


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


def listing(place):
    """Every path below a directory with its kind, target and content, where it has an end."""
    found = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if _is_plain(path) else ""
        target = os.readlink(str(path)) if path.is_symlink() else ""
        found[str(path.relative_to(place))] = (status.st_mode, target, content)
    return found


def _is_plain(path):
    return path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 30


def outcome(prepare, place):
    """The line that an input got, and what went wrong with it."""
    errors, wrong = io.StringIO(), []
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        alone(patch, place)
        main, words = prepare(At(place, patch, stack))
        before = listing(place)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            try:
                status = commands.here(main, *words)
            except BaseException:
                status = 1
                traceback.print_exc()
        after = listing(place)
    lines = errors.getvalue().splitlines() or [""]
    if "Traceback (most recent call last):" in lines:
        wrong.append("tracebacks")
    elif status != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
        wrong.append("other answers than one line and status 2")
    wrong += ["files left behind"] if set(after) - set(before) else []
    wrong += ["files lost"] if any(after.get(name) != before[name] for name in before) else []
    return lines[-1].replace(str(place) + os.sep, ""), wrong


def alone(patch, place):
    """In that directory, with small batches, and no data set of this machine in reach."""
    patch.chdir(place)
    cifar_files.be_small(patch)
    patch.delenv("UNFAIR_BP_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        patch.delenv(name, raising=False)
    patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    patch.setenv("KERAS_HOME", str(place / "keras"))


def cell(text, most=400):
    """A text for a table, cut in its middle if it is long."""
    shown = text if len(text) <= most else text[: most // 2] + " ... " + text[-most // 2 :]
    return shown.replace("|", "\\|")


def main():
    """Try everything and print the table; returns the exit status."""
    counts, inputs = collections.Counter(), 0
    print("| | input | line |\n| --- | --- | --- |")
    for group_name, inputs_of in GROUPS.items():
        for name, prepare in inputs_of():
            with tempfile.TemporaryDirectory() as directory:
                line, wrong = outcome(prepare, pathlib.Path(directory).resolve())
            marks = "".join(" **%s**" % what for what in wrong)
            print("| %s | %s | %s%s |" % (group_name, cell(name), cell(line), marks), flush=True)
            counts.update(wrong)
            inputs += 1
    shutil.rmtree(str(_template().parent))
    kinds = ("tracebacks", "other answers than one line and status 2")
    kinds += ("files left behind", "files lost")
    summary = ", ".join("%d %s" % (counts[kind], kind) for kind in kinds)
    print("\n%d bad inputs: %s" % (inputs, summary))
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
