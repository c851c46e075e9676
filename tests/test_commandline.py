"""Options, help, errors and exit statuses that all commands share, and the schedule command."""

import argparse
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict, fields, replace

import commands
import pytest

from unfair_bp import __main__, benchmark, collapse, commandline, quirks, schedule, sweep, train
from unfair_bp.console import shell_line
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import CASES, QUICK, Case

# For each option a value that is not the default of any case.
VALUES = {
    "schedule": ("9;8-9", "9;8-9"),
    "augment": (None, True),
    "epochs": ("7", 7),
    "batch_size": ("32", 32),
    "learning_rate": ("2e-3", 0.002),
    "beta1": ("0.5", 0.5),
    "beta2": ("0.999", 0.999),
    "epsilon": ("1e-6", 1e-6),
    "protocol": ("per-batch", "per-batch"),
    "moments": ("reset", "reset"),
    "quirks": ("sum-loss", ("sum-loss",)),
    "seed": ("0", 0),
    "initial_weights": ("2018", "2018"),
    "optimizer": ("sgd", "sgd"),
    "momentum": ("0.5", 0.5),
    "nesterov": (None, True),
    "width": ("0.5", 0.5),
    "data": ("shapes", "shapes"),
    "train_size": ("123", 123),
    "test_size": ("45", 45),
    "validation_size": ("6", 6),
    "threads": ("3", 3),
}


def resolve(*arguments):
    parser = commandline.Parser(prog="test", description="")
    commandline.add_case(parser)
    commandline.add_quick(parser)
    commandline.add_fields(parser)
    return commandline.resolve_case(parser.parse_args(arguments))


def option(name):
    return "--quirk" if name == "quirks" else "--" + name.replace("_", "-")


# --- options


def test_every_field_has_an_option():
    """Breaks if a field is added to the case and these tests, or the command line, forget it."""
    assert set(VALUES) == {item.name for item in fields(Case)} - {
        "name",
        "question",
        "architecture",
    }
    help_text = " ".join(train_help().split())
    for item in fields(Case):
        if item.name in VALUES:
            assert f" {option(item.name)} " in help_text
            # argparse breaks lines at hyphens too.
            assert "".join(item.metadata["meaning"].split()) in "".join(help_text.split())


def train_help():
    out, sys.stdout = sys.stdout, io.StringIO()
    try:
        with pytest.raises(SystemExit) as exit_info:
            train.main(["--help"])
        assert exit_info.value.code == 0
        return sys.stdout.getvalue()
    finally:
        sys.stdout = out


@pytest.mark.parametrize("name", sorted(VALUES))
def test_an_option_changes_its_field_alone(name):
    """Breaks if an option is ignored, read as another type, or touches another field."""
    text, value = VALUES[name]
    words = [option(name)] if text is None else [option(name), text]
    resolved = resolve("--case", "c", *words)
    own = {"schedule": "9;8-9", "protocol": "back", "augment": "back", "moments": "back"}  # not c
    change = {"name": own[name], "question": ""} if name in own else {}
    assert resolved == replace(CASES["c"], **{name: value}, **change)
    assert type(getattr(resolved, name)) is type(value)


@pytest.mark.parametrize("name", sorted(CASES))
def test_without_options_a_case_is_itself(name):
    """Breaks if an option's default replaces a case's value."""
    assert resolve("--case", name) == CASES[name]
    assert resolve() == CASES["a"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (train, ["--learning-rate FLOAT step size of the optimizer (default: 0.0001)"]),
        (train, ["passes over the training set (default: 50 or 10, by the case)"]),
        (train, ["front, by the case)", "--no-augment switch --augment off"]),
        (sweep, ["The first session of a process fixes them (default: 1)"]),
        (collapse, ["except images and classes (default: 0.25)"]),
        (benchmark, ["passes over the training set (default: 50) --", "fixes them (default: 0)"]),
    ],
)
def test_help_says_what_is_used_without_an_option(command, said, capsys):
    """Breaks if a default in the help is not the command's own."""
    with pytest.raises(SystemExit):
        command.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert [text for text in said if text not in shown] == []


def test_augmentation_can_be_taken_from_a_case():
    """Breaks if --no-augment is lost because False looks like an option that was not given."""
    resolved = resolve("--case", "d", "--no-augment")
    assert resolved == replace(CASES["d"], augment=False, name="back", question="")
    with pytest.raises(UsageError, match="not allowed with"):
        resolve("--augment", "--no-augment")


