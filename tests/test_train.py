"""The training command, end to end: what it writes, repeats, resumes and refuses."""

import contextlib
import faulthandler
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import commands
import numpy as np
import pytest

from unfair_bp import train
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.data.cifar import sets
from unfair_bp.errors import UsageError
from unfair_bp.running import signals, training
from unfair_bp.running.signals import STOPPING, Interrupted, stopped_by_signals

FILES = {
    "config.json",
    "command.txt",
    "metrics.csv",
    "layers.csv",
    "training.txt",
    "weights_before.npz",
    "weights_after.npz",
    "examples.npz",
    "checkpoints",
}
# 61 iterations an epoch, the last of two images; from the back, so that layers differ.
IMAGES, BATCH, ITERATIONS = 242, 4, 61
TEXT = (
    "--case c --data shapes --width 0.05 --learning-rate 0.01 --batch-size 4 --train-size 242 "
    "--test-size 20 --threads 1 --no-plots"
)
WORDS = shlex.split(TEXT)
INTERRUPTED = "interrupted run"  # a name that needs quotes in a shell

# Several runs, one after the other, in one process; Ctrl-C comes at the first image of a test.
SEVERAL = """
import json, os, signal, sys
from unfair_bp import commandline, train
from unfair_bp.running import epochs
evaluate = epochs.evaluate
def interrupted(*arguments, **named):
    os.kill(os.getpid(), signal.SIGINT)
    return evaluate(*arguments, **named)
for interrupt, words in json.loads(sys.argv[1]):
    epochs.evaluate = interrupted if interrupt else evaluate
    print("status", commandline.run(train.main, words), file=sys.stderr)
"""


def channels(width):
    return [3] + [round(n * width) for n in (256, 256, 128, 128, 128, 64, 64, 64)] + [10]


def expected_updates(schedule, iterations):
    """How often each layer is updated, by counting."""
    return [sum(n in updated(schedule, t) for t in range(iterations)) for n in range(1, 10)]


def updated(schedule, iteration):
    """Numbers of the layers that an iteration updates."""
    row = iteration % 9
    return {
        "fair": range(1, 10),
        "back": range(9 - row, 10),
        "front": range(1, row + 2),
    }[schedule]


def expected_flops(schedule, width, batches):
    """Floating-point operations of iterations on so many images each, convolution by convolution.

    Every layer goes forward; updated ones have a weight gradient; those above the lowest updated
    one pass the gradient on.
    """
    count = channels(width)
    sizes = [32, 32, 32, 16, 16, 16, 8, 8, 8]
    kernels = [3, 3, 3, 3, 3, 3, 3, 1, 1]
    costs = {
        n: 2 * sizes[n - 1] ** 2 * kernels[n - 1] ** 2 * count[n - 1] * count[n]
        for n in range(1, 10)
    }
    total = 0
    for iteration, images in enumerate(batches):
        numbers = updated(schedule, iteration)
        total += images * sum(costs.values())
        total += images * sum(costs[n] for n in numbers)
        total += images * sum(costs[n] for n in range(min(numbers) + 1, 10))
    return total


def wait_for(stream, start):
    """Read lines until one starts so."""
    for line in stream:
        if line.startswith(start):
            return
    raise AssertionError(f"the command ended before it printed {start!r}")


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory):
    """Runs in two processes at a time: (directory, what the commands printed)."""
    place = tmp_path_factory.mktemp("runs")
    command = ["-m", "unfair_bp.train", *WORDS]
    three = [*WORDS, "--epochs", "3", "--run-dir"]
    several = [
        [False, [*three, "whole"]],
        [False, [*three, "twin"]],
        [False, [*WORDS, "--epochs", "1", "--run-dir", "grown"]],
        [False, [*WORDS, "--epochs", "3", "--run-dir", "grown", "--resume"]],
        [True, [*three, "tested"]],
        [False, [*three, "tested", "--resume"]],
    ]
    with contextlib.ExitStack() as stack:

        def start(words):
            process = stack.enter_context(commands.start(words, place))
            stack.callback(process.kill)
            return process

        printed = {}
        batch = start(["-c", SEVERAL, json.dumps(several)])
        process = start([*command, "--epochs", "3", "--run-dir", INTERRUPTED])
        wait_for(process.stdout, "epoch   1/3")
        process.send_signal(signal.SIGINT)
        printed["interrupt"] = commands.finish(process)
        printed["saved"] = commands.snapshot(place / INTERRUPTED)
        words = shlex.split(printed["interrupt"][2].split("go on with: ")[-1])
        printed["go on"] = words
        printed["resume"] = commands.run(words[1:], place)
        printed["several"] = commands.finish(batch)
    return place, printed


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A small finished run, to be copied."""
    path = tmp_path_factory.mktemp("template") / "run"
    assert commands.here(train.main, *small("c", path)) == 0
    return path


@pytest.fixture
def finished(template, tmp_path):
    """A small finished run of this test's own."""
    shutil.copytree(str(template), str(tmp_path / "run"))
    return tmp_path / "run"


def checkpoints(run):
    """Iterations after which the checkpoints of a run were saved."""
    return sorted(int(path.stem.split("-")[1]) for path in run.glob("checkpoints/*.index"))


