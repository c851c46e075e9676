"""Run directories: what is written is read back, and nothing is lost or overwritten unasked."""

import os
from dataclasses import replace
from pathlib import Path

import commands
import numpy as np
import pytest

from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.cases import CASES
from unfair_bp.running import directory
from unfair_bp.running.configuration import configuration
from unfair_bp.running.directory import RunDirectory
from unfair_bp.running.metrics import EpochMetrics, author_summary, layer_metrics
from unfair_bp.running.tables import as_csv

CASE = replace(CASES["c"], epochs=3, seed=7)
IMAGES = np.arange(2 * 32 * 32 * 3).reshape(2, 32, 32, 3).astype(np.uint8)
DATASET = Dataset("drawings", ("x", "y"), IMAGES, np.array([0, 1]), IMAGES[:1], np.array([1]))
CONFIG = configuration(CASE, DATASET)


def epoch(number):
    """A row whose values are all different, some without a short decimal form."""
    return EpochMetrics(
        epoch=number,
        train_cost=2.0 / 3.0 + number,
        train_accuracy=0.1 + 0.2,
        test_cost=1e-17,
        test_accuracy=1.0 / 7.0,
        seconds=1234567.875,
        iterations=5000 * number,
        updates=tuple(range(number, number + 9)),
        flops=2**63 + number,
    )


@pytest.fixture
def run(tmp_path):
    """A run that has been started and has finished two epochs."""
    directory = RunDirectory(str(tmp_path / "logs" / "run"))
    directory.create(CONFIG, "record\n")
    directory.write_metrics([epoch(1), epoch(2)])
    return directory


# --- metrics.csv


def test_metrics_read_back_as_written(run):
    """Breaks if a column is lost or swapped, floats are rounded, or a type changes."""
    rows = run.read_metrics()
    assert rows == [epoch(1), epoch(2)]
    assert [list(map(type, row)) for row in rows] == [list(map(type, epoch(1)))] * 2
    assert {type(count) for count in rows[0].updates} == {int}


def test_metrics_have_a_column_for_each_layer(run):
    """Breaks if the header does not name the columns in the order of the values."""
    with open(run.file("metrics.csv")) as file:
        header, first = file.readline().strip(), file.readline().strip()
    updates = [f"updates_layer_{number}" for number in range(1, 10)]
    before = ["epoch", "train_cost", "train_accuracy", "test_cost", "test_accuracy", "seconds"]
    assert header.split(",") == [*before, "iterations", *updates, "flops"]
    assert first.split(",")[6:] == ["5000", *"123456789", str(2**63 + 1)]


def test_results_on_held_out_images_are_columns_of_their_own(tmp_path):
    """Breaks if they are lost or swapped, or change the columns that programs know."""
    run = RunDirectory(str(tmp_path))
    run.create(configuration(replace(CASE, validation_size=1), DATASET), "record\n")
    rows = [epoch(n)._replace(validation_cost=0.7, validation_accuracy=0.6) for n in (1, 2)]
    run.write_metrics(rows)
    assert run.read_metrics() == rows
    lines, without = as_csv(rows).splitlines(), as_csv([epoch(1), epoch(2)]).splitlines()
    assert lines == [
        without[0] + ",validation_cost,validation_accuracy",
        *(line + ",0.7,0.6" for line in without[1:]),
    ]


@pytest.mark.parametrize(
    ("held_out", "change"),
    [
        (None, {"validation_cost": 0.7, "validation_accuracy": 0.6}),
        (1, {}),
        (1, {"validation_cost": 0.7}),
        (None, {"validation_accuracy": 0.6}),
        (1, {"validation_cost": 0.7, "validation_accuracy": 1.6}),
        (1, {"validation_cost": -0.7, "validation_accuracy": 0.6}),
        (1, {"validation_cost": 1e300, "validation_accuracy": 0.6}),
        (None, {"updates": (1, 2)}),
    ],
)
def test_metrics_of_another_case_are_refused(tmp_path, held_out, change):
    """Breaks if a run could go on with rows that lack a column or have one too many."""
    run = RunDirectory(str(tmp_path))
    run.create(configuration(replace(CASE, validation_size=held_out), DATASET), "record\n")
    run.write_metrics([epoch(1)._replace(**change)])
    with pytest.raises(UsageError, match=r"metrics\.csv is damaged"):
        run.read_metrics()