def test_a_schedule_of_ones_own_has_its_own_name():
    """Breaks if a schedule without --case is run as case a, or a's own as another."""
    own = resolve("--schedule", "random:3", "--epochs", "2")
    assert own == Case("random:3", schedule="random:3", epochs=2, data="cifar10")
    assert resolve("--schedule", "fair") == CASES["a"]
    assert resolve("--case", "e", "--schedule", "1;1-2").name == "1;1-2"


def test_zero_is_a_value():
    """Breaks if a falsy value is taken for an option that was not given."""
    assert resolve("--seed", "0", "--beta1", "0").seed == 0
    assert resolve("--seed", "0", "--beta1", "0").beta1 == 0.0


def test_quick_and_what_is_given_beside_it():
    """Breaks if --quick changes nothing, changes other fields, or wins over an explicit option."""
    quick = resolve("--case", "e", "--quick")
    assert quick == replace(CASES["e"], **QUICK)
    assert {name for name, value in asdict(quick).items() if asdict(CASES["e"])[name] != value} == {
        "data",
        "width",
        "epochs",
        "learning_rate",
        "threads",
    }
    for words in (["--quick", "--epochs", "1"], ["--epochs", "1", "--quick"]):
        assert resolve("--case", "e", *words) == replace(quick, epochs=1)
    post = ["--width", "1", "--data", "cifar10", "--epochs", "50", "--learning-rate", "1e-4"]
    assert resolve("--quick", *post, "--threads", "0") == CASES["a"]


def test_quirks():
    """Breaks if only the last quirk counts, or --as-run is not what the case's script had."""
    both = resolve("--case", "c", "--quirk", "sum-loss", "--quirk", "elu-slope")
    assert both.quirks == ("sum-loss", "elu-slope")
    assert resolve("--case", "b", "--as-run").quirks == ("imgaug-uint8",)
    assert resolve("--case", "a", "--as-run") == CASES["a"]
    assert len(resolve("--case", "f", "--as-run").quirks) == len(ledger.LEDGER)
    with pytest.raises(UsageError, match="not allowed with"):
        resolve("--as-run", "--quirk", "sum-loss")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--epoch", "3"], "--epoch"),  # no abbreviations
        (["--learning-rate"], "--learning-rate"),
        (["--seed", "x"], "'x'"),
        (["--epochs", "1.5"], "'1.5'"),
        (["stray"], "stray"),
    ],
)
def test_bad_options_are_usage_errors(words, named):
    """Breaks if argparse prints its usage and exits by itself, or accepts an abbreviation."""
    with pytest.raises(UsageError, match="--help lists the options") as error:
        resolve(*words)
    assert named in str(error.value)


# --- errors and exit statuses


def test_a_usage_error_is_one_line_and_status_2(capsys):
    """Breaks if a message that spans lines is printed as it is, or on standard output."""

    def main(arguments):
        raise UsageError(f"two\nlines\tand  {arguments[0]}")

    assert commandline.run(main, ["words"]) == 2
    assert capsys.readouterr() == ("", "error: two lines and words\n")