def small(case, path, *more):
    """The words of a run of a few iterations."""
    words = ["--case", case, *commands.SMALL, "--batch-size", "4", "--epochs", "1"]
    return [*words, "--run-dir", str(path), *more]


# --- what a run leaves


@pytest.mark.slow
def test_a_run_is_quiet_and_leaves_its_files(long_runs):
    """Breaks if TensorFlow talks, a file is missing, or one is left that nobody documents."""
    place, printed = long_runs
    status, stdout, stderr = printed["several"]
    assert status == 0
    assert stderr.startswith("status 0\nstatus 0\n")
    stdout = stdout[: stdout.index("\ncase c: ", 1)]  # of the first of several
    assert set(os.listdir(str(place / "whole"))) == FILES
    lines = stdout.splitlines()
    assert lines[-1] == "done: whole"
    assert [line[:11] for line in lines if line.startswith("epoch ")] == [
        "epoch   1/3",
        "epoch   2/3",
        "epoch   3/3",
    ]
    assert "\r" not in stdout


@pytest.mark.slow
def test_metrics_of_a_run(long_runs):
    """Breaks if counts, updates or operations are not those of the schedule and of the batches."""
    place, printed = long_runs
    header, *rows = (place / "whole" / "metrics.csv").read_text().splitlines()
    columns = header.split(",")
    assert len(rows) == 3
    batches = [BATCH] * (ITERATIONS - 1) + [IMAGES - BATCH * (ITERATIONS - 1)]
    assert batches[-1] == 2
    for epoch, line in enumerate(rows, start=1):
        row = dict(zip(columns, line.split(",")))
        iterations = epoch * ITERATIONS
        assert int(row["epoch"]) == epoch
        assert int(row["iterations"]) == iterations
        assert [int(row[f"updates_layer_{n}"]) for n in range(1, 10)] == expected_updates(
            "back", iterations
        )
        assert int(row["flops"]) == expected_flops("back", 0.05, batches * epoch)
        for accuracy, images in (("train_accuracy", IMAGES), ("test_accuracy", 20)):
            correct = float(row[accuracy]) * images
            assert 0 <= correct <= images
            assert correct == pytest.approx(round(correct), abs=1e-9)
        assert float(row["train_cost"]) > 0
        assert float(row["test_cost"]) > 0
        assert float(row["seconds"]) > 0
        report = [line for line in printed["several"][1].splitlines() if f"  {epoch}/3 " in line]
        assert re.findall(r"(?:cost|accuracy) ([0-9.]+)", report[0]) == [
            f"{float(row['train_cost']):.5f}",
            f"{float(row['train_accuracy']):.4f}",
            f"{float(row['test_cost']):.5f}",
            f"{float(row['test_accuracy']):.4f}",
        ]


@pytest.mark.slow
def test_training_txt_has_the_authors_layout(long_runs):
    """Breaks if a program that reads the author's logs could not read ours."""
    place, _ = long_runs
    block = (
        r"---------- Learning Rate :  (\S+)\n"
        r" Using grad:  ([01]) Train Current cost:  (\S+)  Current Acc:  (\S+)\n"
        r"Test Current cost:  (\S+)  Current Acc:  (\S+)\n"
        r"----------\n"
    )
    text = (place / "whole" / "training.txt").read_text()
    assert re.fullmatch("(?:{})+".format(block.replace(r"(\S", r"(?:\S")), text)
    found = [tuple(map(float, match)) for match in re.findall(block, text)]
    rows = [list(map(float, row[1:5])) for row in commands.metrics(place / "whole")]
    assert found == [(0.01, 1.0, *(float(f"{value:.6g}") for value in row)) for row in rows]


@pytest.mark.slow
def test_weights_have_the_layers_shapes_and_every_layer_moves(long_runs):
    """Breaks if the two files hold the same weights, or a layer is missing or never trained."""
    place, _ = long_runs
    before = commands.weights(place / "whole", "weights_before.npz")
    after = commands.weights(place / "whole")
    count = channels(0.05)
    kernels = [3, 3, 3, 3, 3, 3, 3, 1, 1]
    expected = [(k, k, count[i], count[i + 1]) for i, k in enumerate(kernels)]
    assert [w.shape for w in before] == [w.shape for w in after] == expected
    assert {w.dtype for w in before + after} == {np.dtype(np.float32)}
    for old, new in zip(before, after):
        assert np.abs(new - old).max() > 1e-3


@pytest.mark.slow
def test_checkpoint_holds_the_last_weights(long_runs):
    """Breaks if the newest checkpoint is not the end of training, or cannot be read."""
    place, _ = long_runs
    reader = tf.train.load_checkpoint(str(place / "whole" / "checkpoints"))
    assert reader.get_tensor("step") == 3 * ITERATIONS
    saved = [reader.get_tensor(f"variables/layer_{n}/weight") for n in range(1, 10)]
    assert commands.same_bits(saved, commands.weights(place / "whole"))
    for n, updates in enumerate(expected_updates("back", 3 * ITERATIONS), start=1):
        assert reader.get_tensor(f"variables/layer_{n}/count") == updates