def test_a_run_without_finished_epochs_has_no_metrics(tmp_path):
    """Breaks if resuming a run that was stopped in its first epoch fails on the missing file."""
    assert RunDirectory(str(tmp_path)).read_metrics() == []


def test_numpys_numbers_are_written_as_numbers(run):
    """Breaks if a row says np.float64(0.5), which is how NumPy 2 spells its numbers."""
    row = epoch(1)._replace(train_cost=np.float64(0.1), flops=np.int64(5))
    run.write_metrics([row])
    assert as_csv([row]).splitlines()[1].split(",")[1] == "0.1"
    assert run.read_metrics() == [row]


def test_lines_of_the_table_end_as_text_does(run):
    """Breaks if metrics.csv has the ends of lines that the csv module writes by itself."""
    content = commands.snapshot(run.path)["metrics.csv"]
    assert content.count(b"\n") == 3 and b"\r" not in content


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "epoch\n1"),
        (str(2**63 + 2) + "\n", "92233"),  # cut off within the last number
        ("," + str(2**63 + 2) + "\n", "\n"),  # a value is missing
        ("flops", "flop"),
        ("epoch,", ""),
        ("\n1,", "\nx,"),
        ("\n1,", "\n3,"),
        ("\n2,", "\n3,"),
        ("\n2,", "\n2,2,"),
        ("\n2,", "\n" + 200000 * "2" + ","),  # beyond what the csv module takes
        ("\n2,", "\n2\0,"),
        ("0.30000000000000004", "\udcff"),
    ],
    ids=lambda text: repr(text[:10]),
)
def test_damaged_metrics_are_refused(run, old, new):
    """Breaks if a damaged row is dropped, guessed, or ends in another exception."""
    with open(run.file("metrics.csv")) as file:
        text = file.read()
    assert old in text
    text = text.replace(old, new) if old else new
    with open(run.file("metrics.csv"), "w", errors="surrogateescape") as file:
        file.write(text)
    with pytest.raises(UsageError, match=r"metrics\.csv is damaged"):
        run.read_metrics()


def test_unreadable_metrics_are_refused(run):
    """Breaks if something else in the place of the file ends in a traceback."""
    os.remove(run.file("metrics.csv"))
    os.mkdir(run.file("metrics.csv"))
    with pytest.raises(UsageError, match="damaged"):
        run.read_metrics()


# --- training.txt


def test_summary_is_the_authors_to_the_character():
    """Breaks on any other space, digit or line than the author's logs have."""
    row = epoch(1)._replace(
        train_cost=2.12549, train_accuracy=0.39712, test_cost=1.98217, test_accuracy=0.568
    )
    assert author_summary(row, 1e-4) == (
        "---------- Learning Rate :  0.0001\n"
        " Using grad:  1 Train Current cost:  2.12549  Current Acc:  0.39712\n"
        "Test Current cost:  1.98217  Current Acc:  0.568\n"
        "----------\n"
    )


def test_training_txt_has_a_summary_of_each_epoch(run):
    """Breaks if epochs are missing, in another order, or under another learning rate."""
    with open(run.file("training.txt")) as file:
        text = file.read()
    assert text == "".join(author_summary(epoch(n), 1e-4) for n in (1, 2))


# --- weights


def test_weights_read_back_as_written(run):
    """Breaks if layers are numbered from 0, reordered, or change type."""
    weights = [np.float32(np.random.RandomState(n).randn(1, 1, n, 2)) for n in range(1, 12)]
    run.write_weights("weights_after.npz", weights)
    with np.load(run.file("weights_after.npz")) as archive:
        assert sorted(archive.files) == sorted(f"layer_{n}" for n in range(1, 12))
        for n, weight in enumerate(weights, start=1):
            read = archive[f"layer_{n}"]
            assert read.dtype == weight.dtype
            np.testing.assert_array_equal(read, weight)


# --- writing


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_files(run, monkeypatch, fails):
    """Breaks if a file is written in its place, where a full disk would leave half of it."""

    def full(*paths):
        raise OSError(28, "No space left on device")

    before = commands.snapshot(run.path)
    monkeypatch.setattr(os, fails, full)
    for write in (
        lambda: run.write_metrics([epoch(1)]),
        lambda: run.write_config({"case": "another"}),
        lambda: run.reopen(CONFIG, "again"),
    ):
        with pytest.raises(UsageError, match=r"No space.*--resume"):
            write()
    after = commands.snapshot(run.path)
    assert {name: after[name] for name in before} == before


