"""Download of one file whose checksum is known."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request

from tqdm import tqdm

from unfair_bp.errors import UsageError

TIMEOUT = 30.0  # seconds without a single byte, not for the whole file
_CHUNK = 1 << 18
_BY_HAND = "put the archive by hand into a directory and give that with --data-dir"


def fetch(url: str, path: str, md5: str) -> None:
    """Download a file to ``path``, which appears only when complete and verified.

    What has arrived is kept in ``path + ".part"``, so that another call resumes there. A progress
    bar is drawn on standard error if that is a terminal.

    Args:
        url: Where the file is.
        path: Where it goes; directories are made as needed.
        md5: The checksum of the file, in hexadecimal.

    Raises:
        UsageError: If it cannot be downloaded or written, or is not the file of that checksum.
    """
    part = path + ".part"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        try:
            _receive(url, part)
        except urllib.error.HTTPError as error:
            error.close()
            asked_for_range = os.path.exists(part)
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not asked_for_range:
                raise
            # The part is no beginning of what the server has; start again.
            os.remove(part)
            _receive(url, part)
        actual = _md5(part)
        if actual != md5:
            os.remove(part)
            raise UsageError(
                "%s: what was downloaded has MD5 %s, expected %s; it was deleted, try again, or %s"
                % (url, actual, md5, _BY_HAND)
            )
        os.replace(part, path)
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            "%s: cannot be downloaded to %r: %s; try again (what has arrived is kept), or %s"
            % (url, path, reason, _BY_HAND)
        ) from error


def _receive(url: str, part: str) -> None:
    """Append what is missing to ``part``, or write it anew if the server sends everything."""
    start = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(url)
    if start:
        # No If-Range: a file that has changed on the server is caught by the checksum.
        request.add_header("Range", "bytes=%d-" % start)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        with open(part, "ab" if start else "wb") as file, tqdm(
            desc=os.path.basename(url),
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            disable=None,  # hidden where standard error is no terminal
        ) as bar:
            for chunk in iter(lambda: response.read(_CHUNK), b""):
                file.write(chunk)
                bar.update(len(chunk))
            size = file.tell()
    # http.client reports a body that ends early to nobody who reads it in pieces.
    if total is not None and size < total:
        raise OSError("the connection ended after %d of %d bytes" % (size, total))


def _md5(path: str) -> str:
    digest = hashlib.md5()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