@pytest.mark.slow
def test_record_and_configuration_of_a_run(long_runs):
    """Breaks if a result could not be traced to its command, versions and settings."""
    place, _ = long_runs
    record = (place / "whole" / "command.txt").read_text()
    facts = dict(re.findall(r"^([a-z_ ]+):\s+(.+)$", record, re.MULTILINE))
    words = shlex.split(facts["command"])
    command = ["python", "-m", "unfair_bp.train", *WORDS, "--epochs", "3", "--run-dir", "whole"]
    assert words == command
    assert facts["tensorflow"] == tf.__version__
    assert facts["numpy"] == np.__version__
    assert facts["data set"] == "shapes, 242 training and 20 test images"
    assert {"started", "unfair_bp", "commit", "python", "system", "processor"} <= set(facts)
    case = json.loads((place / "whole" / "config.json").read_text())["case"]
    assert (case["schedule"], case["seed"], case["epochs"]) == ("back", 678, 3)
    assert (case["train_size"], case["width"], case["beta2"]) == (242, 0.05, 0.9)


# --- the same again


@pytest.mark.slow
def test_one_seed_gives_one_result(long_runs):
    """Breaks if anything of a run depends on the clock, on threads or on the process."""
    place, printed = long_runs
    assert printed["several"][0] == 0
    assert commands.metrics(place / "twin") == commands.metrics(place / "whole")
    assert commands.same_bits(commands.weights(place / "twin"), commands.weights(place / "whole"))


def test_another_seed_gives_another_result(template, tmp_path):
    """Breaks if the seed does not reach the initial weights, and with them everything after."""
    run = tmp_path / "run"
    assert commands.here(train.main, *small("c", run, "--seed", "1")) == 0
    for name in ("weights_before.npz", "weights_after.npz"):
        for one, other in zip(commands.weights(template, name), commands.weights(run, name)):
            assert not np.array_equal(one, other)
    assert commands.metrics(template) != commands.metrics(run)


@pytest.mark.slow
def test_a_grown_run_equals_a_longer_one(long_runs):
    """Breaks if resuming for more epochs forgets moments, counts, the step or the epoch."""
    place, _ = long_runs
    assert commands.metrics(place / "grown") == commands.metrics(place / "whole")
    assert commands.same_bits(commands.weights(place / "grown"), commands.weights(place / "whole"))
    assert json.loads((place / "grown" / "config.json").read_text())["case"]["epochs"] == 3
    assert (place / "grown" / "command.txt").read_text().count("command: ") == 2


@pytest.mark.slow
def test_old_checkpoints_are_removed_after_resuming(long_runs):
    """Breaks if every resumed run leaves the checkpoints of the one before for ever."""
    place, _ = long_runs
    for name in ("whole", "grown", "tested", INTERRUPTED):
        assert checkpoints(place / name) == [2 * ITERATIONS, 3 * ITERATIONS], name


# --- Ctrl-C


@pytest.mark.slow
def test_interrupt_saves_and_says_how_to_go_on(long_runs):
    """Breaks if Ctrl-C loses the epoch, has another status, or ends in a traceback."""
    _, printed = long_runs
    status, stdout, stderr = printed["interrupt"]
    assert status == 130
    assert "done" not in stdout
    command = ["python", "-m", "unfair_bp.train", *WORDS, "--epochs", "3", "--run-dir", INTERRUPTED]
    assert printed["go on"] == [*command, "--resume"]
    assert stderr.startswith("interrupted and saved; go on with: python -m unfair_bp.train ")
    assert stderr.count("\n") == 1
    saved = printed["saved"]
    assert "weights_after.npz" not in saved
    assert saved["metrics.csv"].count(b"\n") == 2
    newest = re.search(rb'model_checkpoint_path: "model-([0-9]+)"', saved["checkpoints/checkpoint"])
    assert int(newest.group(1)) % ITERATIONS, "the signal was to come in the middle of an epoch"


@pytest.mark.slow
def test_the_printed_command_goes_on_as_if_nothing_had_happened(long_runs):
    """Breaks if an image of the interrupted epoch is shown twice, left out, or not counted."""
    place, printed = long_runs
    assert printed["resume"][0] == 0
    assert printed["resume"][2] == ""
    assert commands.metrics(place / INTERRUPTED) == commands.metrics(place / "whole")
    assert commands.same_bits(
        commands.weights(place / INTERRUPTED), commands.weights(place / "whole")
    )


