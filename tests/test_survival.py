"""What may happen to a run: kills, full disks, a second process, numbers that explode."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import commands
import numpy as np
import pytest

from unfair_bp import evaluate, files, train
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.backprop.optimizers import Adam
from unfair_bp.errors import UsageError
from unfair_bp.running import epochs, evaluation, training
from unfair_bp.running.checkpoints import OWNER
from unfair_bp.running.directory import RunDirectory

PLACE = pathlib.Path(__file__).resolve().parent
# Saves after every iteration.
WORDS = [*commands.SMALL, "--case", "d", "--batch-size", "4", "--checkpoint-minutes", "1e-9"]

# A process that holds a lock until it is told to end.
HOLDER = """
import sys
from unfair_bp import files
with files.only_process(sys.argv[1], "is busy"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def one_line(capfd):
    """The one line on standard error."""
    error = capfd.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch, seven iterations, with its checkpoints of the last two saves."""
    path = tmp_path_factory.mktemp("trained") / "run"
    assert commands.here(train.main, *WORDS, "--epochs", "1", "--run-dir", path) == 0
    return path


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, which is as good a run: this is how runs are moved to another machine."""
    shutil.copytree(str(trained), str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run of two epochs that nothing happens to."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert commands.here(train.main, *WORDS, "--epochs", "2", "--run-dir", path) == 0
    return path


# --- kills


@pytest.mark.slow
@pytest.mark.parametrize("option", [[], ["--without-locks"]])
def test_kills_at_random_moments(option):
    """Breaks if a run that was killed and resumed ends otherwise than one that was left alone."""
    words = ["--kills", "4", "--images", "300", "--epochs", "3", *option]
    status, stdout, stderr = commands.run([PLACE / "fault_injection.py", *words], PLACE)
    print(stdout)
    assert status == 0, stdout + stderr
    assert stdout.splitlines()[-1] == "kills survived: 4 / 4"


def test_checkpoints_within_an_epoch(run):
    """Breaks if a long epoch is saved at its end only."""
    # Seven iterations, saved after each; then the end of the epoch, which is the seventh again.
    assert RunDirectory(str(run)).saved_steps() == [7, 6]


def test_a_run_killed_before_its_first_checkpoint_starts_anew(run):
    """Breaks if a kill in the first second leaves a directory that nothing can be done with."""
    before = commands.metrics(run), commands.weights(run)
    shutil.rmtree(str(run / "checkpoints"))
    for name in ("metrics.csv", "training.txt", "weights_after.npz", "command.txt"):
        (run / name).unlink()
    words = [*WORDS, "--epochs", "1", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 0
    assert commands.metrics(run) == before[0]
    assert commands.same_bits(commands.weights(run), before[1])


def test_a_directory_in_which_a_run_never_began_is_free(tmp_path):
    """Breaks if a kill in the first moment blocks the directory."""
    (tmp_path / "run").mkdir()
    for name in ("run.lock", "config.json.part"):
        (tmp_path / "run" / name).write_text("123\n")
    RunDirectory(str(tmp_path / "run")).check_free(resume=False, overwrite=False)
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not a run directory"):
        RunDirectory(str(tmp_path / "run")).check_free(resume=False, overwrite=False)


def test_what_a_killed_process_left_is_tidied_up(run):
    """Breaks if unfinished files stay in a run for ever."""
    before = set(commands.snapshot(run))
    (run / "metrics.csv.part").write_text("epoch,tr")
    (run / "checkpoints" / "model-99.data-00000-of-00001").write_bytes(b"x")
    words = [*WORDS, "--epochs", "1", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 0
    assert set(commands.snapshot(run)) == before


def test_a_damaged_checkpoint_costs_no_more_than_itself(run, whole, capfd):
    """Breaks if going back to the checkpoint before gives other results than never having to."""
    (run / "checkpoints" / "model-7.index").write_bytes(b"")
    capfd.readouterr()
    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 0
    assert "model-7 is damaged" in capfd.readouterr().err
    assert commands.metrics(run) == commands.metrics(whole)
    assert commands.same_bits(commands.weights(run), commands.weights(whole))


# --- what is in the checkpoints' directory


def test_a_new_run_is_never_given_another_ones_checkpoints(run, tmp_path, capfd):
    """Breaks if a run that is overwritten keeps the checkpoints of a longer one behind a link."""
    (run / "checkpoints").rename(tmp_path / "elsewhere")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    before = commands.snapshot(tmp_path)
    words = [*WORDS, "--run-dir", run]
    assert commands.here(train.main, *words, "--epochs", "1", "--overwrite") == 2
    assert "checkpoints is a link to " in one_line(capfd)
    assert commands.snapshot(tmp_path) == before
    # The run itself may go on with checkpoints that its user has moved.
    assert commands.here(train.main, *words, "--epochs", "2", "--resume") == 0
    assert (run / "checkpoints").is_symlink() and len(commands.metrics(run)) == 2


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A run like the others, but with another seed."""
    path = tmp_path_factory.mktemp("others") / "run"
    words = [*WORDS, "--epochs", "1", "--seed", "5", "--run-dir", path]
    assert commands.here(train.main, *words) == 0
    return path


@pytest.mark.parametrize("place", [shutil.copyfile, os.symlink])
def test_another_runs_checkpoint_is_passed_over(run, others, whole, capfd, place):
    """Breaks if a run goes on with what another run has learned, or deletes its checkpoint."""
    for path in (others / "checkpoints").glob("model-7.*"):
        place(str(path), str(run / "checkpoints" / path.name.replace("model-7", "model-99")))
    capfd.readouterr()
    assert commands.here(train.main, *WORDS, "--epochs", "2", "--run-dir", run, "--resume") == 0
    line = f"warning: the checkpoint {run}/checkpoints/model-99 is another run's; going back to "
    assert capfd.readouterr().err.startswith(line)
    assert commands.metrics(run) == commands.metrics(whole)
    assert commands.same_bits(commands.weights(run), commands.weights(whole))
    assert (run / "checkpoints" / "model-99.index").exists()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_another_runs_checkpoints_alone_are_one_line(run, others, capfd, command):
    """Breaks if a run whose checkpoints were replaced by another one's goes on or is evaluated."""
    shutil.rmtree(str(run / "checkpoints"))
    shutil.copytree(str(others / "checkpoints"), str(run / "checkpoints"))
    before = commands.snapshot(run)
    words = [*WORDS, "--epochs", "2", "--resume", "--run-dir"] if command == "train" else []
    main = train.main if command == "train" else evaluate.main
    capfd.readouterr()
    assert commands.here(main, *words, run) == 2
    error = one_line(capfd)
    assert error.count("is another run's") == 2 and "train again with --overwrite" in error
    assert commands.snapshot(run) == before


def test_a_run_from_before_runs_had_an_identity_goes_on(run, tmp_path, capfd):
    """Breaks if runs of earlier versions, whose checkpoints do not say whose they are, are lost."""
    commands.edit_config(run, lambda config: config.pop("identity"))
    with tf.Graph().as_default(), tf.Session() as session:
        reader = tf.train.load_checkpoint(str(run / "checkpoints" / "model-7"))
        names = set(reader.get_variable_to_shape_map()) - {OWNER}
        values = {name: tf.Variable(reader.get_tensor(name)) for name in names}
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(values)
        saver.save(session, str(run / "checkpoints" / "model-7"), write_meta_graph=False)
    assert commands.here(evaluate.main, run) == 0
    words = [*WORDS, "--epochs", "2", "--resume", "--run-dir", run]
    assert commands.here(train.main, *words) == 0
    assert len(commands.metrics(run)) == 2
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("option", ["--resume", "--overwrite"])
@pytest.mark.parametrize("name", ["weights_after.npz", "metrics.csv", "command.txt.part"])
def test_a_directory_in_the_place_of_a_file(run, capfd, option, name):
    """Breaks if it is met at the end of the run, or when half of the earlier run is deleted."""
    if (run / name).exists():
        (run / name).unlink()
    (run / name).mkdir()
    (run / name / "mine").write_text("mine")
    before = commands.snapshot(run)
    words = [*WORDS, "--epochs", "2", "--run-dir", run, option]
    assert commands.here(train.main, *words) == 2
    assert f"{name} is a directory, in the place of a file of the run; move it" in one_line(capfd)
    assert commands.snapshot(run) == before


@pytest.mark.parametrize("option", ["--resume", "--overwrite"])
def test_files_of_the_users_stay(run, option):
    """Breaks if resuming or overwriting deletes what the user has put beside the checkpoints."""
    users = run / "checkpoints" / "best"
    users.mkdir()
    (users / "model-7.index").write_text("mine")
    (run / "checkpoints" / "README.txt").write_text("mine")
    words = [*WORDS, "--epochs", "2", "--run-dir", run, option]
    assert commands.here(train.main, *words) == 0
    assert (users / "model-7.index").read_text() == "mine"
    assert (run / "checkpoints" / "README.txt").read_text() == "mine"
    assert RunDirectory(str(run)).saved_steps() == [14, 13]


def test_a_leftover_that_cannot_be_deleted_is_a_warning(run, capfd, monkeypatch):
    """Breaks if a file that a kill has left behind and that stays ends every later attempt."""
    stays = run / "checkpoints" / "model-99.data-00000-of-00001"
    stays.write_bytes(b"x")
    remove = os.remove

    def refuse(path):
        if path == str(stays):
            raise PermissionError(1, "Operation not permitted", path)
        remove(path)

    monkeypatch.setattr(os, "remove", refuse)
    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 0
    error = capfd.readouterr().err
    assert error == f"warning: cannot delete {stays}: Operation not permitted\n"


# --- signals


@pytest.mark.parametrize("moment", ["_save", "run.write_weights"])
def test_a_signal_in_the_last_moment(run, capfd, monkeypatch, moment):
    """Breaks if a request to stop is lost because the run has just ended; a sweep would go on."""
    owner = training.Trainer if moment == "_save" else RunDirectory
    name = moment.rpartition(".")[2]
    real = getattr(owner, name)

    def and_signal(self, *arguments):
        real(self, *arguments)
        if os.path.exists(str(run / "metrics.csv")) and len(commands.metrics(run)) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume", "--checkpoint-minutes", "9"]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, and_signal)
        assert commands.here(train.main, *words) == 143
    assert capfd.readouterr().err.startswith("interrupted and saved; go on with: ")
    assert len(commands.weights(run)) == 9 and len(commands.metrics(run)) == 2
    assert commands.here(train.main, *words) == 0


# --- numbers that explode


def test_divergence_stops_the_run(run, capfd, monkeypatch):
    """Breaks if a run goes on with weights that are no numbers, saves them, or has a traceback."""
    before = (run / "metrics.csv").read_bytes()
    real = training.training_batches

    def poisoned(*arguments):
        for number, batch in enumerate(real(*arguments)):
            yield batch._replace(images=batch.images * np.nan) if number == 3 else batch

    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume"]
    with monkeypatch.context() as patched:
        patched.setattr(training, "training_batches", poisoned)
        assert commands.here(train.main, *words) == 2
    error = one_line(capfd)
    assert "diverged in iteration 11: cost nan" in error
    assert "last good checkpoint is that of iteration 10" in error
    assert (run / "metrics.csv").read_bytes() == before
    assert RunDirectory(str(run)).saved_steps() == [10, 9]
    # What was poisoned was not saved.
    assert commands.here(train.main, *words) == 0
    assert len(commands.metrics(run)) == 2


def test_weights_are_looked_at_before_they_are_saved(run, capfd, monkeypatch):
    """Breaks if weights that an update has ruined replace good ones, for want of a look at them."""

    def ruin(adam, variables, w, dw, factor):
        ruined = variables.v.read_value() / 0
        return tf.group(variables.v.assign(ruined), variables.count.assign_add(1))

    monkeypatch.setattr(Adam, "update", ruin)
    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 2
    assert "not finite: " in one_line(capfd)
    assert RunDirectory(str(run)).saved_steps() == [7, 6]


# --- memory


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when\nallocating")]
)
def test_a_lack_of_memory_is_one_line(run, capfd, monkeypatch, error):
    """Breaks if batches that are too large end in pages of TensorFlow's, or cost a checkpoint."""

    def exhausted(*arguments, **named):
        raise error

    monkeypatch.setattr(epochs, "evaluate", exhausted)
    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 2
    line = one_line(capfd)
    assert "--batch-size 4 needs more memory than there is, at width 0.05; " in line
    assert RunDirectory(str(run)).saved_steps() == [14, 13]


def test_an_evaluation_that_lacks_memory_is_one_line(run, capfd, monkeypatch):
    """Breaks if it ends in pages of TensorFlow's."""

    def exhausted(*arguments, **named):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when\nallocating")

    monkeypatch.setattr(evaluation, "evaluate", exhausted)
    assert commands.here(evaluate.main, run) == 2
    assert f"evaluating {run} needs more memory than there is, at width 0.05; " in one_line(capfd)


# --- full disks


@pytest.mark.parametrize(("limit", "what"), [(20, "config.json"), (5000, "npz")])
def test_a_full_disk_is_one_line(tmp_path, limit, what):
    """Breaks if a file that cannot be written ends in a traceback, or half of it is left."""
    run = tmp_path / "run"
    words = [*WORDS, "--epochs", "1", "--run-dir", str(run)]
    assert what in commands.with_quota("train", limit, words, tmp_path)
    left = commands.snapshot(tmp_path)
    assert not any(name.endswith(".part") or ".temp" in name or ".tmp" in name for name in left)
    # With room again, the run can be had.
    words += ["--resume"] if (run / "config.json").exists() else []
    assert commands.here(train.main, *words) == 0
    assert len(commands.metrics(run)) == 1


def test_a_disk_that_fills_up_costs_no_result(run, whole, tmp_path):
    """Breaks if a checkpoint that cannot be written harms an earlier one, or the metrics."""
    before = commands.snapshot(run)
    words = [*WORDS, "--epochs", "2", "--run-dir", str(run), "--resume"]
    error = commands.with_quota("train", 5000, words, tmp_path)
    assert error.startswith("error: cannot write the checkpoint ")
    assert "(File too large)" in error  # not the name of one of TensorFlow's exceptions
    after = commands.snapshot(run)
    assert {name for name in after if before.get(name) != after[name]} <= {
        "command.txt",
        "config.json",  # it says two epochs now
    }
    assert commands.here(train.main, *words) == 0
    assert commands.metrics(run) == commands.metrics(whole)


# --- two processes


def hold(path):
    """Start a process that holds a lock, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env=commands.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    """Breaks if two processes hold it, the other's id is not told, or it survives its end."""
    path = str(tmp_path / "lock")
    process = hold(path)
    named = pytest.raises(UsageError, match=f"process {process.pid} is busy")
    with named, files.only_process(path, "is busy"):
        pass
    process.communicate("")
    assert not os.path.exists(path)
    with files.only_process(path, "is busy"):
        assert pathlib.Path(path).read_text() == f"{os.getpid()}\n"
    assert not os.path.exists(path)


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    """Breaks if a kill locks a directory for ever."""
    path = str(tmp_path / "lock")
    process = hold(path)
    process.kill()
    process.wait()
    assert os.path.exists(path)
    with files.only_process(path, "is busy"):
        assert pathlib.Path(path).read_text() == f"{os.getpid()}\n"


def test_a_file_that_is_no_lock_is_left_alone(tmp_path):
    """Breaks if a file of the user's that has the lock's name is emptied and deleted."""
    path = tmp_path / "lock"
    path.write_text("3 keys\n")
    refused = pytest.raises(UsageError, match="it is another file")
    with refused, files.only_process(str(path), "is busy"):
        pass
    assert path.read_text() == "3 keys\n"


def test_the_id_in_a_lock_is_its_owners_alone(tmp_path):
    """Breaks if the digits of a dead process with a longer id stay behind those of the new one."""
    path = tmp_path / "lock"
    path.write_text(f"{os.getpid()}99999\n")
    with files.only_process(str(path), "is busy"):
        assert path.read_text() == f"{os.getpid()}\n"


def test_threads_that_want_the_lock_take_turns(tmp_path):
    """Breaks if a lock file that its owner is just removing is held by two."""
    path, inside, most = str(tmp_path / "lock"), [], []

    def body():
        for _ in range(200):
            try:
                with files.only_process(path, "is busy"):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(1e-4)
                    inside.pop()
            except UsageError:
                pass

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) > 10
    assert os.listdir(str(tmp_path)) == []


def test_a_lock_that_somebody_removed_is_no_failure(tmp_path):
    """Breaks if tidying up by hand while a run trains ends it in a traceback."""
    with files.only_process(str(tmp_path / "lock"), "trains here"):
        (tmp_path / "lock").unlink()


def test_a_lock_that_another_process_has_made_meanwhile_stays(tmp_path):
    """Breaks if the first of two, whose file somebody removed, lets a third one in."""
    path = str(tmp_path / "lock")
    with files.only_process(path, "trains here"):
        os.remove(path)
        process = hold(path)
    assert os.path.exists(path) and files.is_locked(path)
    process.communicate("")


def test_without_locks_there_is_a_warning(tmp_path, capfd, monkeypatch):
    """Breaks if a system without locks cannot train, or is not warned."""
    monkeypatch.setattr(files, "fcntl", None)
    with files.only_process(str(tmp_path / "lock"), "trains here"):
        pass
    assert capfd.readouterr().err.startswith("warning: files cannot be locked here (")
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", ["ENOSYS", "EOPNOTSUPP", "ENOTSUP", "ENOLCK"])
def test_on_a_file_system_without_locks_there_is_a_warning(tmp_path, capfd, monkeypatch, name):
    """Breaks if a run on a network file system is refused, or its lock file is left."""
    _failing_locks(monkeypatch, getattr(errno, name))
    with files.only_process(str(tmp_path / "lock"), "trains here"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    error = capfd.readouterr().err
    assert error.startswith("warning: files cannot be locked here (") and error.count("\n") == 1
    assert os.listdir(str(tmp_path)) == []


def test_a_lock_that_fails_otherwise_is_one_line(tmp_path, monkeypatch):
    """Breaks if a broken disk is taken for a file system without locks."""
    _failing_locks(monkeypatch, errno.EIO)
    refused = pytest.raises(UsageError, match=r"cannot write .*lock: Input/output error")
    with refused, files.only_process(str(tmp_path / "lock"), "trains here"):
        pass


def _failing_locks(monkeypatch, number):
    """Let the system refuse every lock with this error."""

    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", flock)


def test_a_second_run_in_a_directory_is_refused(run, capfd):
    """Breaks if two processes write into one run."""
    before = commands.snapshot(run)
    process = hold(run / "run.lock")
    words = [*WORDS, "--epochs", "2", "--run-dir", run, "--resume"]
    assert commands.here(train.main, *words) == 2
    assert f"process {process.pid} is training in {run}" in one_line(capfd)
    process.communicate("")
    assert commands.snapshot(run) == before


def test_a_run_that_began_meanwhile_is_not_overwritten(run, capfd, monkeypatch):
    """Breaks if the last look at a directory comes before its lock."""
    monkeypatch.setattr(RunDirectory, "check_free", _under_lock(RunDirectory.check_free))
    before = commands.snapshot(run)
    assert commands.here(train.main, *WORDS, "--epochs", "1", "--run-dir", run) == 2
    assert "holds a run already" in one_line(capfd)
    assert commands.snapshot(run) == before


def _under_lock(check):
    """A check that lets everything pass as long as the directory is not locked."""

    def late(self, *arguments):
        if files.is_locked(self.file("run.lock")):
            check(self, *arguments)

    return late


# --- options


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "x"])
def test_bad_minutes_are_one_line(tmp_path, capfd, minutes):
    """Breaks if a run never saves, or a wrong number is a traceback."""
    words = [*commands.SMALL, "--run-dir", tmp_path / "run", "--checkpoint-minutes", minutes]
    assert commands.here(train.main, *words) == 2
    assert "--checkpoint-minutes" in one_line(capfd)
    assert not (tmp_path / "run").exists()
