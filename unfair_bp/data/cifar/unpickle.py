"""The objects that a pickle describes, without running anything that it asks for.

A pickle is a program for a small stack machine that may import and call whatever it likes. This
machine is not Python's: it knows the operations that write dictionaries of strings, bytes,
integers, lists and arrays, and no others. It imports, calls and hashes nothing; a call is written
down as a `Call`, a dictionary as a `Record`. Every operation takes time and memory in proportion
to its own bytes, and their number is bounded, so that no file can make it take long or much.

Reference: the module `pickletools` of Python describes the operations.
"""

import pickletools
import struct
from typing import Any, Callable, Dict, List, Mapping, Tuple

# Counted in one batch of 10,000 images: 30,000 of Python 2, 110,000 of Python 3, which writes each
# file name as a call.
MAX_OPERATIONS = 200_000
_MAX_LINE = 100  # bytes in a half of a name; the longest that is admitted has 23


class ForeignPickleError(ValueError):
    """It is no pickle, or not one to read; the text says why of an "it"."""


class Name:
    """A function or class that the pickle names."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Call:
    """What a call in the pickle would have made: the arguments and state that it was given."""

    __slots__ = ("arguments", "kind", "state")

    def __init__(self, kind: str, arguments: Tuple[Any, ...]) -> None:
        self.kind = kind
        self.arguments = arguments
        self.state: Any = None


class Record:
    """A dictionary as the list of its items: no key is hashed, whatever it is."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: List[Tuple[Any, Any]] = []


def load(raw: bytes, names: Mapping[Tuple[str, str], str]) -> Any:
    """The object that a pickle describes.

    Args:
        raw: The pickle, of protocol 2 to 4, and nothing behind it.
        names: What to call each function or class that the pickle may name, by module and name.

    Returns:
        None, a bool, int, bytes, str, list or tuple, `Name`, `Call` or `Record`, of the same.
        Strings of Python 2 are bytes. Objects may be shared, and lists may hold themselves.

    Raises:
        ForeignPickleError: If the pickle does not end with the data, holds more than
            `MAX_OPERATIONS`, or uses any operation or name that is not admitted.
    """
    return _Machine(raw, names).run()


