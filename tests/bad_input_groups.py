"""Bad inputs by group, each with what prepares it; see bad_inputs.py."""

import contextlib
import pathlib
from typing import NamedTuple

import pytest

GROUPS = {}  # name: a function that gives pairs of an input's name and what prepares it


def group(name):
    """Register a function that gives the inputs of a group.

    What prepares an input is called with an At and returns a command and its words.
    """

    def register(function):
        GROUPS[name] = function
        return function

    return register


class At(NamedTuple):
    """Where and with what an input is prepared."""

    path: pathlib.Path  # its directory
    patch: pytest.MonkeyPatch  # undone after it
    stack: contextlib.ExitStack  # closed after it
