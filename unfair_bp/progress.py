"""Progress bars: on a terminal and in a notebook, and none where output goes into a file."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(*arguments: Any, leave: bool = False, **options: Any) -> tqdm:
    """A bar of tqdm, whose arguments these are; gone when it is closed unless it is to be left."""
    # A notebook's standard error is no terminal but shows a bar all the same.
    notebook = type(sys.stderr).__module__.startswith("ipykernel")
    return tqdm(*arguments, disable=False if notebook else None, leave=leave, **options)
