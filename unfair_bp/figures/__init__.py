"""Pictures, drawn with Matplotlib from plain values: no TensorFlow, no reading of files."""

import contextlib
import os
import sys


def _import_matplotlib() -> None:
    """Import Matplotlib, whatever ``MPLBACKEND`` says.

    A notebook sets it for every command that is started from a cell. Matplotlib cannot be imported
    if it does not know that backend, which no picture here needs. So the backend is set afterwards.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib  # noqa: PLC0415

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


if "matplotlib" not in sys.modules:
    _import_matplotlib()
