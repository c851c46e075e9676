"""How the package speaks to a terminal: progress bars, and commands as they are typed."""

import shlex
import sys
from typing import TYPE_CHECKING, Any, Sequence

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(*arguments: Any, leave: bool = False, **options: Any) -> "tqdm":
    """A bar of tqdm, whose arguments these are; gone when it is closed unless it is to be left."""
    from tqdm import tqdm  # noqa: PLC0415 - --help answers at once

    # A notebook's standard error is no terminal but shows a bar all the same.
    notebook = type(sys.stderr).__module__.startswith("ipykernel")
    return tqdm(*arguments, disable=False if notebook else None, leave=leave, **options)


def shell_line(words: Sequence[str]) -> str:
    """A command as it would be typed into a shell."""
    return " ".join(shlex.quote(word) for word in words)