@pytest.mark.slow
def test_interrupt_while_testing(long_runs):
    """Breaks if an epoch whose test was interrupted is trained again or lost."""
    place, printed = long_runs
    statuses = re.findall(r"^status (\d+)$", printed["several"][2], re.MULTILINE)
    assert statuses == ["0", "0", "0", "0", "130", "0"]
    assert commands.metrics(place / "tested") == commands.metrics(place / "whole")
    assert commands.same_bits(commands.weights(place / "tested"), commands.weights(place / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_saves_as_ctrl_c_does(tmp_path, name, status):
    """Breaks if a batch system or a closed terminal costs more than the current iteration."""
    command = ["-m", "unfair_bp.train", *WORDS, "--epochs", "9", "--run-dir", "run"]
    process = commands.start(command, tmp_path)
    wait_for(process.stdout, "epoch   1/9")
    process.send_signal(getattr(signal, name))
    ended, _, stderr = commands.finish(process)
    assert ended == status
    assert stderr.startswith("interrupted and saved; go on with: ") and stderr.count("\n") == 1
    assert not (tmp_path / "run" / "run.lock").exists()
    assert checkpoints(tmp_path / "run")[-1] >= ITERATIONS
    words = ["--epochs", "1", "--run-dir", tmp_path / "run", "--resume"]
    assert commands.here(train.main, *WORDS, *words) == 2  # it was started with 9


@pytest.mark.slow
def test_a_run_that_ignores_ctrl_c_goes_on(tmp_path):
    """Breaks if Ctrl-C for another program ends a run that was started in the background."""
    words = [sys.executable, "-m", "unfair_bp.train", *WORDS, "--epochs", "2", "--run-dir", "run"]
    line = "trap '' INT HUP; exec " + " ".join(map(shlex.quote, words))
    process = commands.start(
        ["-c", f"import os; os.execvp('bash', ['bash', '-c', {line!r}])"], tmp_path
    )
    wait_for(process.stdout, "epoch   1/2")
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    status, stdout, stderr = commands.finish(process)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == "done: run"


def test_a_run_whose_output_is_lost_goes_on(tmp_path):
    """Breaks if a log that nobody reads any more ends the run, or is written into its files."""
    words = [sys.executable, "-m", "unfair_bp.train", *small("c", "run")]
    line = " ".join(map(shlex.quote, words))
    status = subprocess.call(
        ["bash", "-o", "pipefail", "-c", f"{line} 1>&- 2>&-"],
        cwd=str(tmp_path),
        env=commands.environment(),
        stdout=subprocess.DEVNULL,
    )
    assert status == 0
    assert len(commands.metrics(tmp_path / "run")) == 1
    assert set(os.listdir(str(tmp_path / "run"))) == FILES


def test_a_run_whose_terminal_is_closed_goes_on(tmp_path):
    """Breaks if a progress bar that cannot be drawn any more ends the run."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # or bars have no room
    process = subprocess.Popen(
        [sys.executable, "-m", "unfair_bp.train", *small("c", "run")],
        cwd=str(tmp_path),
        env=commands.environment(),
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    while b"%|" not in shown:
        shown += os.read(master, 1000)  # an error if the run ends without a bar
    os.close(master)
    assert process.wait() == 0
    assert len(commands.metrics(tmp_path / "run")) == 1


def test_a_second_interrupt_does_not_wait():
    """Breaks if a hanging run cannot be ended with Ctrl-C, or the handler stays behind."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stopped_by_signals() as check:
        check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            check()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)  # does not last: the signal comes first
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGXCPU", 152)]
)
def test_signals_that_ask_to_stop(name, status):
    """Breaks if a batch system's signal kills a run unsaved, or a handler stays behind.

    All but Ctrl-C may come twice at once, as from ``timeout`` or a terminal that is closed.
    """
    number = getattr(signal, name)
    before = [signal.getsignal(stopping) for stopping in STOPPING]
    with stopped_by_signals() as check:
        check()
        for _ in range(1 if name == "SIGINT" else 2):
            os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as interrupt:
            check()
    assert interrupt.value.status == status
    assert [signal.getsignal(stopping) for stopping in STOPPING] == before


