"""What the environment of a notebook must not break."""

import contextlib
import os
import sys
from typing import Iterator


@contextlib.contextmanager
def any_backend() -> Iterator[None]:
    """Let Matplotlib be imported in this context, whatever ``MPLBACKEND`` says.

    A notebook sets it for every command that is started from a cell. Matplotlib, which Keras
    imports along with TensorFlow, cannot be imported if it does not know the backend. So the
    backend is chosen afterwards, if it is there.
    """
    backend = os.environ.get("MPLBACKEND")
    if backend is None or "matplotlib" in sys.modules:
        yield
        return
    del os.environ["MPLBACKEND"]
    try:
        yield
    finally:
        os.environ["MPLBACKEND"] = backend
    if "matplotlib" in sys.modules:
        with contextlib.suppress(ValueError, ImportError):
            sys.modules["matplotlib"].use(backend, force=False)
