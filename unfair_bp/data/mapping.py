"""A data set in one file that processes map, so that a machine holds its images once.

The file is an ``npy`` file of one record: the arrays of the data set, its name and its classes. It
is named by the SHA-256 of the record, which is checked whenever the file is read.
"""

import contextlib
import glob
import hashlib
import os
import time
import uuid
from typing import Iterable

import numpy as np

from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError
from unfair_bp.files import UNFINISHED

VARIABLE = "UNFAIR_BP_MAPPED"  # of the environment: the file from which training takes its images
STALE = 3600.0  # seconds after which nobody writes into an unfinished file
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
MALFORMED = (OSError, ValueError, KeyError, IndexError, TypeError)


def write(dataset: Dataset, directory: str) -> str:
    """Write a data set into a directory, unless it is there already and whole.

    Returns:
        The path of the file.

    Raises:
        OSError: If it cannot be written; nothing is left of it.
    """
    values = {name: getattr(dataset, name) for name in ARRAYS}
    values.update(name=np.array(dataset.name), classes=np.array(dataset.classes))
    path = os.path.join(directory, _file_name(values.values()))
    _remove_stale(path)
    with contextlib.suppress(UsageError):
        read(path)
        return path
    kinds = [(name, value.dtype, value.shape) for name, value in values.items()]
    os.makedirs(directory, exist_ok=True)
    head = {"descr": np.dtype(kinds).descr, "fortran_order": False, "shape": (1,)}
    beside = f"{path}.{uuid.uuid4().hex[:16]}{UNFINISHED}"  # machines may share the directory
    try:
        # Not through a map: writing to a map of a file on a full disk kills the process.
        with open(beside, "wb") as file:
            np.lib.format.write_array_header_1_0(file, head)
            for value in values.values():
                file.write(np.ascontiguousarray(value).data)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(beside)
        raise
    return path


def _remove_stale(path: str) -> None:
    """Remove what writers that were killed have left of a file."""
    for old in glob.glob(f"{glob.escape(path)}.*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            if time.time() - os.path.getmtime(old) > STALE:
                os.remove(old)


def read(path: str) -> Dataset:
    """Map a file that :func:`write` has written; its images are read as they are used.

    Raises:
        UsageError: If there is no such file, or it is damaged.
    """
    try:
        record = np.lib.format.open_memmap(path, "r")
        if _file_name([record]) != os.path.basename(path):
            raise ValueError("its checksum is wrong")
        arrays = {name: record[name][0] for name in ARRAYS}
        return Dataset(str(record["name"][0]), tuple(record["classes"][0].tolist()), **arrays)
    except (*MALFORMED, UsageError) as error:
        raise UsageError(
            f"{path} is not a whole data set ({error}); delete it, or run the sweep's command again"
        ) from error


def _file_name(parts: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
    return f"{digest.hexdigest()}.npy"
