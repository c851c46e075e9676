"""Commands as text, as records, reports and messages show them."""

import shlex
from typing import Sequence


def shell_line(words: Sequence[str]) -> str:
    """A command as it would be typed into a shell."""
    return " ".join(shlex.quote(word) for word in words)
