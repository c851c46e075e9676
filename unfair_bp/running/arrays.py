"""Named arrays as the bytes of an npz file, and read again from a file that may be damaged."""

import io
import warnings
import zipfile
from typing import Dict

import numpy as np

from unfair_bp.errors import UsageError


def as_npz(arrays: Dict[str, np.ndarray]) -> bytes:
    """Return the content of an npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def from_npz(path: str) -> Dict[str, np.ndarray]:
    """Read the arrays of an npz file in its order.

    Raises:
        Exception: One of a dozen kinds, of zipfile, zlib and NumPy, if the file is damaged.
    """
    arrays = {}
    # Not with np.load: old versions of it print a traceback about a bad zip file.
    with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a header is Python code, about which Python may warn
        for member in archive.namelist():
            content = io.BytesIO(archive.read(member))
            arrays[member[: -len(".npy")]] = np.lib.format.read_array(content)
    return arrays


def read(path: str) -> Dict[str, np.ndarray]:
    """The named arrays of an npz file.

    Raises:
        UsageError: If the file cannot be read.
    """
    try:
        return from_npz(path)
    except Exception as error:  # zipfile, zlib and the parser of headers have a dozen kinds
        raise UsageError(
            f"{path} is damaged ({type(error).__name__}: {error}); remove it, or give another run "
            "directory"
        ) from error
