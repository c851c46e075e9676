"""What may be wrong around the package: a notebook's environment, libraries that are broken."""

import contextlib
import os
import sys
from typing import Iterator

from unfair_bp.errors import LibraryError


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


@contextlib.contextmanager
def library(name: str, packages: str) -> Iterator[None]:
    """Say in one line that a library cannot be imported in this context.

    Args:
        name: Of the library.
        packages: What to install.

    Raises:
        LibraryError: Whatever the import raises: a broken library may raise anything.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LibraryError(
            f"{name} cannot be loaded: {reason}; correct its settings, or install it anew, as with "
            f"pip install --force-reinstall {packages}"
        ) from error
