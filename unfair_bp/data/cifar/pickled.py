"""The pickled form of a CIFAR-10 batch, read without running anything that the pickle asks for.

What the pickle describes is built of plain objects by :mod:`.unpickle`, checked here, and
only then does NumPy see it.

Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from typing import Any, Tuple

import numpy as np

from unfair_bp.data.cifar import unpickle

ROW_BYTES = 3072

_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}
_MAX_ROWS = 1 << 31  # far beyond any file, so that an absurd count stays out of messages


def decode(raw: bytes) -> Tuple[np.ndarray, np.ndarray]:
    """Rows and labels of one pickled batch.

    Args:
        raw: The whole file: a pickled dictionary with ``data``, a uint8 array ``[n, 3072]``, and
            ``labels``, a list of ``n`` integers. Python 2 wrote the official files, so their
            strings are bytes.

    Returns:
        Rows, uint8 ``[n, 3072]`` and read-only, and labels, uint8 ``[n]``.

    Raises:
        ValueError: If it is anything else; the text continues a sentence about the file.
    """
    try:
        record = unpickle.load(raw, _NAMES)
        return _rows(_entry(record, "data")), _labels(_entry(record, "labels"))
    except unpickle.ForeignPickleError as error:
        raise ValueError("is not a pickled CIFAR-10 batch: it %s" % error) from error


def _entry(record: Any, name: str) -> Any:
    """The value of a key, however the key is written: str, bytes, or bytes as Python 3 does it."""
    if type(record) is not unpickle.Record:
        raise unpickle.ForeignPickleError("holds no dictionary")
    for key, value in reversed(record.items):  # of equal keys, the last one counts
        if _is_text(key, name) or _is_text(_encoded_text(key), name):
            return value
    raise unpickle.ForeignPickleError("has no entry %r" % name)


def _is_text(value: Any, text: str) -> bool:
    """Whether a string of Python 3, or of Python 2, is this ASCII text."""
    return value == text if type(value) is str else value == text.encode("ascii")


def _encoded_text(value: Any) -> Any:
    """The text of bytes that were pickled as ``_codecs.encode(text, "latin1")``, else None."""
    if not _is_call(value, "encode", 2):
        return None
    text, encoding = value.arguments
    return text if type(text) is str and _is_text(encoding, "latin1") else None


def _is_call(value: Any, kind: str, arguments: int) -> bool:
    """Whether it is a call of this function, with so many arguments."""
    return type(value) is unpickle.Call and value.kind == kind and len(value.arguments) == arguments


def _rows(array: Any) -> np.ndarray:
    """The array whose pickled state is (version, shape, dtype, is Fortran-ordered, bytes)."""
    if not _is_call(array, "array", 3) or type(array.state) is not tuple or len(array.state) != 5:
        raise unpickle.ForeignPickleError("has no array as 'data'")
    _, shape, dtype, fortran, content = array.state
    if not _is_call(dtype, "dtype", 3) or not _is_text(dtype.arguments[0], "u1"):
        raise unpickle.ForeignPickleError("has 'data' of another type than uint8")
    if not _is_matrix_shape(shape):
        raise unpickle.ForeignPickleError("has 'data' of another shape than [n, %d]" % ROW_BYTES)
    text = _encoded_text(content)
    size = shape[0] * ROW_BYTES
    if text is not None and len(text) == size:
        # A character beyond latin-1 makes it too long.
        content = text.encode("latin-1", "xmlcharrefreplace")
    if type(content) is not bytes or len(content) != size:
        raise unpickle.ForeignPickleError("has 'data' without the %d bytes of its shape" % size)
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _is_matrix_shape(shape: Any) -> bool:
    return (
        type(shape) is tuple
        and len(shape) == 2
        and all(type(size) is int for size in shape)
        and 0 <= shape[0] < _MAX_ROWS
        and shape[1] == ROW_BYTES
    )


def _labels(labels: Any) -> np.ndarray:
    if type(labels) is not list or not all(type(v) is int and 0 <= v <= 255 for v in labels):
        raise unpickle.ForeignPickleError("has no list of small integers as 'labels'")
    return np.array(labels, np.uint8)
