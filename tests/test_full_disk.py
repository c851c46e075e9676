"""A disk that is full when a picture, events or the output are written: one line, nothing lost."""

import errno
import os
import shutil

import commands
import pytest

from unfair_bp import files, plots, train
from unfair_bp.errors import UsageError
from unfair_bp.running import tidying

WITH_PLOTS = [word for word in commands.SMALL if word != "--no-plots"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run with its pictures."""
    path = tmp_path_factory.mktemp("run") / "run"
    words = [*WITH_PLOTS, "--case", "b", "--epochs", "1", "--run-dir", path]
    assert commands.here(train.main, *words) == 0
    return path


def largest_but_pictures(run):
    """The size of a run's largest file that is no picture."""
    return max(
        path.stat().st_size
        for path in run.rglob("*")
        if path.is_file() and path.parent.name != "figures"
    )


def test_plots_on_a_full_disk(drawn, tmp_path):
    """Breaks if half a picture is left, an earlier one is lost, or the line says no way on."""
    shutil.copytree(str(drawn), str(tmp_path / "run"))
    pictures = sorted((tmp_path / "run" / "figures").iterdir(), key=lambda p: p.stat().st_size)
    assert len(pictures) == len(tidying.PICTURES)
    for path in pictures:
        path.write_bytes(b"an earlier picture")
    before = commands.snapshot(tmp_path)
    # Some pictures fit and some do not.
    whole = {path.name: (drawn / "figures" / path.name).read_bytes() for path in pictures}
    limit = len(whole[pictures[2].name]) - 1
    error = commands.with_quota("plots", limit, ["run"], tmp_path)
    assert "python -m unfair_bp.plots run" in error
    after = commands.snapshot(tmp_path)
    assert set(after) == set(before)
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"run/figures/" + path.name for path in pictures[:2]}
    assert all(after[name] == whole[name[len("run/figures/") :]] for name in changed)
    assert commands.here(plots.main, tmp_path / "run") == 0
    assert all(path.read_bytes() != b"an earlier picture" for path in pictures)


def test_training_whose_picture_fails_keeps_its_results(drawn, tmp_path):
    """Breaks if a run that has ended loses anything because a picture of it cannot be written."""
    largest = max(path.stat().st_size for path in (drawn / "figures").glob("*.png"))
    limit = largest_but_pictures(drawn) + 1000
    assert limit < largest, "the pictures must be what does not fit"
    words = [*WITH_PLOTS, "--case", "b", "--epochs", "1", "--run-dir", "run"]
    error = commands.with_quota("train", limit, words, tmp_path)
    assert "figures" in error and "python -m unfair_bp.plots run" in error
    left = set(commands.snapshot(tmp_path / "run"))
    figures = {name for name in left if name.startswith("figures/")}
    assert left - figures == {n for n in commands.snapshot(drawn) if not n.startswith("figures/")}
    assert all(name.endswith(".png") for name in figures)
    assert commands.metrics(tmp_path / "run") == commands.metrics(drawn)
    assert commands.same_bits(commands.weights(tmp_path / "run"), commands.weights(drawn))
    # With room again it can be drawn, and trained further.
    assert commands.here(plots.main, tmp_path / "run") == 0
    assert len(list((tmp_path / "run" / "figures").iterdir())) == len(tidying.PICTURES)
    words[words.index("--epochs") + 1] = "2"
    words[-1] = tmp_path / "run"
    assert commands.here(train.main, *words, "--no-plots", "--resume") == 0
    assert len(commands.metrics(tmp_path / "run")) == 2


def test_events_on_a_full_disk(drawn, tmp_path):
    """Breaks if a thread of TensorFlow's has tracebacks, or the run cannot go on."""
    words = [*commands.SMALL, "--case", "b", "--epochs", "1", "--run-dir", "run", "--tensorboard"]
    error = commands.with_quota("train", largest_but_pictures(drawn) + 1000, words, tmp_path)
    assert "TensorBoard's events" in error and "--resume" in error
    words[-2] = tmp_path / "run"
    assert commands.here(train.main, *words, "--resume") == 0
    assert commands.metrics(tmp_path / "run") == commands.metrics(drawn)


def test_output_on_a_full_disk(tmp_path):
    """Breaks if a log that cannot be written ends in a traceback, or in status 0."""
    # Unbuffered, the first line fails; otherwise the last flush does.
    for words in (["-u", "-m", "unfair_bp.schedule"], ["-m", "unfair_bp.schedule"]):
        with open("/dev/full", "w") as full:
            process = commands.start([*words, "--case", "c"], tmp_path, stdout=full)
            status, _, error = commands.finish(process)
        assert status == 2
        assert error.startswith("error: cannot write the output: No space left on device; ")
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    "name, stays", [("EINVAL", True), ("ENOSYS", True), ("ENOTSUP", True), ("EIO", False)]
)
def test_a_file_system_that_cannot_be_told_to_write(tmp_path, monkeypatch, name, stays):
    """Breaks if a run on such a file system is refused, or a broken disk is taken for one."""
    number = getattr(errno, name)

    def refuse(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if stays:
        files.write(str(tmp_path / "x"), b"content")
        assert commands.snapshot(tmp_path) == {"x": b"content"}
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            files.write(str(tmp_path / "x"), b"content")
        assert commands.snapshot(tmp_path) == {}


@pytest.mark.parametrize("link", [False, True])
def test_a_users_file_beside_is_left_alone(tmp_path, monkeypatch, link):
    """Breaks if writing a picture takes or follows a file of the user's with a similar name."""
    (tmp_path / "mine").write_bytes(b"mine")
    monkeypatch.setattr(files.uuid, "uuid4", lambda: files.uuid.UUID(int=7 << 64))
    mine = "x.png.0000000000000007.part"
    for name in ("x.png.part", mine):
        if link:
            (tmp_path / name).symlink_to("mine")
        else:
            (tmp_path / name).write_bytes(b"mine")
    before = commands.snapshot(tmp_path)
    with pytest.raises(UsageError, match=r"cannot write .*x\.png: File exists"):
        files.write_or_refuse(str(tmp_path / "x.png"), b"picture")
    assert commands.snapshot(tmp_path) == before
    (tmp_path / mine).unlink()
    files.write_or_refuse(str(tmp_path / "x.png"), b"picture")
    del before[mine]
    assert commands.snapshot(tmp_path) == {**before, "x.png": b"picture"}


def test_a_file_that_is_replaced_keeps_its_place_and_permissions(tmp_path):
    """Breaks if --overwrite puts a file in the place of a link, or opens a private file to all."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to("target")
    files.check(str(link), overwrite=True)
    files.write_or_refuse(str(link), b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    dangling = tmp_path / "dangling"
    dangling.symlink_to(os.path.join("missing", "x"))
    with pytest.raises(UsageError, match="missing is not a writable directory"):
        files.check(str(dangling), overwrite=True)


def test_a_data_set_on_a_full_disk(tmp_path):
    """Breaks if a sweep's images are written through a map: a full disk then kills the process."""
    script = (
        "import resource\n"
        "from unfair_bp.data import mapping, shapes\n"
        "data = shapes.load(30, 20)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))\n"
        "try:\n    mapping.write(data, 'cache')\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    assert commands.run(["-c", script], tmp_path) == (0, "File too large\n", "")
    assert os.listdir(str(tmp_path / "cache")) == []


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Breaks if a power cut could leave an empty picture in the place of an earlier one."""
    steps = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, lambda *paths, name=name: steps.append(name))
    files.write(str(tmp_path / "x"), b"content")
    assert steps == ["fsync", "replace"]
