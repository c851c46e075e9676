"""Bad data sets: damaged, hostile, half-extracted, and what a download may meet."""

import functools
import threading

import cifar_files
import test_cifar
import test_download
import test_hostile_data
from bad_input_groups import group
from cifar_files import write, write_archive

from unfair_bp import train
from unfair_bp.data.cifar import download, sets

DATA_WORDS = ["--case", "a", "--run-dir", "new", "--data-dir"]


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
        yield f"cut at {part:g}", functools.partial(cut_archive, part)
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


def half_extracted(spoil, at):
    """Official files, one of which is spoilt, beside half of an archive."""
    directory = write(at.path / "data" / "cifar-10-batches-py", form_name="pickled")
    spoil(directory)
    (at.path / "data" / "cifar-10-python.tar.gz").write_bytes(b"half")
    return train.main, [*DATA_WORDS, "data"]


def only_two(directory):
    for path in directory.iterdir():
        if path.name not in ("data_batch_1", "data_batch_2"):
            path.unlink()


def in_its_place(make, directory):
    """Something else in the place of a file."""
    (directory / "data_batch_3").unlink()
    make(directory / "data_batch_3")


HALF_EXTRACTED = {
    "two files of six": only_two,
    "an empty file": lambda place: (place / "test_batch").write_bytes(b""),
    "a directory for a file": functools.partial(in_its_place, lambda path: path.mkdir()),
    "a link to nothing": functools.partial(in_its_place, lambda path: path.symlink_to("gone")),
    "a link to itself": functools.partial(
        in_its_place, lambda path: path.symlink_to("data_batch_3")
    ),
}


@group("half-extracted data")
def half_extracted_data():
    for name, spoil in HALF_EXTRACTED.items():
        yield name, functools.partial(half_extracted, spoil)


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