def test_ignored_signals_stay_ignored():
    """Breaks if a run under nohup, or in the background of a script, ends by such a signal."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPPING}
    try:
        with stopped_by_signals() as check:
            for number in STOPPING:
                os.kill(os.getpid(), number)
            check()
        assert {signal.getsignal(number) for number in STOPPING} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_handler_from_c_stays(monkeypatch):
    """Breaks if a handler that Python does not know is replaced, or ends a run in a TypeError."""
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(signal, "getsignal", lambda number: None)
        installed = []
        patched.setattr(signal, "signal", lambda *arguments: installed.append(arguments))
        with stopped_by_signals() as check:
            check()
    assert installed == []
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells")
def test_a_handler_of_faulthandler_stays(tmp_path):
    """Breaks if a signal that shows where a process hangs stops it, or does so after training."""
    with open(str(tmp_path / "shown"), "w") as file:
        faulthandler.register(signal.SIGTERM, file)
        try:
            with stopped_by_signals() as check:
                os.kill(os.getpid(), signal.SIGTERM)
                check()
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            faulthandler.unregister(signal.SIGTERM)
    assert (tmp_path / "shown").read_text().count("most recent call first") >= 2


@pytest.mark.parametrize("status", ["Name:\tpython\n", "Name:\tp\udcff\nSigCgt:\t0\n"])
def test_a_system_that_does_not_tell_its_handlers(tmp_path, monkeypatch, status):
    """Breaks if a process cannot train where its status lacks a line, or its name is no text."""
    path = tmp_path / "status"
    path.write_bytes(status.encode("utf-8", "surrogateescape"))
    monkeypatch.setattr(signals, "STATUS", str(path))
    with stopped_by_signals() as check:
        check()


def test_training_may_run_in_another_thread():
    """Breaks if the handler is installed where Python does not allow it."""
    failures = []

    def body():
        try:
            with stopped_by_signals() as check:
                check()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert failures == []


# --- the six cases


@pytest.mark.parametrize(
    ("case", "schedule", "augmented"),
    [
        ("a", "fair", False),
        ("b", "fair", True),
        ("c", "back", False),
        ("d", "back", True),
        ("e", "front", False),
        ("f", "front", True),
    ],
)
def test_every_case_trains(tmp_path, case, schedule, augmented):
    """Breaks if a case does not run, or its counts are not those of its schedule and batches.

    Layers without an update must keep their weights to the bit.
    """
    run = tmp_path / "run"
    assert commands.here(train.main, *small(case, run, "--train-size", "9")) == 0
    # With augmentation a batch of four has two of the nine images; the last has one, and its copy.
    batches = [4, 4, 4, 4, 2] if augmented else [4, 4, 1]
    (row,) = commands.metrics(run)
    counts = expected_updates(schedule, len(batches))
    assert [int(value) for value in row[5:]] == [
        len(batches),
        *counts,
        expected_flops(schedule, 0.05, batches),
    ]
    correct = float(row[2]) * sum(batches)
    assert correct == pytest.approx(round(correct), abs=1e-9)
    before, after = commands.weights(run, "weights_before.npz"), commands.weights(run)
    for count, old, new in zip(counts, before, after):
        assert np.array_equal(old, new) == (count == 0)


# --- directories in use


def test_an_existing_run_is_refused_and_left(finished, tmp_path, capfd):
    """Breaks if a second run writes into the directory of the first."""
    before = commands.snapshot(tmp_path)
    assert commands.here(train.main, *small("c", finished)) == 2
    assert "--overwrite" in one_line(capfd)
    assert commands.snapshot(tmp_path) == before


def test_overwrite_replaces_the_run(finished):
    """Breaks if something of the old run survives in the new one."""
    before = commands.weights(finished)
    words = small("a", finished, "--overwrite", "--seed", "1", "--train-size", "8")
    assert commands.here(train.main, *words) == 0
    assert set(os.listdir(str(finished))) == FILES
    (row,) = commands.metrics(finished)
    assert row[5] == "2"
    assert json.loads((finished / "config.json").read_text())["case"]["name"] == "a"
    assert not commands.same_bits(commands.weights(finished), before)
    assert checkpoints(finished) == [0, 2]


def test_resuming_a_finished_run_changes_no_result(finished):
    """Breaks if a run that is complete is trained further."""
    before = commands.snapshot(finished)
    assert commands.here(train.main, *small("c", finished, "--resume")) == 0
    after = commands.snapshot(finished)
    assert {name for name in before if after[name] != before[name]} <= {
        "command.txt",
        "weights_after.npz",  # an archive has the time in it
    }
    assert set(after) == set(before)


def test_a_run_says_itself_what_it_is(finished, tmp_path, capfd):
    """Breaks if resuming needs more than the directory, or takes another value than the run's."""
    twin = tmp_path / "twin"
    shutil.copytree(str(finished), str(twin))
    assert commands.here(train.main, *small("c", twin, "--resume"), "--epochs", "2") == 0
    capfd.readouterr()
    words = ["--resume", "--run-dir", finished, "--epochs", "2", "--no-plots"]
    assert commands.here(train.main, *words) == 0
    out, error = capfd.readouterr()
    assert error == ""
    lines = out.splitlines()
    assert lines[0].startswith("case c: back, per-step, seed 678, width 0.05, adam with ")
    # Fourteen images are four batches.
    assert lines[3] == "going on after 1 of 2 epochs, after iteration 4 of 8"
    assert [line[:11] for line in lines[4:]] == ["epoch   2/2", "done: " + str(finished)[:5]]
    assert commands.metrics(finished) == commands.metrics(twin)
    assert commands.same_bits(commands.weights(finished), commands.weights(twin))
    configs = [json.loads((run / "config.json").read_text()) for run in (finished, twin)]
    assert configs[0] == configs[1]


@pytest.mark.parametrize(
    "words",
    [
        "--case c",
        "--width 0.05",
        "--threads 1 --seed 678",
        "--schedule back",
        "--quick",
        "--case e",
    ],
)
def test_options_beside_resume_must_agree(finished, tmp_path, capfd, words):
    """Breaks if a run goes on although an option contradicts it, or not although all agree."""
    wrong = {"--quick": "--learning-rate 0.002", "--case e": "--case e"}.get(words)
    before = commands.snapshot(finished)
    arguments = ["--resume", "--run-dir", finished, "--no-plots", *words.split()]
    assert commands.here(train.main, *arguments) == (2 if wrong else 0)
    if wrong:
        then = {"--quick": "0.01", "--case e": "c"}[words]
        assert f"{wrong} is not what {finished} was started with, {then}; " in one_line(capfd)
        assert commands.snapshot(finished) == before


def test_a_run_that_an_earlier_version_named_goes_on(finished, capfd):
    """Breaks if runs whose letter was kept beside another schedule cannot be resumed."""
    commands.edit_config(finished, lambda config: config["case"].update(schedule="1-9;9"))
    words = [*small("c", finished, "--schedule", "1-9;9", "--resume"), "--epochs", "2"]
    assert commands.here(train.main, *words) == 0
    assert capfd.readouterr().out.startswith("schedule 1-9;9, per-step, ")
    stored = json.loads((finished / "config.json").read_text())["case"]
    assert (stored["name"], stored["epochs"]) == ("1-9;9", 2)
    assert commands.here(train.main, "--resume", "--run-dir", finished, "--case", "c") == 2
    assert "--case c is not what" in one_line(capfd)