def test_writing_leaves_nothing_beside_the_files(run):
    """Breaks if the file that is renamed into place stays, or files that nobody documents."""
    run.write_weights("weights_before.npz", [])
    run.write_weights("weights_after.npz", [])
    run.write_arrays("examples.npz", {})
    run.write_layers([layer_metrics(0, [np.ones(2)], [np.ones(2)])])
    assert set(os.listdir(run.path)) == {*directory.FILES, "checkpoints"}


def settings(run):
    """The configuration without the identity, which is another in each run."""
    return {name: value for name, value in run.read_config().items() if name != "identity"}


def test_each_run_has_an_identity(run):
    """Breaks if a resumed run is a new one, or a new run passes for the one before."""
    first = run.identity()
    assert first.shape == (16,) and first.any()
    run.reopen(CONFIG, "second record\n")
    assert np.array_equal(run.identity(), first)
    run.create(CONFIG, "record\n")
    assert run.identity().any() and not np.array_equal(run.identity(), first)
    run.write_config(CONFIG)  # as an earlier version has it
    run.reopen(CONFIG, "record\n")
    assert not run.identity().any()


@pytest.mark.parametrize("identity", ["", "zz" * 16, "00" * 15, 5, None])
def test_an_identity_that_was_edited_is_refused(run, identity):
    """Breaks if it ends in another exception."""
    commands.edit_config(run.path, lambda config: config.update(identity=identity))
    with pytest.raises(UsageError, match=r"config\.json is damaged"):
        run.read_config()


def test_create_replaces_the_run_and_nothing_else(run):
    """Breaks if a new run inherits epochs or checkpoints, or removes what is not a run's."""
    own = ["checkpoints/checkpoint", "checkpoints/model-3.index", "figures/curves.png"]
    own += ["weights_after.npz", "tensorboard/events.out.tfevents.1000000000.0"]
    users = {"notes.txt", "checkpoints/README.txt", "checkpoints/best/model-9.index"}
    users |= {"checkpoints/model-3.txt", "figures/mine.png"}
    for name in [*own, *users]:
        os.makedirs(os.path.dirname(run.file(name)), exist_ok=True)
        with open(run.file(name), "w"):
            pass
    run.create(dict(CONFIG, extra=1), "other record\n")
    left = commands.snapshot(run.path)
    assert {name for name in left if left[name] is not None} == {
        "config.json",
        "command.txt",
        *users,
    }
    assert set(left) - users == {
        *("config.json", "command.txt", "checkpoints", "checkpoints/best", "figures")
    }
    assert left["command.txt"] == b"other record\n"
    assert settings(run) == dict(CONFIG, extra=1)


@pytest.mark.parametrize("name", ["checkpoints", "figures", "tensorboard"])
def test_a_run_does_not_begin_in_another_ones_directory(run, tmp_path, name):
    """Breaks if a new run keeps the checkpoints behind a link, or deletes what a link points to."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "model-9000.index").write_text("another run's")
    if os.path.isdir(run.file(name)):
        os.rmdir(run.file(name))
    os.symlink(str(other), run.file(name))
    before = commands.snapshot(tmp_path)
    for begin in (
        lambda: run.check_free(resume=False, overwrite=True),
        lambda: run.create(CONFIG, "record\n"),
    ):
        with pytest.raises(UsageError, match=f"{name} is a link to .*other, .*another run's"):
            begin()
    assert commands.snapshot(tmp_path) == before
    run.check_free(resume=True, overwrite=False)  # its own directory may have been moved


def test_a_link_among_the_files_is_not_followed(run, tmp_path):
    """Breaks if deleting or writing a file changes what a link in its place points to."""
    target = tmp_path / "thesis.txt"
    target.write_text("years of work")
    for name in ("metrics.csv", "config.json", "run.lock", "checkpoints/model-3.index"):
        if os.path.exists(run.file(name)):
            os.remove(run.file(name))
    run.write_config(CONFIG)
    for name in ("metrics.csv", "run.lock", "checkpoints/model-3.index"):
        os.symlink(str(target), run.file(name))
    with pytest.raises(UsageError, match=r"cannot write .*run\.lock"), run.lock():
        pass
    os.symlink(str(tmp_path), run.file("checkpoints/model-4.index"))
    run.create(CONFIG, "record\n")
    run.write_metrics([epoch(1)])
    assert target.read_text() == "years of work"
    assert os.listdir(run.file("checkpoints")) == []


def test_an_earlier_checkpoint_that_stays_stops_the_new_run(run, monkeypatch, capfd):
    """Breaks if the new run could be resumed or evaluated from the old one's weights."""
    with open(run.file("checkpoints/model-3.index"), "w"):
        pass
    _keep(monkeypatch, "model-3.index")
    with pytest.raises(UsageError, match="still has checkpoints of the earlier run"):
        run.create(CONFIG, "record\n")
    assert capfd.readouterr().err.startswith("warning: cannot delete ")