class _Machine:
    def __init__(self, raw: bytes, names: Mapping[Tuple[str, str], str]) -> None:
        self._raw = raw
        self._at = 0
        self._names = names
        self._memo: Dict[int, Any] = {}
        self._stack: List[Any] = []
        self._below: List[List[Any]] = []  # the stack below each mark

    def run(self) -> Any:
        for _ in range(MAX_OPERATIONS):
            code = self.take(1)
            if code == b".":
                return self._result()
            if code not in _OPERATIONS:
                raise self._unknown(code)
            read, act = _OPERATIONS[code]
            act(self, read(self))
        raise ForeignPickleError("holds far more objects than a batch has")

    def _result(self) -> Any:
        behind = len(self._raw) - self._at
        if behind:
            raise ForeignPickleError("has %d bytes after its end" % behind)
        return self._pop()

    def _unknown(self, code: bytes) -> ForeignPickleError:
        operation = pickletools.code2op.get(code.decode("latin-1"))
        if operation is None:
            return self._damaged()
        return ForeignPickleError("uses the pickle operation %s" % operation.name)

    def _damaged(self) -> ForeignPickleError:
        return ForeignPickleError("is damaged before byte %d" % self._at)

    # Arguments

    def take(self, size: int) -> bytes:
        """The next bytes; it is an error if there are fewer."""
        end = self._at + size
        if size < 0 or end > len(self._raw):
            raise ForeignPickleError("ends early, after %d bytes" % len(self._raw))
        taken = self._raw[self._at : end]
        self._at = end
        return taken

    def line(self) -> str:
        """The next bytes up to a line break."""
        end = self._raw.find(b"\n", self._at, self._at + _MAX_LINE)
        if end < 0:
            raise self._damaged()
        return self.take(end + 1 - self._at)[:-1].decode("latin-1")

    # The stack

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self, kind: type = object) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise self._damaged()
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        self._stack.append(self._pop(kind))
        return self._stack[-1]

    def _pop_to_mark(self) -> List[Any]:
        if not self._below:
            raise self._damaged()
        values, self._stack = self._stack, self._below.pop()
        return values

    # Operations

    def ignore(self, _: Any) -> None:
        """Versions and frames say nothing that is needed."""

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def text(self, content: bytes) -> None:
        try:
            self.push(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise self._damaged() from error

    def long(self, content: bytes) -> None:
        self.push(int.from_bytes(content, "little", signed=True))

    def tuple_of(self, size: int) -> None:
        self.push(tuple([self._pop() for _ in range(size)][::-1]))

    def tuple_to_mark(self, _: Any) -> None:
        self.push(tuple(self._pop_to_mark()))

    def append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def append_to_mark(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._top(list).extend(values)

    def set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._top(Record).items.append((key, value))

    def set_to_mark(self, _: Any) -> None:
        values = self._pop_to_mark()
        if len(values) % 2:
            raise self._damaged()
        self._top(Record).items.extend(zip(values[::2], values[1::2]))

    def put(self, index: int) -> None:
        self._memo[index] = self._top(object)

    def put_next(self, _: Any) -> None:
        self.put(len(self._memo))

    def get(self, index: int) -> None:
        if index not in self._memo:
            raise self._damaged()
        self.push(self._memo[index])

    def name(self, words: Tuple[str, str]) -> None:
        kind = self._names.get(words)
        if kind is None:
            raise ForeignPickleError("refers to %.80r" % ("%s.%s" % words))
        self.push(Name(kind))

    def name_of_stack(self, _: Any) -> None:
        name, module = self._pop(str), self._pop(str)
        if len(name) + len(module) > 2 * _MAX_LINE:
            raise self._damaged()
        self.name((module, name))

    def call(self, _: Any) -> None:
        arguments, function = self._pop(tuple), self._pop(Name)
        self.push(Call(function.kind, arguments))

    def set_state(self, _: Any) -> None:
        state = self._pop()
        self._top(Call).state = state


_Read = Callable[[_Machine], Any]


def _constant(value: Any) -> _Read:
    return lambda machine: value


def _number(layout: str) -> _Read:
    number = struct.Struct(layout)
    return lambda machine: number.unpack(machine.take(number.size))[0]


def _counted(layout: str) -> _Read:
    length = _number(layout)
    return lambda machine: machine.take(length(machine))


def _two_lines(machine: _Machine) -> Tuple[str, str]:
    return machine.line(), machine.line()


_NOTHING = _constant(None)

# What pickle writes for such a dictionary: how to read the argument, and what to do with it.
_OPERATIONS: Dict[bytes, Tuple[_Read, Callable[[_Machine, Any], None]]] = {
    b"\x80": (_number("<B"), _Machine.ignore),  # PROTO
    b"\x95": (_number("<Q"), _Machine.ignore),  # FRAME
    b"N": (_NOTHING, _Machine.push),
    b"\x88": (_constant(True), _Machine.push),
    b"\x89": (_constant(False), _Machine.push),
    b"J": (_number("<i"), _Machine.push),
    b"K": (_number("<B"), _Machine.push),
    b"M": (_number("<H"), _Machine.push),
    b"\x8a": (_counted("<B"), _Machine.long),
    b"U": (_counted("<B"), _Machine.push),
    b"T": (_counted("<i"), _Machine.push),
    b"C": (_counted("<B"), _Machine.push),
    b"B": (_counted("<I"), _Machine.push),
    b"\x8c": (_counted("<B"), _Machine.text),
    b"X": (_counted("<I"), _Machine.text),
    b"(": (_NOTHING, _Machine.mark),
    b")": (_constant(0), _Machine.tuple_of),
    b"\x85": (_constant(1), _Machine.tuple_of),
    b"\x86": (_constant(2), _Machine.tuple_of),
    b"\x87": (_constant(3), _Machine.tuple_of),
    b"t": (_NOTHING, _Machine.tuple_to_mark),
    b"]": (lambda machine: [], _Machine.push),
    b"a": (_NOTHING, _Machine.append),
    b"e": (_NOTHING, _Machine.append_to_mark),
    b"}": (lambda machine: Record(), _Machine.push),
    b"s": (_NOTHING, _Machine.set_item),
    b"u": (_NOTHING, _Machine.set_to_mark),
    b"q": (_number("<B"), _Machine.put),
    b"r": (_number("<I"), _Machine.put),
    b"\x94": (_NOTHING, _Machine.put_next),
    b"h": (_number("<B"), _Machine.get),
    b"j": (_number("<I"), _Machine.get),
    b"c": (_two_lines, _Machine.name),
    b"\x93": (_NOTHING, _Machine.name_of_stack),
    b"R": (_NOTHING, _Machine.call),
    b"b": (_NOTHING, _Machine.set_state),
}