def test_a_schedule_of_the_whole_run_is_not_extended(tmp_path, capfd):
    """Breaks if a schedule that depends on the number of iterations changes in mid-run."""
    run = tmp_path / "run"
    assert commands.here(train.main, *small("a", run, "--schedule", "freeze")) == 0
    capfd.readouterr()
    words = ["--resume", "--run-dir", run, "--no-plots"]
    assert commands.here(train.main, *words, "--epochs", "2") == 2
    assert "--epochs 2 is more than the 1 that" in one_line(capfd)
    assert commands.here(train.main, *words) == 0


# --- directories by default, and what is printed


@pytest.mark.parametrize(
    ("words", "directory"),
    [
        (["--schedule", "9;8-9"], "9_8-9_batch-size_4_"),
        (["--case", "a", "--protocol", "per-batch"], "case_a_protocol_per-batch_batch-size_4_"),
    ],
)
def test_where_a_run_goes(tmp_path, monkeypatch, capfd, words, directory):
    """Breaks if a schedule of one's own is run as case a, or in the place of another run."""
    monkeypatch.chdir(tmp_path)
    words = [*words, *commands.SMALL, "--batch-size", "4", "--epochs", "1"]
    assert commands.here(train.main, *words) == 0
    (run,) = (tmp_path / "logs").glob("*/seed678")
    assert run.parent.name.startswith(directory)
    case = json.loads((run / "config.json").read_text())["case"]
    assert case["name"] == ("a" if "a" in words else "9;8-9")
    capfd.readouterr()
    assert commands.here(train.main, *words) == 2
    assert f"{run.relative_to(tmp_path)} holds a run already" in one_line(capfd)
    more = [*words, "--epochs", "2", "--resume"]  # the same run, longer
    assert commands.here(train.main, *more) == 0
    assert commands.here(train.main, *words, "--seed", "1") == 0
    assert sorted(path.name for path in run.parent.iterdir()) == ["seed1", "seed678"]


@pytest.fixture
def untrained(monkeypatch):
    """Lets a command go as far as training."""

    def refuse(*arguments, **options):
        raise UsageError("enough")

    monkeypatch.setattr(training, "train", refuse)


@pytest.mark.parametrize("protocol", ["per-step", "per-batch"])
def test_few_lines_are_printed_before_the_first_epoch(tmp_path, capfd, protocol):
    """Breaks if a run hides its progress below tables, or --verbose has none."""
    words = ["--protocol", protocol, "--train-size", "36"]  # a cycle of nine batches
    assert commands.here(train.main, *small("c", tmp_path / "run", *words)) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line[:5] for line in lines[3:]] == ["epoch", "done:"]
    named = "case c: back" if protocol == "per-step" else "schedule back"
    assert lines[0] == (
        f"{named}, {protocol}, seed 678, width 0.05, adam with learning rate 0.01, batches of 4, "
        "1 epoch"
    )
    updates, cost = lines[1].split("; ")
    of = "iterations" if protocol == "per-step" else "rounds"
    assert updates == f"each layer is updated on 11.1 % to 100 % of the {of}"
    found = float(
        re.fullmatch(r"an iteration costs on average (\S+) times a fair one", cost).group(1)
    )
    assert (0.4 < found < 0.6) == (protocol == "per-step") and found < 3
    assert lines[2] == (
        f"training on 36 images of shapes, testing on 10; writing {tmp_path / 'run'}"
    )


def test_verbose(tmp_path, capfd, untrained):
    """Breaks if --verbose prints neither the settings nor the layers."""
    assert commands.here(train.main, *small("c", tmp_path / "run", "--verbose")) == 2
    text = capfd.readouterr().out
    assert re.search(r"^  schedule +back \(9 rows\)$", text, re.MULTILINE)
    assert re.search(r"^      9   1x1 .* 9$", text, re.MULTILINE)


# --- mistakes


def one_line(capfd):
    """The one line on standard error."""
    return checked(capfd.readouterr().err)


def checked(error):
    """What is on standard error, which must be the one line of a mistake."""
    assert "Traceback" not in error
    assert error.endswith("\n")
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert len(error) > len("error: \n")
    return error


