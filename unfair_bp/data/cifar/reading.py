"""CIFAR-10 and CIFAR-100 from the files that are found, or else downloaded.

Official files are read in either form, unpacked or not. They are recognised by the checksum of the
very bytes that are then read, so that nothing made up reaches ``pickle`` or ``tarfile``. Files that
are not official are read in the binary form only, whose size is fixed. Nothing is unpacked to disk.
"""

import hashlib
import io
import os
import pickle
import stat
import sys
import tarfile
from dataclasses import replace
from functools import partial
from typing import Callable, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from unfair_bp.data.cifar import download
from unfair_bp.data.cifar.sets import CHANNELS, PIXEL_BYTES, SITE, SIZE, CifarSet, Form
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError

LARGEST = 180_000_000  # bytes of a pickle or an archive; the largest official one has 170,498,071

_ADVICE = (
    f"give another place with --data-dir: the official files of {SITE}/cifar.html, or a directory "
    "of your own files in the binary form"
)


class _UnusableError(Exception):
    """Files cannot be used; the text names them and says why."""


def load(cifar: CifarSet, data_dir: Optional[str] = None) -> Dataset:
    """Read a data set from where the user says, else from a cache, else download it.

    It is looked for in ``data_dir``, else in ``$UNFAIR_BP_DATA``, else in this package's cache and
    then Keras'. The first two, if given, must hold the data. Each may be the directory of the
    files, its parent, an archive, or a directory with an archive. The first place that holds the
    whole data set is read. Files that are not official are read with a warning on standard error,
    and `Dataset.name` says what they are.

    Args:
        cifar: Which of the data sets.
        data_dir: The value of ``--data-dir``, if given.

    Raises:
        UsageError: If there is nothing of use where the user says, or the download fails.
    """
    given = (("--data-dir", data_dir), ("$UNFAIR_BP_DATA", _environ("UNFAIR_BP_DATA")))
    for option, place in given:
        if place is not None:
            return _load_given(cifar, option, os.path.expanduser(place))
    cache = os.path.join(_environ("XDG_CACHE_HOME") or _home(".cache"), "unfair_bp")
    keras = os.path.join(_environ("KERAS_HOME") or _home(".keras"), "datasets")
    dataset, problems = _first_whole([*_readers(cifar, cache), *_readers(cifar, keras)])
    if dataset is None:
        path = os.path.join(cache, cifar.binary.archive)
        download.fetch(cifar.url, path, cifar.binary.archive_checksum)
        dataset, problems = _first_whole([partial(_read_archive, cifar, path)])
    return _result(dataset, problems)


def _environ(name: str) -> Optional[str]:
    """An environment variable; an empty one counts as unset."""
    return os.environ.get(name) or None


def _home(name: str) -> str:
    return os.path.join(os.path.expanduser("~"), name)


def _load_given(cifar: CifarSet, option: str, place: str) -> Dataset:
    """The data set at a place that the user has named; it is an error if there is none."""
    try:
        os.stat(place)
    except OSError as error:
        raise UsageError(
            f"{option} {place!r}: {error.strerror}; give the directory or archive of {cifar.name}, "
            "or leave it out to have it looked for in the caches, then downloaded"
        ) from error
    dataset, problems = _first_whole(_readers(cifar, place))
    if dataset is None and not problems:
        forms = (cifar.binary, cifar.pickled)
        expected = [*(form.directory for form in forms), *(form.archive for form in forms)]
        raise UsageError(
            f"{option} {place!r} does not hold {cifar.name}: expected its files, "
            f"{' or '.join(expected)}; get {cifar.url}"
        )
    return _result(dataset, problems)


def _result(dataset: Optional[Dataset], problems: List[str]) -> Dataset:
    """The data set, with a warning for each place that was passed over."""
    if dataset is None:
        raise UsageError(f"{problems[0]}; {_ADVICE}")
    for problem in problems:
        print(f"warning: {problem}; the data is read from elsewhere", file=sys.stderr)
    return dataset


_Reader = Callable[[], Optional[Dataset]]


def _readers(cifar: CifarSet, place: str) -> Iterator[_Reader]:
    """What may be at a place, as functions that read it, or give None if it is not there."""
    if os.path.isfile(place):
        yield partial(_read_archive, cifar, place)
        return
    forms = (cifar.binary, cifar.pickled)
    # Keras names the archive after the directory, and newer versions unpack it one level deeper.
    for form in forms:
        deeper = os.path.join(f"{form.directory}-target", form.directory)
        for directory in ("", form.directory, deeper):
            yield partial(_read_directory, cifar, form, os.path.join(place, directory))
    for form in forms:
        for name in (form.archive, f"{form.directory}.tar.gz", f"{form.directory}-target_archive"):
            yield partial(_read_archive, cifar, os.path.join(place, name))


def _first_whole(readers: Iterable[_Reader]) -> Tuple[Optional[Dataset], List[str]]:
    """The first data set that can be read, and what is wrong with the files before it."""
    problems: List[str] = []
    for read in readers:
        try:
            dataset = read()
        except _UnusableError as error:
            problems.append(str(error))
        else:
            if dataset is not None:
                return dataset, problems
    return None, problems


