"""Progress bars: on a terminal and in a notebook, and none where output goes into a file."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(*arguments: Any, **options: Any) -> tqdm:
    """A bar of tqdm, gone when it is closed; the arguments are tqdm's."""
    # A notebook's standard error is no terminal but shows a bar all the same.
    notebook = type(sys.stderr).__module__.startswith("ipykernel")
    return tqdm(*arguments, disable=False if notebook else None, leave=False, **options)
