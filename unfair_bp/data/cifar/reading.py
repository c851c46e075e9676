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
import tarfile
from dataclasses import replace
from functools import partial
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from unfair_bp.console import warn
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
    keras = os.path.join(_environ("KERAS_HOME") or _home(".keras"), "datasets")
    dataset, problems = _first_whole([*_readers(cifar, cache()), *_readers(cifar, keras)])
    if dataset is None:
        from unfair_bp.data.cifar import download  # noqa: PLC0415 - most need no download

        path = os.path.join(cache(), cifar.binary.archive)
        download.fetch(cifar.url, path, cifar.binary.archive_checksum)
        dataset, unusable = _first_whole([partial(_read_archive, cifar, path)])
        if dataset is None:  # it was there before
            raise UsageError(f"{unusable[0]}; delete it to have it downloaded again, or {_ADVICE}")
    return _result(dataset, problems)


def cache() -> str:
    """The directory for this package's large files."""
    return os.path.join(_environ("XDG_CACHE_HOME") or _home(".cache"), "unfair_bp")


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
            "or leave it out to search the caches and then download it"
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
        warn(f"{problem}; the data is read from elsewhere")
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
        below = os.path.join(place, form.directory)
        deeper = os.path.join(f"{below}-target", form.directory)
        for directory in (place, below, deeper):
            yield partial(_read_directory, cifar, form, directory)
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
    checksum = _checksum("md5", raw)
    for form in (cifar.binary, cifar.pickled):
        if checksum == form.archive_checksum:
            with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as tar:
                members = (tar.extractfile(f"{form.directory}/{name}") for name in form.files)
                return _dataset(cifar, [_decode(cifar, form, file.read()) for file in members])
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
    files = [read(cifar, name, os.path.join(directory, name)) for name in form.files]
    dataset = _dataset(cifar, files)
    if all(file.official for file in files):
        return dataset
    name = cifar.known.get(dataset.fingerprint(), f"{cifar.name} format, files not official")
    warn(
        f"the files in {directory!r} are not the official ones of {cifar.name}; results are "
        f"labelled {name!r}"
    )
    return replace(dataset, name=name)


class _File(NamedTuple):
    """What one file holds."""

    images: np.ndarray  # uint8 [n, 32, 32, 3]
    labels: np.ndarray  # uint8 [n]
    official: bool = True


def _read_binary_file(cifar: CifarSet, name: str, path: str) -> _File:
    """A file in the binary form, official or not."""
    *train, test = cifar.binary.files
    images = cifar.test_images if name == test else cifar.train_images // len(train)
    expected = images * (cifar.label_bytes + PIXEL_BYTES)
    raw = _content(path, expected)
    if len(raw) < expected:
        raise _UnusableError(f"{path!r} is truncated: it has {len(raw)} bytes, expected {expected}")
    file = _decode(cifar, cifar.binary, raw)
    largest = file.labels.max()
    if largest >= len(cifar.classes):
        raise _UnusableError(
            f"{path!r} is not of {cifar.name}: it has a label {largest}, "
            f"expected 0 to {len(cifar.classes) - 1}"
        )
    return file._replace(official=_is_official(raw, cifar.binary.files[name]))


def _read_pickled_file(cifar: CifarSet, name: str, path: str) -> _File:
    """An official pickled file; no other is read, because a pickle may run code."""
    raw = _content(path, LARGEST)
    checksum = cifar.pickled.files[name]
    if not _is_official(raw, checksum):
        raise _UnusableError(
            f"{path!r} is not the official file of {cifar.name}: its checksum is not {checksum}"
        )
    return _decode(cifar, cifar.pickled, raw)


def _content(path: str, most: int) -> bytes:
    """What a regular file holds, which may be this many bytes."""
    try:
        # Asked before opening, because opening a pipe would wait for its other end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise _UnusableError(f"{path!r} is not a regular file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise _UnusableError(f"{path!r} has {size} bytes, expected at most {most}")
            return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> _UnusableError:
    return _UnusableError(f"{path!r} cannot be read: {error.strerror or type(error).__name__}")


def _checksum(algorithm: str, raw: bytes) -> str:
    """The checksum of bytes as the table writes it."""
    return f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}"


def _is_official(raw: bytes, checksum: str) -> bool:
    algorithm, _, _ = checksum.partition(":")
    return _checksum(algorithm, raw) == checksum


def _decode(cifar: CifarSet, form: Form, raw: bytes) -> _File:
    """Images and labels of a file: in the binary form, or an official one in the pickled form."""
    if form is cifar.binary:
        table = np.frombuffer(raw, np.uint8).reshape(-1, cifar.label_bytes + PIXEL_BYTES)
        rows, labels = table[:, cifar.label_bytes :], table[:, cifar.label_bytes - 1].copy()
    else:
        record = pickle.loads(raw, encoding="bytes")  # Python 2 wrote them: strings are bytes
        rows, labels = record[b"data"], np.array(record[cifar.label_key], np.uint8)
    # A row holds the whole image in red, then in green, then in blue.
    planes = rows.reshape(-1, CHANNELS, SIZE, SIZE)
    return _File(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _dataset(cifar: CifarSet, files: List[_File]) -> Dataset:
    """The data set of these files, training files first."""
    *train, test = files
    return Dataset(
        name=cifar.name,
        classes=cifar.classes,
        train_images=np.concatenate([file.images for file in train]),
        train_labels=np.concatenate([file.labels for file in train]),
        test_images=test.images,
        test_labels=test.labels,
    )
