"""Downloads from a server of our own that behaves as badly as it is told to."""

import hashlib
import http.server
import io
import os
import sys
import threading

import pytest

from unfair_bp.data import download
from unfair_bp.errors import UsageError

CONTENT = bytes(range(256)) * 2500  # more than one chunk
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(http.server.HTTPServer):
    """Serves ``content``; what it is asked for is in ``ranges``, one entry per request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.honours_range = True
        self.stops_after = None  # bytes of a body
        self.states_length = True
        self.status = None  # an error to answer with
        self.ranges = []
        self.url = "http://127.0.0.1:%d/data.tar.gz" % self.server_port


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers["Range"]
        server.ranges.append(asked)
        start, status = 0, 200
        if asked and server.honours_range:
            start, status = int(asked[len("bytes=") : -1]), 206
            if start >= len(server.content):
                status = 416
        if server.status or status == 416:
            self.send_error(server.status or status)
            return
        body = server.content[start:]
        self.send_response(status)
        if server.states_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.stops_after])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "on the way" / "data.tar.gz"


def part_of(path):
    return path.with_name(path.name + ".part")


def write_part(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    part_of(path).write_bytes(content)


def failure(url, path, md5=MD5):
    """The text of the error; one line with the url and the way out, and nothing in place."""
    with pytest.raises(UsageError) as caught:
        download.fetch(url, str(path), md5)
    text = str(caught.value)
    assert text.isprintable()
    assert url in text and "--data-dir" in text
    assert not path.exists()
    return text


@pytest.mark.parametrize("states_length", [True, False])
def test_whole_file(server, path, states_length, capfd):
    """Breaks if bytes are lost, the part file stays, or a log file gets a progress bar."""
    server.states_length = states_length
    download.fetch(server.url, str(path), MD5)
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]
    assert server.ranges == [None]
    assert capfd.readouterr() == ("", "")


def test_terminal_gets_a_progress_bar(server, path, monkeypatch):
    """Breaks if the bar is hidden always, not drawn on standard error, or does not count."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    write_part(path, CONTENT[: len(CONTENT) // 2])
    download.fetch(server.url, str(path), MD5)
    drawn = terminal.getvalue()
    assert "data.tar.gz:  50%" in drawn and "data.tar.gz: 100%" in drawn


def test_partial_file_is_resumed(server, path):
    """Breaks if what has arrived is downloaded again, or is not kept in front of the rest."""
    write_part(path, CONTENT[:1000])
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == ["bytes=1000-"]
    assert path.read_bytes() == CONTENT
    assert not part_of(path).exists()


def test_server_that_ignores_ranges_restarts_the_file(server, path):
    """Breaks if a full body is appended to the part that was there."""
    server.honours_range = False
    write_part(path, CONTENT[:1000])
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == ["bytes=1000-"]
    assert path.read_bytes() == CONTENT


def test_range_beyond_the_end_restarts_the_file(server, path):
    """Breaks if a part that is too long makes every further try fail with status 416."""
    write_part(path, CONTENT + b"more")
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == ["bytes=%d-" % (len(CONTENT) + 4), None]
    assert path.read_bytes() == CONTENT


def test_status_416_to_a_whole_request_is_an_error(server, path):
    """Breaks if the restart is tried for ever, or stumbles over the part that is not there."""
    server.status = 416
    assert "HTTP Error 416" in failure(server.url, path)
    assert server.ranges == [None]


def test_wrong_checksum_leaves_nothing(server, path):
    """Breaks if a damaged file is put in place, or its part is resumed the next time."""
    server.content = b"x" + CONTENT[1:]
    text = failure(server.url, path)
    assert MD5 in text and hashlib.md5(server.content).hexdigest() in text
    assert os.listdir(str(path.parent)) == []
    server.content = CONTENT
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == [None, None]
    assert path.read_bytes() == CONTENT


def test_wrong_part_is_found_by_the_checksum(server, path):
    """Breaks if only what comes from the server is checked, not what it is appended to."""
    write_part(path, b"x" * 1000)
    assert "MD5" in failure(server.url, path)
    assert not part_of(path).exists()


@pytest.mark.parametrize("status", [404, 503])
def test_error_page_is_an_error(server, path, status):
    """Breaks if the page is taken for the file, or what had arrived before is lost."""
    server.status = status
    write_part(path, CONTENT[:1000])
    assert "HTTP Error %d" % status in failure(server.url, path)
    assert part_of(path).read_bytes() == CONTENT[:1000]


def test_short_body_is_resumed_by_the_next_try(server, path):
    """Breaks if a connection that ends early passes for the end, or its bytes are thrown away."""
    server.stops_after = 500_000
    assert "500000 of 640000 bytes" in failure(server.url, path)
    server.stops_after = 100_000
    assert "600000 of 640000 bytes" in failure(server.url, path)
    server.stops_after = None
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == [None, "bytes=500000-", "bytes=600000-"]
    assert path.read_bytes() == CONTENT


def test_no_server_is_one_line(server, path):
    """Breaks if a refused connection ends in a traceback."""
    server.shutdown()
    server.server_close()
    assert "refused" in failure(server.url, path)


def test_silent_server_times_out(server, path, monkeypatch):
    """Breaks if a server that never answers is waited for without end."""
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    released = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: released.wait(10))
    try:
        assert "timed out" in failure(server.url, path)
    finally:
        released.set()


def test_place_that_cannot_be_written_is_one_line(server, tmp_path):
    """Breaks if a file in the directory's place ends in a traceback."""
    (tmp_path / "file").write_bytes(b"")
    text = failure(server.url, tmp_path / "file" / "data.tar.gz")
    assert str(tmp_path / "file") in text
    assert server.ranges == []