def test_interruption_is_one_line_and_status_130(capsys):
    """Breaks if Ctrl-C, where nothing can be saved, ends in a traceback."""

    def main(arguments):
        raise KeyboardInterrupt

    assert commandline.run(main, []) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_status_is_the_commands(capsys):
    """Breaks if the status of a command is lost, or a bug is hidden as if the user had erred."""
    assert commandline.run(lambda arguments: 17, []) == 17
    with pytest.raises(ZeroDivisionError):
        commandline.run(lambda arguments: 1 // 0, [])
    assert capsys.readouterr() == ("", "")


def test_a_file_that_fails_is_not_taken_for_the_output():
    """Breaks if a bug about a file is told as if standard output could not be written."""

    def main(arguments):
        raise FileNotFoundError(2, "No such file or directory", "x")

    with pytest.raises(FileNotFoundError):
        commandline.run(main, [])


@pytest.mark.parametrize("text", ["", "Unable to allocate 5 GiB\nfor an array"])
def test_a_lack_of_memory_is_one_line(capsys, text):
    """Breaks if arrays that are too large end in a traceback."""

    def main(arguments):
        raise MemoryError(text)

    assert commandline.run(main, []) == 2
    said = " ".join(text.split()) or "out of memory"
    assert capsys.readouterr().err == f"error: {said}; free some memory, or ask for less\n"


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch, capsys):
    """Breaks if a terminal in a directory that was deleted shows a traceback."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for main in (train.main, schedule.main, quirks.main):
        assert commandline.run(main, ["--help"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: the working directory cannot be used: ")
        assert error.count("\n") == 1


def test_the_streams_are_left_as_they_were(tmp_path):
    """Breaks if a program that calls a command has other streams afterwards."""
    code = (
        "import sys; from unfair_bp import commandline, quirks\n"
        "def streams(): return [(id(s), s.errors, s.encoding) for s in (sys.stdout, sys.stderr)]\n"
        "before = streams(); commandline.run(quirks.main, []); assert streams() == before"
    )
    assert commands.run(["-c", code], tmp_path)[::2] == (0, "")


def test_python_without_docstrings(tmp_path):
    """Breaks if python -OO cannot list the commands."""
    status, output, errors = commands.run(["-OO", "-m", "unfair_bp"], tmp_path)
    assert (status, errors) == (0, "") and "unfair_bp.train" in output


CLOSED = ["1>&-", "2>&-", "0<&- 1>&- 2>&-", "| head -1"]


@pytest.mark.parametrize("redirection", CLOSED)
def test_work_is_done_although_the_output_is_lost(tmp_path, redirection):
    """Breaks if a closed output costs the picture, or becomes part of a file."""
    line = (
        f"{shlex.quote(sys.executable)} -u -m unfair_bp.schedule --case c --png x.png {redirection}"
    )
    process = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=str(tmp_path),
        env=commands.environment(),
        capture_output=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, b"")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert os.listdir(str(tmp_path)) == ["x.png"]


def test_a_mistake_with_a_closed_standard_error(tmp_path):
    """Breaks if the status is lost when there is nobody to read the line."""
    line = f"{shlex.quote(sys.executable)} -m unfair_bp.schedule --case g 2>&-"
    status = subprocess.call(["bash", "-c", line], cwd=str(tmp_path), env=commands.environment())
    assert status == 2


def test_shell_line_survives_a_shell():
    """Breaks if a printed command cannot be pasted when a word needs quotes."""
    assert shell_line(["a", "b c", "9;8-9", "it's"]) == "a 'b c' '9;8-9' 'it'\"'\"'s'"


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["--epoch", "3"], "--epochs"),
        (["--learning-rte=1"], "--learning-rate"),
        (["--schedul", "fair", "--agument"], "--schedule, --augment"),
        (["--xyz"], None),
        (["stray"], None),
    ],
)
def test_an_unknown_option_names_the_nearest(words, near):
    """Breaks if a typing error is not answered with the option that was meant, or any word is."""
    with pytest.raises(UsageError) as error:
        resolve(*words)
    found = re.search(r"; did you mean (.*)\? \(test --help lists the options\)$", str(error.value))
    assert (found and found.group(1)) == near


# --- help


@pytest.mark.parametrize("name", ["train", "evaluate", "schedule"])
def test_help_is_answered_at_once(tmp_path, name):
    """Breaks if --help imports what takes seconds, or what may not be installed."""
    script = (
        "import runpy, sys\n"
        "sys.argv[1:] = ['--help']\n"
        "try:\n"
        f"    runpy.run_module('unfair_bp.{name}', run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    print('loaded', 'numpy' in sys.modules, [name for name in sys.modules if name in\n"
        "        ('tensorflow', 'matplotlib', 'imgaug', 'scipy', 'cv2', 'tqdm')])\n"
    )
    status, stdout, stderr = commands.run(["-c", script], tmp_path)
    assert (status, stderr) == (0, "")
    assert stdout.startswith(f"usage: python -m unfair_bp.{name}")
    assert stdout.splitlines()[-1] == "loaded True []"


def test_the_commands_are_listed(tmp_path):
    """Breaks if ``python -m unfair_bp`` lacks a command, or names what is none."""
    status, stdout, stderr = commands.run(["-m", "unfair_bp"], tmp_path)
    assert (status, stderr) == (0, "")
    listed = {}
    for line in stdout.splitlines():
        if line.startswith("python -m unfair_bp."):
            name, meaning = line[len("python -m unfair_bp.") :].split(None, 1)
            listed[name] = meaning
    package = commands.ROOT / "unfair_bp"
    with_help = {path.stem for path in package.glob("*.py") if "Parser(prog=" in path.read_text()}
    assert set(listed) == with_help - {"__main__"}
    assert listed["plots"].startswith("Draw a run: ")


def test_a_command_by_its_name(tmp_path, capsys):
    """Breaks if ``unfair-bp schedule`` is not ``python -m unfair_bp.schedule``."""
    assert commands.here(__main__.main, "schedule", "--case", "a") == 0
    by_name = capsys.readouterr().out
    assert commands.here(schedule.main, "--case", "a") == 0
    assert capsys.readouterr().out == by_name
    assert commands.here(__main__.main, "schedule", "--case", "g") == 2
    assert "--case 'g'" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["retrain", "commandline", "errors", "running", "../x", ""])
def test_an_unknown_command_is_one_line(capsys, word):
    """Breaks if a module that is not a command is run, or a mistake ends in a traceback."""
    assert commands.here(__main__.main, word) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"error: {word!r} is not a command; give one of train, ")
    assert error.count("\n") == 1


def test_the_console_script_is_the_package(monkeypatch, capsys):
    """Breaks if the entry point in setup.py names a function that is not there or does less."""
    text = (commands.ROOT / "setup.py").read_text()
    name, module, function = re.search(r'"(\S+) = (\S+):(\w+)"', text).groups()
    assert name == "unfair-bp"
    monkeypatch.setattr(sys, "argv", ["unfair-bp"])
    assert getattr(importlib.import_module(module), function)() == 0
    assert capsys.readouterr().out.startswith("python -m unfair_bp.train ")


@pytest.mark.parametrize("name", ["train", "evaluate", "schedule"])
def test_version(capfd, name):
    """Breaks if --version is missing from a command or names another version."""
    main = importlib.import_module("unfair_bp." + name).main
    assert commands.here(main, "--version") == 0
    assert tuple(capfd.readouterr()) == ("unfair_bp 0.1.0\n", "")


# --- python -m unfair_bp.schedule


def rows(text):
    """The marks of each row of a printed schedule."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 11 and set(words[1:10]) <= {"#", "."}:
            assert int(words[0]) == len(found)
            found.append("".join(words[1:10]))
    return found