def _read_archive(cifar: CifarSet, path: str) -> Optional[Dataset]:
    """The data set of an official archive; None if there is nothing with that name."""
    if not os.path.lexists(path):
        return None
    raw = _content(path, LARGEST)
    for form in (cifar.binary, cifar.pickled):
        if _is_official(raw, form.archive_checksum):
            with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as tar:
                members = (tar.extractfile(f"{form.directory}/{name}") for name in form.files)
                return _dataset(cifar, form, (member.read() for member in members))
    raise _UnusableError(
        f"{path!r} is not an official archive of {cifar.name}: its checksum is neither "
        f"{cifar.binary.archive_checksum} nor {cifar.pickled.archive_checksum}"
    )


def _read_directory(cifar: CifarSet, form: Form, directory: str) -> Optional[Dataset]:
    """The data set of one form in a directory; None if the directory has none of its files."""
    try:
        entries = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(directory, error) from error
    missing = [name for name in form.files if name not in entries]
    if len(missing) == len(form.files):
        return None
    if missing:
        raise _UnusableError(f"{directory!r} is incomplete: {missing[0]} is missing")
    read = _read_binary_file if form is cifar.binary else _read_pickled_file
    contents, official = [], True
    for name in form.files:
        raw, is_official = read(cifar, name, os.path.join(directory, name))
        contents.append(raw)
        official = official and is_official
    dataset = _dataset(cifar, form, contents)
    if official:
        return dataset
    name = cifar.known.get(dataset.fingerprint(), f"{cifar.name} format, files not official")
    print(
        f"warning: the files in {directory!r} are not the official ones of {cifar.name}; "
        f"results are labelled {name!r}",
        file=sys.stderr,
    )
    return replace(dataset, name=name)


def _read_binary_file(cifar: CifarSet, name: str, path: str) -> Tuple[bytes, bool]:
    """The content of a binary file, and whether it is the official one."""
    *train, test = cifar.binary.files
    images = cifar.test_images if name == test else cifar.train_images // len(train)
    expected = images * (cifar.label_bytes + PIXEL_BYTES)
    raw = _content(path, expected)
    if len(raw) != expected:
        found = f"{len(raw)}" if len(raw) < expected else "more"
        raise _UnusableError(
            f"{path!r} is truncated or foreign: it has {found} bytes, expected {expected}"
        )
    _, labels = _decode_binary(cifar, raw)
    if labels.max() >= len(cifar.classes):
        raise _UnusableError(
            f"{path!r} is foreign: it has a label {labels.max()}, "
            f"expected 0 to {len(cifar.classes) - 1}"
        )
    return raw, _is_official(raw, cifar.binary.files[name])


def _read_pickled_file(cifar: CifarSet, name: str, path: str) -> Tuple[bytes, bool]:
    """The content of an official pickled file; no other is read, for a pickle may run code."""
    raw = _content(path, LARGEST)
    checksum = cifar.pickled.files[name]
    if not _is_official(raw, checksum):
        raise _UnusableError(
            f"{path!r} is not the official file of {cifar.name}: its checksum is not {checksum}"
        )
    return raw, True


def _content(path: str, most: int) -> bytes:
    """What a regular file holds, or its first ``most + 1`` bytes if it is larger."""
    try:
        # Asked before opening, because opening a pipe would wait for its other end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _UnusableError(f"{path!r} is not a regular file")
        with open(path, "rb") as file:
            # Python reserves memory for all that is asked for: no more than there is.
            return file.read(min(os.fstat(file.fileno()).st_size, most) + 1)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> _UnusableError:
    return _UnusableError(f"{path!r} cannot be read: {error.strerror or type(error).__name__}")


def _is_official(raw: bytes, checksum: str) -> bool:
    """Whether bytes have a checksum that is written ``algorithm:digest``."""
    algorithm, _, digest = checksum.partition(":")
    return hashlib.new(algorithm, raw).hexdigest() == digest


def _dataset(cifar: CifarSet, form: Form, contents: Iterable[bytes]) -> Dataset:
    """The data set whose files of one form have these contents, training files first."""
    decode = _decode_binary if form is cifar.binary else _decode_pickled
    images, labels = [], []
    for raw in contents:
        rows, file_labels = decode(cifar, raw)
        # A row holds the whole image in red, then in green, then in blue.
        planes = rows.reshape(-1, CHANNELS, SIZE, SIZE)
        images.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
        labels.append(file_labels.copy())
    return Dataset(
        name=cifar.name,
        classes=cifar.classes,
        train_images=np.concatenate(images[:-1]),
        train_labels=np.concatenate(labels[:-1]),
        test_images=images[-1],
        test_labels=labels[-1],
    )


def _decode_binary(cifar: CifarSet, raw: bytes) -> Tuple[np.ndarray, np.ndarray]:
    """Rows, uint8 ``[n, 3072]``, and labels, uint8 ``[n]``, of a file in the binary form."""
    rows = np.frombuffer(raw, np.uint8).reshape(-1, cifar.label_bytes + PIXEL_BYTES)
    return rows[:, cifar.label_bytes :], rows[:, cifar.label_bytes - 1]


def _decode_pickled(cifar: CifarSet, raw: bytes) -> Tuple[np.ndarray, np.ndarray]:
    """Rows, uint8 ``[n, 3072]``, and labels, uint8 ``[n]``, of an official pickle."""
    record = pickle.loads(raw, encoding="bytes")  # Python 2 wrote them: strings are bytes
    return record[b"data"], np.array(record[cifar.label_key], np.uint8)