BAD_INPUT = {
    "unknown case": ("--case g", "--case"),
    "odd batch": ("--augment --batch-size 5", "--batch-size 5"),
    "no channel": ("--width 0.001", "--width"),
    "width of nothing": ("--width 0", "--width"),
    "width nan": ("--width nan", "--width"),
    "epochs negative": ("--epochs -1", "--epochs -1"),
    "epochs zero": ("--epochs 0", "--epochs 0"),
    "epochs not a number": ("--epochs many", "'many'"),
    "epochs not whole": ("--epochs 2.5", "'2.5'"),
    "batch zero": ("--batch-size 0", "--batch-size 0"),
    "rate nan": ("--learning-rate nan", "--learning-rate nan"),
    "rate inf": ("--learning-rate inf", "--learning-rate inf"),
    "rate -inf": ("--learning-rate=-inf", "--learning-rate -inf"),
    "rate zero": ("--learning-rate 0", "--learning-rate 0"),
    "rate negative": ("--learning-rate -0.1", "--learning-rate -0.1"),
    "rate not a number": ("--learning-rate fast", "'fast'"),
    "beta one": ("--beta1 1", "--beta1 1"),
    "beta nan": ("--beta2 nan", "--beta2 nan"),
    "epsilon negative": ("--epsilon=-1e-8", "--epsilon -1e-08"),
    "seed negative": ("--seed -1", "--seed -1"),
    "seed large": ("--seed 4294967296", "--seed 4294967296"),
    "seed not a number": ("--seed 0x10", "'0x10'"),
    "threads negative": ("--threads -1", "--threads -1"),
    "train size zero": ("--train-size 0", "--train-size 0"),
    "test size negative": ("--test-size -5", "--test-size -5"),
    "unknown data": ("--data mnist", "--data 'mnist'"),
    "layer 0": ("--schedule 0", "'0'"),
    "layer 10": ("--schedule 9;8-10", "'8-10'"),
    "layers downwards": ("--schedule 9-8", "'9-8'"),
    "garbage schedule": ("--schedule ;;;", "--schedule"),
    "unknown schedule": ("--schedule sideways", "'sideways'"),
    "random schedule": ("--schedule random:10", "random:10"),
    "unknown option": ("--dropout 0.9", "--dropout"),
    "momentum of one": ("--momentum 1", "--momentum 1"),
    "unknown optimizer": ("--optimizer adagrad", "--optimizer 'adagrad'"),
    "abbreviated option": ("--over", "--over"),
    "no value": ("--seed", "--seed"),
    "resume and overwrite": ("--resume --overwrite", "--overwrite"),
    "resume of nothing": ("--resume", "no run to resume"),
    "no data": ("--data cifar10 --data-dir missing", "'missing'"),
    "data that is none": ("--data cifar10 --data-dir .", "'.'"),
    "a place for embedded data": ("--data-dir file", "'file' has no effect"),
    "run directory below a file": ("--run-dir file/run", "file/run"),
    "run directory is a file": ("--run-dir file", "file"),
    "run directory on no disk": ("--run-dir /proc/x", "/proc/x"),
    "run directory with a name too long": ("--run-dir " + "x" * 300, "File name too long"),
    "no run": ("--run-dir thesis", "thesis"),
    "overwrite no run": ("--run-dir thesis --overwrite", "thesis"),
    "resume no run": ("--run-dir thesis --resume", "thesis"),
    "overwrite another program's directory": ("--run-dir server --overwrite", "server"),
}


@pytest.mark.parametrize("name", sorted(BAD_INPUT))
def test_bad_input_is_one_line(tmp_path, monkeypatch, capfd, name):
    """Breaks if a mistake ends in a traceback, another status, or something on disk."""
    words, named = BAD_INPUT[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("text")
    for directory, file in (("thesis", "thesis.txt"), ("server", "config.json")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / file).write_text('{"years": 4}')
    before = commands.snapshot(tmp_path)
    assert commands.here(train.main, *small("a", "run"), *words.split()) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert named in checked(error)
    assert commands.snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "warnings"),
    [
        (
            "--case a --as-run",
            ["--as-run changes nothing: only the scripts of b to f had quirks; give their --case"],
        ),
        ("--case c --as-run", []),
        ("--case a", []),
        (
            "--case a --quirk collapsed-rounds --quirk imgaug-uint8 --quirk sum-loss",
            [
                "the quirk collapsed-rounds changes nothing in this run",
                "the quirk imgaug-uint8 changes nothing in this run",
            ],
        ),
        (
            "--case e --schedule 1-9 --as-run",
            ["the quirk collapsed-rounds changes nothing in this run"],
        ),
        ("--case e --schedule 1-8 --as-run", []),
        (
            "--case e --schedule 1-2;4;8-9",
            ["the schedule never updates layers 3,5-7: the initial weights stay"],
        ),
        (
            "--case e --schedule 1-8,9@0",
            ["the schedule never updates layer 9: the initial weights stay"],
        ),
        ("--case e --schedule 1-9;1-9 --as-run", []),
        ("--case b --quirk imgaug-uint8", []),
        ("--case c --quirk collapsed-rounds", []),
    ],
)
def test_what_changes_nothing_is_said(tmp_path, capfd, untrained, words, warnings):
    """Breaks if a quirk that was asked for has no effect and nobody is told, or if it has one.

    The same of a layer that is never updated.
    """
    letter, *more = words.split()[1:]
    assert commands.here(train.main, *small(letter, tmp_path / "run", *more)) == 2
    *said, error = capfd.readouterr().err.splitlines()
    assert said == ["warning: " + line for line in warnings]
    assert error == "error: enough"


def change_file(name, change):
    """Damage: replace the content of a file by a function of it, or remove it."""

    def damage(run):
        content = change((run / name).read_bytes())
        (run / name).unlink()
        if content is not None:
            (run / name).write_bytes(content)

    return damage


def remove_checkpoints(run):
    shutil.rmtree(str(run / "checkpoints"))


def cut_checkpoints(run):
    for path in (run / "checkpoints").glob("*.data-00000-of-00001"):
        path.write_bytes(path.read_bytes()[:-50])


