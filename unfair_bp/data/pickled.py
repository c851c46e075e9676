"""The pickled form of a CIFAR-10 batch, read without running anything that the pickle asks for.

A pickle is a program for a small stack machine that may import and call whatever it likes. A
CIFAR-10 batch needs four names only, so those are all that is admitted, and even they are not the
real ones: objects of this module stand in for them and write down what they are given. What is
written down is checked, and only then does NumPy see it.

Format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
import pickletools
from typing import Any, Tuple

import numpy as np

ROW_BYTES = 3072

_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}

# What pickle writes for a dictionary of strings, bytes, integers, lists and one array.
_OPCODES = frozenset(
    (
        *("PROTO", "FRAME", "STOP", "MARK", "REDUCE", "BUILD", "GLOBAL", "STACK_GLOBAL"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1"),
        *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"),
        *("SHORT_BINUNICODE", "BINUNICODE"),
        *("BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"),
    )
)

# The unpickler allocates its memo up to the highest index it is told, and hashing tuples within
# tuples recurses in C. A batch of 10,000 images needs, for each file name, at most three entries
# and one tuple.
_MAX_MEMO = 100_000
_MAX_TUPLES = 20_000


class _Stored:
    """What a call in the pickle would have made: the arguments and state that it was given."""

    __slots__ = ("arguments", "kind", "state")

    def __init__(self, kind: str, arguments: Tuple[Any, ...]) -> None:
        self.kind = kind
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Name:
    """Stands in for a function or class that the pickle names."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, *arguments: Any) -> _Stored:
        return _Stored(self.kind, arguments)


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the four names of the format and no others."""

    def find_class(self, module_name: str, global_name: str) -> _Name:
        """The stand-in for a name; the real one is never imported."""
        kind = _NAMES.get((module_name, global_name))
        if kind is None:
            raise _RefusedError("refers to %.80r" % ("%s.%s" % (module_name, global_name)))
        # A new one each time: what a pickle does to it ends with the pickle.
        return _Name(kind)


class _RefusedError(ValueError):
    """The pickle is sound, but not one of a CIFAR-10 batch; the text says why."""


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
        _check_opcodes(raw)
        record = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
        return _rows(_entry(record, "data")), _labels(_entry(record, "labels"))
    except _RefusedError as error:
        raise ValueError("is not a pickled CIFAR-10 batch: it %s" % error) from error
    except Exception as error:  # garbage makes an unpickler raise nearly anything
        raise ValueError(
            "is truncated or not a pickled CIFAR-10 batch (%s)" % type(error).__name__
        ) from error


def _check_opcodes(raw: bytes) -> None:
    """Refuse, before anything is executed, what would exhaust memory or the C stack."""
    tuples = 0
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name not in _OPCODES:
            raise _RefusedError("uses the pickle operation %s" % opcode.name)
        tuples += opcode.name.startswith("TUPLE")
        if tuples > _MAX_TUPLES or (opcode.name == "LONG_BINPUT" and argument > _MAX_MEMO):
            raise _RefusedError("holds far more objects than a batch has")


def _entry(record: Any, name: str) -> Any:
    """The value of a key, however the key is written: str, bytes, or bytes as Python 3 does it."""
    if type(record) is not dict:
        raise _RefusedError("holds no dictionary")
    for key, value in record.items():
        if _text(key) == name or _encoded_text(key) == name:
            return value
    raise _RefusedError("has no entry %r" % name)


def _encoded_text(value: Any) -> Any:
    """The text of bytes that were pickled as ``_codecs.encode(text, "latin1")``, else None."""
    if type(value) is not _Stored or value.kind != "encode":
        return None
    text, encoding = value.arguments
    return text if type(text) is str and _text(encoding) == "latin1" else None


def _text(value: Any) -> Any:
    """Python 2's strings as Python 3's; anything else as it is."""
    return value.decode("latin-1") if type(value) is bytes else value


def _rows(array: Any) -> np.ndarray:
    """The array whose pickled state is (version, shape, dtype, is Fortran-ordered, bytes)."""
    if type(array) is not _Stored or array.kind != "array" or array.state is None:
        raise _RefusedError("has no array as 'data'")
    _, shape, dtype, fortran, content = array.state
    if type(dtype) is not _Stored or dtype.kind != "dtype" or _text(dtype.arguments[0]) != "u1":
        raise _RefusedError("has 'data' of another type than uint8")
    if not _is_matrix_shape(shape):
        raise _RefusedError("has 'data' of another shape than [n, %d]" % ROW_BYTES)
    text = _encoded_text(content)
    size = shape[0] * ROW_BYTES
    if text is not None and len(text) == size:
        content = text.encode("latin-1")
    if type(content) is not bytes or len(content) != size:
        raise _RefusedError("has 'data' without the %d bytes of its shape" % size)
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _is_matrix_shape(shape: Any) -> bool:
    return (
        type(shape) is tuple
        and len(shape) == 2
        and all(type(size) is int for size in shape)
        and shape[0] >= 0
        and shape[1] == ROW_BYTES
    )


def _labels(labels: Any) -> np.ndarray:
    if type(labels) is not list or not all(type(v) is int and 0 <= v <= 255 for v in labels):
        raise _RefusedError("has no list of small integers as 'labels'")
    return np.array(labels, np.uint8)