def test_what_cannot_be_deleted_is_a_warning(run, monkeypatch, capfd):
    """Breaks if a file that a killed process left behind keeps a run from being resumed."""
    with open(run.file("checkpoints/model-3.data-00000-of-00001"), "w"):
        pass
    os.mkdir(run.file("metrics.csv.part"))
    _keep(monkeypatch, "model-3.data-00000-of-00001")
    run.reopen(CONFIG, "second record\n")
    assert [line.split(": ")[:2] for line in capfd.readouterr().err.splitlines()] == [
        ["warning", "cannot delete " + run.file("metrics.csv.part")],
        ["warning", "cannot delete " + run.file("checkpoints/model-3.data-00000-of-00001")],
    ]


@pytest.mark.parametrize("name", ["metrics.csv", "command.txt", "weights_after.npz"])
def test_a_directory_in_the_place_of_a_file_is_one_line(run, name):
    """Breaks if overwriting ends in a traceback, or deletes the directory."""
    if os.path.exists(run.file(name)):
        os.remove(run.file(name))
    os.mkdir(run.file(name))
    with pytest.raises(UsageError, match=f"cannot delete .*{name} of the earlier run"):
        run.create(CONFIG, "record\n")
    assert os.path.isdir(run.file(name))


def test_a_record_that_is_a_directory_is_one_line(run):
    """Breaks if resuming ends in a traceback."""
    os.remove(run.file("command.txt"))
    os.mkdir(run.file("command.txt"))
    with pytest.raises(UsageError, match=r"cannot write .*command\.txt: Is a directory"):
        run.reopen(CONFIG, "record\n")


def _keep(monkeypatch, kept):
    """Let the system refuse to delete a file of this name."""
    remove = os.remove

    def refuse(path):
        if os.path.basename(path) == kept:
            raise PermissionError(1, "Operation not permitted", path)
        remove(path)

    monkeypatch.setattr(os, "remove", refuse)


def test_create_in_a_place_that_vanished_is_one_line(run):
    """Breaks if a directory that cannot be made after all ends in a traceback."""
    blocked = RunDirectory(run.file("config.json") + "/run")
    with pytest.raises(UsageError, match=r"cannot write .*config\.json/run: .*another --run-dir"):
        blocked.create(CONFIG, "record")


def test_a_run_that_goes_on_has_no_final_weights(run, monkeypatch):
    """Breaks if the weights of a shorter training pass for those after the last epoch."""
    config, path = run.read_config(), Path(run.file("weights_after.npz"))
    path.write_bytes(b"weights")
    run.reopen(config, "again")
    assert path.exists()
    config["case"]["epochs"] += 1
    monkeypatch.setattr(run, "_write_record", None)  # what comes after it fails
    with pytest.raises(TypeError):
        run.reopen(config, "longer")
    assert not path.exists()


def test_what_was_not_finished_of_a_picture_is_the_packages_own(run):
    """Breaks if a kill while pictures are drawn leaves a file that --overwrite cannot remove."""
    figures = Path(run.file("figures"))
    figures.mkdir()
    for name in ("curves.png", "curves.png.part", "curves.png.12ab.part"):
        (figures / name).write_bytes(b"")
    run.create(run.read_config(), "again")
    assert not figures.exists()


def test_reopen_adds_to_the_record(run):
    """Breaks if resuming forgets how the run was started, or keeps the old configuration."""
    grown = configuration(replace(CASE, epochs=9), DATASET)
    run.reopen(grown, "second record\n")
    assert commands.snapshot(run.path)["command.txt"] == b"record\n\nsecond record\n"
    assert settings(run) == grown
    os.remove(run.file("command.txt"))
    run.reopen(grown, "third record\n")
    assert commands.snapshot(run.path)["command.txt"] == b"third record\n"