BACK = ["." * (8 - row) + "#" * (row + 1) for row in range(9)]
FRONT = ["#" * (row + 1) + "." * (8 - row) for row in range(9)]


@pytest.mark.parametrize(
    ("words", "marks", "counts", "costs"),
    [
        (["--case", "a"], ["#########"], "1 1 1 1 1 1 1 1 1", ("1.000", "1.000", "1.000")),
        (["--case", "c"], BACK, "1 2 3 4 5 6 7 8 9", ("0.488", "4.388", "2.239")),
        (["--case", "f"], FRONT, "9 8 7 6 5 4 3 2 1", ("0.942", "8.476", "8.476")),
        (["--schedule", "9;8-9"], BACK[:2], "0 0 0 0 0 0 0 1 2", ("0.334", "0.668", "0.334")),
        (
            ["--case", "c", "--schedule", "fair"],
            ["#########"],
            "1 " * 8 + "1",
            ("1.000", "1.000", "1.000"),
        ),
    ],
)
def test_schedule_text(capsys, words, marks, counts, costs):
    """Breaks if rows, counts or costs differ from a separate count."""
    assert schedule.main(words) == 0
    text = capsys.readouterr().out
    assert rows(text) == marks
    assert f"updates per cycle, layer 1..9: {counts}\n" in text
    assert f"mean FLOPs per iteration, relative to fair: {costs[0]}\n" in text
    assert ("a cycle of 1 iteration\n" in text) == (len(marks) == 1)
    assert text.endswith("fair iterations: {} per step, {} per batch\n".format(*costs[1:]))


def test_schedule_command(tmp_path):
    """Breaks if the module does not run as a command, or writes a file without being asked."""
    words = ["-m", "unfair_bp.schedule", "--case", "c", "--width", "0.25"]
    status, stdout, stderr = commands.run(words, tmp_path)
    assert (status, stderr) == (0, "")
    assert rows(stdout) == BACK
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--case", "g"],
        ["--schedule", "sideways"],
        ["--schedule", "0"],
        ["--width", "0.001"],
        ["--momentum", "0.5"],  # a schedule has none
        ["--png"],
        ["--list", "--png", "x.png"],
        ["--schedule", "freeze", "--data", "own"],  # how long is the run?
    ],
)
def test_bad_input_to_schedule(capsys, tmp_path, monkeypatch, words):
    """Breaks if a mistake is not one line and status 2, or is printed beside a schedule."""
    monkeypatch.chdir(tmp_path)
    assert commands.here(schedule.main, *words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert os.listdir(str(tmp_path)) == []


def test_parser_has_no_defaults_of_its_own():
    """Breaks if an option that is not given has a value, which would then replace the case's."""
    parser = argparse.ArgumentParser()
    commandline.add_fields(parser)
    assert set(vars(parser.parse_args([])).values()) == {None}
