"""Download of one file whose checksum is known."""

import os
from typing import Any

from unfair_bp.console import progress_bar
from unfair_bp.environment import library
from unfair_bp.errors import UsageError

with library("pooch", "pooch requests"):
    import pooch
    import requests

TIMEOUT = 30.0  # seconds without a single byte, not for the whole file
RETRIES = 3  # after a failure; pooch waits 1, 2 and 3 seconds before them
_CHUNK = 1 << 16  # bytes
_BY_HAND = (
    "put the archive by hand into a directory and give that with --data-dir or $UNFAIR_BP_DATA"
)


def fetch(url: str, path: str, checksum: str) -> None:
    """Download a file to ``path``, which appears only when it is complete and verified.

    Each process downloads to a file of its own beside ``path`` and renames it at the end, so that
    any number of them may run at once. Progress is shown on standard error. Does nothing if
    something is at ``path``.

    Args:
        url: Where the file is.
        path: Where it goes; directories are made as needed.
        checksum: Of the file, as ``algorithm:digest``.

    Raises:
        UsageError: If it cannot be downloaded or written, or has another checksum.
    """
    if os.path.lexists(path):
        return
    directory, name = os.path.split(os.path.abspath(path))
    pooch.get_logger().setLevel("WARNING")  # it would announce each download
    cache = pooch.create(
        directory, base_url="", registry={name: checksum}, urls={name: url}, retry_if_failed=RETRIES
    )
    try:
        os.makedirs(directory, exist_ok=True)
        cache.fetch(name, downloader=_download)
    # ValueError: another checksum, or the server redirects to something that is not an address.
    except (requests.exceptions.RequestException, ValueError) as error:
        raise UsageError(
            f"{url}: cannot be downloaded to {path!r}: {_one_line(error)}; try again, or {_BY_HAND}"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{url}: cannot be written to {path!r}: {_one_line(error)}; make room or give "
            f"permission there, set $XDG_CACHE_HOME to have the cache elsewhere, or {_BY_HAND}"
        ) from error


def _download(url: str, output: str, cache: Any) -> None:
    """Write what is at ``url`` to a file: one attempt, with a progress bar of its own."""
    # The total is known when the server answers; until then any number will do.
    name = os.path.basename(url)
    with progress_bar(desc=name, total=1, unit="B", unit_scale=True, leave=True) as bar:
        download = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=TIMEOUT)
        download(url, output, cache)


def _one_line(error: BaseException) -> str:
    """The first sentence of an error; a server may have put anything into it."""
    while error.__context__ is not None:  # "Connection refused", not the layers around it
        error = error.__context__
    text = " ".join(str(error).split()) or type(error).__name__
    first = text.split(". ")[0].rstrip(".")
    return "".join(letter if letter.isprintable() else "?" for letter in first[:300])