def test_a_record_may_hold_what_is_no_character(run):
    """Breaks if a --data-dir whose name is not UTF-8 ends in a traceback, or is not as typed."""
    run.reopen(CONFIG, os.fsdecode(b"--data-dir \xff\n"))
    assert commands.snapshot(run.path)["command.txt"].endswith(b"\n--data-dir \xff\n")
    run.create(CONFIG, os.fsdecode(b"--data-dir \xff\n"))
    assert commands.snapshot(run.path)["command.txt"] == b"--data-dir \xff\n"


# --- may a run be written here?


def test_a_run_needs_resume_or_overwrite(run):
    """Breaks if a run is replaced without being asked, or cannot be replaced or resumed at all."""
    with pytest.raises(UsageError, match=r"holds a run already.*--resume.*--overwrite"):
        run.check_free(resume=False, overwrite=False)
    run.check_free(resume=True, overwrite=False)
    run.check_free(resume=False, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_and_empty_directories_are_free(tmp_path, overwrite):
    """Breaks if a run cannot be written where nothing is; also if asking creates something."""
    for path in (tmp_path, tmp_path / "a" / "b" / "c"):
        RunDirectory(str(path)).check_free(resume=False, overwrite=overwrite)
    assert commands.snapshot(tmp_path) == {}


@pytest.mark.parametrize("where", ["", "missing"])
def test_nothing_to_resume(tmp_path, where):
    """Breaks if --resume starts a new run in silence."""
    with pytest.raises(UsageError, match="no run to resume"):
        RunDirectory(str(tmp_path / where)).check_free(resume=True, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_refused(tmp_path, overwrite):
    """Breaks if --overwrite may destroy a directory of another kind, a file, or a dead link."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = commands.snapshot(tmp_path / "directory")
    for name in ("directory", "file", "link"):
        with pytest.raises(UsageError, match="is not a run directory"):
            RunDirectory(str(tmp_path / name)).check_free(resume=False, overwrite=overwrite)
    assert commands.snapshot(tmp_path / "directory") == before


def test_another_programs_configuration_is_not_overwritten(tmp_path):
    """Breaks if any directory with a config.json counts as a run that may be replaced."""
    (tmp_path / "config.json").write_text('{"server": "localhost"}')
    with pytest.raises(UsageError, match=r"config\.json"):
        RunDirectory(str(tmp_path)).check_free(resume=False, overwrite=True)


@pytest.mark.parametrize("below", ["run", "a/b/run"])
def test_a_place_below_a_file_is_refused(tmp_path, below):
    """Breaks if it is found out only when the first file is written."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a writable directory"):
        RunDirectory(str(tmp_path / "file" / below)).check_free(resume=False, overwrite=False)


def test_a_place_without_permission_is_refused(tmp_path, monkeypatch):
    """Breaks if it is found out only when the first file is written."""

    def refused(path, *mode):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", refused)  # root may write everywhere
    with pytest.raises(UsageError, match=r"is not a writable directory \(Permission denied\)"):
        RunDirectory(str(tmp_path / "run")).check_free(resume=False, overwrite=False)


def test_trying_a_place_leaves_nothing(tmp_path):
    """Breaks if the directory with which a place is tried out stays, or the run's is made."""
    RunDirectory(str(tmp_path / "a" / "run")).check_free(resume=False, overwrite=False)
    assert list(tmp_path.iterdir()) == []


# --- is it the same run?


def test_the_same_run_may_go_on(run):
    """Breaks if a run cannot be resumed as it was started, or not for more epochs."""
    run.check_same(CONFIG)
    run.check_same(configuration(replace(CASE, epochs=4), DATASET))


def test_a_schedule_that_spans_the_run_cannot_be_made_longer(tmp_path):
    """Breaks if the second part of a run follows another schedule than the first."""
    run, case = RunDirectory(str(tmp_path)), replace(CASE, schedule="freeze")
    run.create(configuration(case, DATASET), "record\n")
    run.check_same(configuration(case, DATASET))
    with pytest.raises(FieldError, match=r"^epochs 4 is more than the 3 that .* its schedule"):
        run.check_same(configuration(replace(case, epochs=4), DATASET))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 2),
        ("schedule", "9;8-9"),
        ("augment", True),
        ("batch_size", 20),
        ("learning_rate", 2e-4),
        ("beta1", 0.8),
        ("beta2", 0.8),
        ("epsilon", 1e-7),
        ("seed", 8),
        ("width", 0.5),
        ("data", "shapes"),
        ("train_size", 1),
        ("test_size", 1),
        ("validation_size", 1),
        ("threads", 1),
        ("name", "d"),
    ],
)
def test_another_configuration_is_refused(run, field, value):
    """Breaks if a run could be continued with a setting that it was not started with."""
    other = dict(CONFIG, case=dict(CONFIG["case"], **{field: value}))
    with pytest.raises(UsageError, match=f"^{field} .* is not what .* was started with, "):
        run.check_same(other)


