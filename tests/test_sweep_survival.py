"""Sweeps whose workers, scheduler or own process are killed, on this machine's loopback."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import time

import commands
import psutil
import pytest

from unfair_bp.running.directory import RunDirectory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs processes that end with another"),
]
KILLS, EPOCHS = 20, 10
PATIENCE = 900  # seconds for anything to happen
# Each run trains for some seconds and is saved about every second.
WORDS = [
    *("-m", "unfair_bp.sweep", *commands.SMALL, "--case", "c", "d", "--train-size", "400"),
    *("--batch-size", "4", "--epochs", str(EPOCHS), "--checkpoint-minutes", "0.02"),
]
FEW, ALL = ["--seed", "0"], ["--seed", "0-3"]


def sweep(root, *words):
    """Start a sweep in a process of its own."""
    return commands.start([*WORDS, *words, "--root", root], root.parent)


def finish(process):
    """Wait until a sweep ends; returns its status, standard output and standard error."""
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.terminate()
        raise
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The directory of a sweep of eight runs that nothing has disturbed, and its seconds."""
    root = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    status, stdout, stderr = finish(sweep(root, *ALL))
    assert status == 0, stdout + stderr
    return root, time.monotonic() - started


def assert_same(root, other, count):
    """Every run below a directory has the bits of the same run below the other."""
    runs = [path.parent.relative_to(str(root)) for path in root.rglob("config.json")]
    assert len(runs) == count
    for run in runs:
        assert commands.metrics(root / run) == commands.metrics(other / run)
        assert commands.same_bits(commands.weights(root / run), commands.weights(other / run))
    assert not list(root.rglob("*.part")) and not list(root.rglob("sweep.*"))


def training(root):
    """The training processes of a sweep: those whose command names a directory below its root."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            ours = "unfair_bp.train" in line and f"{root}/" in line
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(condition, sweeping=None):
    """Wait for something to become true, while a sweep goes on if one is given."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        if sweeping is not None and sweeping.poll() is not None:
            stdout, stderr = sweeping.communicate()
            raise AssertionError("the sweep ended too early: " + stdout + stderr)
        time.sleep(0.05)


def finished_epochs(root):
    """The epochs that the runs of a sweep have finished."""
    paths = [str(path.parent) for path in root.rglob("metrics.csv")]
    return sum(len(RunDirectory(path).read_metrics()) for path in paths)


def saved(root, count):
    """Whether so many runs of a sweep have been saved while they trained."""
    steps = [RunDirectory(str(path.parent)).saved_steps() for path in root.rglob("config.json")]
    return sum(max(found, default=0) > 0 for found in steps) >= count


class Machines:
    """A scheduler and workers, each a process on the loopback interface.

    Args:
        place: A directory for what they leave behind.
        workers: Their number.
    """

    def __init__(self, place, workers):
        self._place = place
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler, self.workers = None, []
        self.start_scheduler()
        for _ in range(workers):
            self.start_worker()

    def _start(self, *words):
        with (self._place / "machines.txt").open("ab") as output:
            return psutil.Popen(
                [sys.executable, "-m", *words],
                cwd=str(self._place),
                env=commands.environment(),
                stdout=output,
                stderr=output,
            )

    def start_scheduler(self):
        words = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start("distributed.cli.dask_scheduler", *words)

    def start_worker(self):
        words = [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        words += ["--host", "127.0.0.1", "--local-directory", str(self._place)]
        self.workers.append(self._start("distributed.cli.dask_worker", *words))

    def kill_worker(self, number):
        """Kill a worker, the next time the same one's successor."""
        worker = self.workers.pop(number)
        worker.kill()
        worker.wait()

    def stop(self):
        for process in [*self.workers, self.scheduler]:
            with contextlib.suppress(psutil.Error):
                process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path):
    """Starts machines that are stopped at the end of the test."""
    place = tmp_path / "machines"
    place.mkdir()
    with contextlib.ExitStack() as stack:

        def start(workers):
            started = Machines(place, workers)
            stack.callback(started.stop)
            return started

        yield start


def test_workers_are_killed(tmp_path, machines, undisturbed):
    """Breaks if a sweep whose workers are killed at random ends otherwise, or leaves processes."""
    expected, seconds = undisturbed
    draw = random.Random(20)
    cluster = machines(2)
    root = tmp_path / "sweep"
    process = sweep(root, *ALL, "--scheduler", cluster.address)
    wait_until(lambda: training(root), process)
    for kill in range(1, KILLS + 1):
        # After a while, but sooner if the sweep is so fast that it would end before all kills.
        end = time.monotonic() + draw.uniform(0.0, 2 * seconds / KILLS)
        while time.monotonic() < end and finished_epochs(root) < 8 * EPOCHS * kill / (KILLS + 2):
            time.sleep(0.05)
        assert process.poll() is None, "the sweep ended before all kills"
        cluster.kill_worker(draw.randrange(2))
        cluster.start_worker()
    status, stdout, stderr = finish(process)
    assert status == 0, stdout + stderr
    assert training(root) == []
    assert_same(root, expected, 8)
    logs = [path.read_text() for path in root.rglob("seed*.log")]
    attempts = sum(log.count("$ python -m unfair_bp.train") for log in logs)
    kept = sum(log.count("interrupted and saved") for log in logs)
    print(f"{KILLS} kills of workers, {attempts} attempts at 8 runs, {kept} stopped while training")
    assert attempts > 8


def test_the_scheduler_is_killed(tmp_path, machines, undisturbed):
    """Breaks if a scheduler takes the runs, or the sweep's way on, with it."""
    expected, _ = undisturbed
    cluster = machines(2)
    root = tmp_path / "sweep"
    words = [*FEW, "--scheduler", cluster.address]
    process = sweep(root, *words)
    wait_until(lambda: saved(root, 2), process)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    status, stdout, stderr = finish(process)
    assert status == 2 and stderr.count("\n") == 1, stdout + stderr
    assert stderr.startswith("error: the connection to the scheduler is lost")
    wait_until(lambda: training(root) == [])
    cluster.start_scheduler()
    cluster.start_worker()
    status, stdout, stderr = finish(sweep(root, *words))
    assert status == 0, stdout + stderr
    assert_same(root, expected, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("with_scheduler", [False, True], ids=["here", "scheduler"])
def test_the_sweep_is_stopped(tmp_path, machines, undisturbed, number, with_scheduler):
    """Breaks if a sweep that is stopped does not save all runs, or cannot go on."""
    expected, _ = undisturbed
    root = tmp_path / "sweep"
    words = [*FEW, "--scheduler", machines(2).address] if with_scheduler else FEW
    process = sweep(root, *words)
    wait_until(lambda: saved(root, 2), process)
    process.send_signal(number)
    status, stdout, stderr = finish(process)
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 128 + number, stdout + stderr
        assert "every run is saved" in stderr and training(root) == []
        logs = [path.read_text() for path in root.rglob("seed*.log")]
        stopped = ["interrupted and saved" in log for log in logs]
        # On a busy machine one of the two may just have ended.
        assert any(stopped) and sum(stopped) + sum("\ndone: " in log for log in logs) == 2
    # Of a killed sweep on a cluster, runs may still be going on; its successor takes over.
    status, stdout, stderr = finish(sweep(root, *words))
    assert status == 0, stdout + stderr
    assert training(root) == []
    assert_same(root, expected, 2)