# Each damage, more words for the command, and what the message names.
BAD_RUNS = {
    "another learning rate": (None, "--learning-rate 0.02", "--learning-rate 0.02 is not what"),
    "another case": (None, "--case a", "--case a is not what"),
    "another size": (None, "--train-size 15", "--train-size 15 is not what"),
    "another seed": (None, "--seed 1", "--seed 1 is not what"),
    "configuration cut off": (change_file("config.json", lambda b: b[:50]), "", "config.json"),
    "configuration empty": (change_file("config.json", lambda b: b""), "", "config.json"),
    "no data recorded": (
        lambda run: commands.edit_config(run, lambda config: config.pop("data")),
        "",
        "config.json",
    ),
    "other data": (
        lambda run: commands.edit_config(run, lambda config: config["data"].update(sha256="0")),
        "",
        "sha256",
    ),
    "metrics cut off": (change_file("metrics.csv", lambda b: b[:-3]), "", "metrics.csv"),
    "metrics missing": (change_file("metrics.csv", lambda b: None), "", "metrics.csv"),
    "no checkpoints": (remove_checkpoints, "", "no checkpoint"),
    "checkpoints cut off": (cut_checkpoints, "", "no other"),
}


@pytest.mark.parametrize("name", sorted(BAD_RUNS))
def test_a_run_that_cannot_go_on_is_one_line(finished, tmp_path, capfd, name):
    """Breaks if resuming a damaged or another run ends in a traceback, or changes the run."""
    damage, more, named = BAD_RUNS[name]
    if damage:
        damage(finished)
    before = commands.snapshot(tmp_path)
    words = [*small("c", finished, "--resume"), "--epochs", "2", *more.split()]
    assert commands.here(train.main, *words) == 2
    assert named in one_line(capfd)
    assert commands.snapshot(tmp_path) == before


def test_fewer_epochs_are_refused(finished, capfd):
    """Breaks if a run of more epochs than its configuration says could come about."""
    commands.edit_config(finished, lambda config: config["case"].update(epochs=2))
    assert commands.here(train.main, *small("c", finished, "--resume")) == 2
    assert "--epochs 1 is not what" in one_line(capfd)


@pytest.mark.parametrize(
    ("option", "size"), [("--train-size", 5 * 20), ("--test-size", 20)], ids=["train", "test"]
)
def test_sizes_beyond_the_data_are_refused(fake_cifar10, tmp_path, capfd, option, size):
    """Breaks if fewer images than asked for are taken in silence."""
    words = small("a", tmp_path / "run", "--data", "cifar10", "--data-dir", str(fake_cifar10(1)))
    assert commands.here(train.main, *words, option, size + 1) == 2
    assert capfd.readouterr().err == (
        f"error: {option} {size + 1} is more than the {size} images that CIFAR-10 has; "
        f"give at most {size}\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.fixture
def fake_cifar10(tmp_path, monkeypatch):
    """Makes directories in the format of CIFAR-10, with 20 images in each file."""
    cifar10 = sets.SETS["cifar10"]._replace(train_images=5 * 20, test_images=20)
    monkeypatch.setitem(sets.SETS, "cifar10", cifar10)

    def make(seed):
        directory = tmp_path / (f"data {seed}")
        directory.mkdir()
        random = np.random.RandomState(seed)
        for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
            rows = random.randint(0, 256, [20, 3073]).astype(np.uint8)
            rows[:, 0] %= 10
            (directory / (name + ".bin")).write_bytes(rows.tobytes())
        return directory

    return make


def test_resuming_on_other_data_is_refused(fake_cifar10, tmp_path, capfd):
    """Breaks if the second half of a run could be trained on other images than the first."""
    words = small("c", tmp_path / "run", "--data", "cifar10", "--data-dir")
    assert commands.here(train.main, *words, fake_cifar10(1)) == 0
    capfd.readouterr()
    before = commands.snapshot(tmp_path / "run")
    assert commands.here(train.main, *words, fake_cifar10(2), "--resume", "--epochs", "2") == 2
    error = capfd.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in error] == ["warning", "error"]
    assert "sha256" in error[1] and "give its --data-dir" in error[1]
    assert commands.snapshot(tmp_path / "run") == before


def test_mistakes_in_a_process_of_their_own(tmp_path):
    """Breaks if the command itself does not pass the status and the message on."""
    (tmp_path / "file").write_text("")
    for words in (["--case", "g"], ["--run-dir", "file/run"], ["--width", "x"]):
        status, _, stderr = commands.run(["-m", "unfair_bp.train", *words], tmp_path)
        assert status == 2
        assert re.fullmatch(r"error: [^\n]+\n", stderr)
    assert list(commands.snapshot(tmp_path)) == ["file"]


def test_a_signal_before_the_first_iteration_is_kept(tmp_path, capfd, monkeypatch):
    """Breaks if SIGTERM between the first checkpoint and the first iteration is not heard."""
    begin = training.Trainer._begin

    def begin_and_be_stopped(trainer, *arguments):
        begin(trainer, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(training.Trainer, "_begin", begin_and_be_stopped)
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("nobody listens"))
    try:
        assert commands.here(train.main, *small("c", tmp_path / "run")) == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "interrupted and saved" in capfd.readouterr().err