@pytest.mark.parametrize("array", ["train_images", "train_labels", "test_images", "test_labels"])
def test_other_data_is_refused(run, array):
    """Breaks if a run could be continued on data of which one value differs."""
    values = getattr(DATASET, array).copy()
    values.flat[-1] ^= 1
    with pytest.raises(UsageError, match="sha256"):
        run.check_same(configuration(CASE, replace(DATASET, **{array: values})))


# --- config.json


def test_configuration_reads_back_as_written(run):
    """Breaks if a field of the case or a fact about the data is not saved."""
    assert settings(run) == CONFIG
    assert type(CASE)(**run.read_config()["case"]) == CASE
    assert set(CONFIG["data"]) == {"name", "training_images", "test_images", "sha256"}
    assert (CONFIG["data"]["training_images"], CONFIG["data"]["test_images"]) == (2, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.pop("case"),
        lambda config: config.pop("data"),
        lambda config: config["data"].pop("sha256"),
        lambda config: config["data"].pop("name"),
        lambda config: config.update(data=None),
        lambda config: config.update(case=[1]),
        lambda config: config["case"].update(momentum=2.0),
        lambda config: config["case"].update(epochs="3"),
        lambda config: config["case"].update(schedule=3),
        lambda config: config["case"].update(width=-1.0),
    ],
)
def test_damaged_configuration_is_refused(run, change):
    """Breaks if a missing or impossible value is accepted or ends in another exception."""
    commands.edit_config(run.path, change)
    with pytest.raises(UsageError, match=r"config\.json is damaged"):
        run.read_config()


def test_a_newer_versions_field_is_named_and_ignored(run, capfd):
    """Breaks if a run of a newer version cannot be read, or is read in silence or resumed."""
    commands.edit_config(
        run.path, lambda config: config["case"].update(weight_decay=0.1, dropout=0)
    )
    run = RunDirectory(run.path)
    for _ in range(2):
        assert settings(run) == CONFIG
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"warning: {run.file('config.json')} was written by a newer version")
    assert error.endswith(" ignores 'weight_decay', 'dropout'\n")
    with pytest.raises(
        UsageError, match=r"newer version, with 'weight_decay', 'dropout'; resume it"
    ):
        run.check_same(CONFIG)


def test_newer_fields_of_a_network_are_named_and_ignored(run, capfd):
    """Breaks if a run whose layers have one more field is called damaged, or is resumed."""

    def add(config):
        config["case"]["architecture"]["mixup"] = 0.1
        for layer in config["case"]["architecture"]["layers"]:
            layer["dropout"] = 0.5

    before = run.read_config()
    commands.edit_config(run.path, add)
    run = RunDirectory(run.path)
    assert run.read_config() == before
    names = "'architecture.mixup', 'architecture.layers.dropout'"
    assert capfd.readouterr().err.endswith(f" ignores {names}\n")
    with pytest.raises(UsageError, match=f"newer version, with {names}; resume it"):
        run.check_same(CONFIG)


def test_a_newer_versions_columns_are_ignored(run):
    """Breaks if metrics with one more column are called damaged."""
    before = run.read_metrics()
    with open(run.file("metrics.csv")) as file:
        header, *rows = file.read().splitlines()
    with open(run.file("metrics.csv"), "w") as file:
        file.write("\n".join([header + ",brier", *(row + ",0.5" for row in rows), ""]))
    assert run.read_metrics() == before


@pytest.mark.parametrize("content", [b"", b'{"case": {', b"[]", b"null", b"\xff\xfe", b"\0"])
def test_configuration_that_is_no_object_is_refused(run, content):
    """Breaks if a truncated or foreign file ends in another exception."""
    with open(run.file("config.json"), "wb") as file:
        file.write(content)
    with pytest.raises(UsageError, match=r"config\.json is damaged"):
        run.read_config()
