"""Downloads from a server of our own that behaves as badly as it is told to."""

import contextlib
import hashlib
import http.server
import io
import os
import pathlib
import signal
import socket
import socketserver
import sys
import tempfile
import threading
import time

import commands
import pytest

from unfair_bp.data.cifar import download
from unfair_bp.errors import UsageError

CONTENT = bytes(range(256)) * 2500  # more than one chunk
CHECKSUM = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves ``content``; ``requests`` counts the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.stops_after = None  # bytes of a body
        self.states = str(len(CONTENT))  # the length; None to state none
        self.kind = "application/x-gzip"
        self.redirects_to = None
        self.fails = 0  # how many of the next requests get a status of 503
        self.status = None  # an error to answer with
        self.goes_on = threading.Event()  # what a body waits for after its first half
        self.goes_on.set()
        self.requests = 0
        self.url = f"http://127.0.0.1:{self.server_port}/data.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests += 1
        if server.redirects_to:
            self.send_response(302)
            self.send_header("Location", server.redirects_to)
            self.end_headers()
            return
        if server.status or server.requests <= server.fails:
            self.send_error(server.status or 503)
            return
        self.send_response(200)
        if server.states is not None:
            self.send_header("Content-Length", server.states)
        self.send_header("Content-Type", server.kind)
        self.end_headers()
        body = server.content[: server.stops_after]
        with contextlib.suppress(ConnectionError):  # the client may be killed, or have enough
            self.wfile.write(body[: len(body) // 2])
            server.goes_on.wait(30)
            self.wfile.write(body[len(body) // 2 :])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "RETRIES", 0)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.goes_on.set()  # what still answers ends now, not in the middle of another test
        running.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "on the way" / "data.tar.gz"


def failure(url, path):
    """The text of the error; one line with the url and the way out, and nothing left behind."""
    with pytest.raises(UsageError) as caught:
        download.fetch(url, str(path), CHECKSUM)
    text = str(caught.value)
    assert text.isprintable()
    assert url in text and "--data-dir" in text and "$UNFAIR_BP_DATA" in text
    assert len(text) < 1000
    assert not os.path.isdir(str(path.parent)) or os.listdir(str(path.parent)) == []
    return text


@pytest.mark.parametrize("states", [str(len(CONTENT)), None])
def test_whole_file(server, path, states, capfd):
    """Breaks if bytes are lost, another file stays, or a log file gets a progress bar."""
    server.states = states
    download.fetch(server.url, str(path), CHECKSUM)
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]
    assert server.requests == 1
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_terminal_gets_a_progress_bar(server, path, monkeypatch):
    """Breaks if the bar is hidden always, not drawn on standard error, or does not count."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    download.fetch(server.url, str(path), CHECKSUM)
    drawn = sys.stderr.getvalue()
    assert "data.tar.gz:   0%" in drawn and "data.tar.gz: 100%" in drawn


def test_file_that_is_there_is_left_alone(server, path):
    """Breaks if a file that is there is downloaded again, or a link is replaced."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    download.fetch(server.url, str(path), CHECKSUM)
    assert path.read_bytes() == b"mine"
    path.unlink()
    path.symlink_to("away")
    download.fetch(server.url, str(path), CHECKSUM)
    assert path.is_symlink()
    assert server.requests == 0


def test_failures_are_tried_again(server, path, monkeypatch):
    """Breaks if a server that is busy for a moment ends the command, or too little is tried."""
    monkeypatch.setattr(download, "RETRIES", 2)
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.fails = 2
    download.fetch(server.url, str(path), CHECKSUM)
    assert path.read_bytes() == CONTENT
    assert server.requests == 3 and len(waits) == 2


def test_failures_are_not_tried_for_ever(server, path, monkeypatch):
    """Breaks if there is no end of it, or the last failure's reason is lost."""
    monkeypatch.setattr(download, "RETRIES", 2)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    server.status = 503
    assert "503" in failure(server.url, path)
    assert server.requests == 3


def test_the_name_comes_last(server, path, monkeypatch):
    """Breaks if the file has its name before it is complete and verified."""
    server.goes_on.clear()
    running = threading.Thread(target=download.fetch, args=(server.url, str(path), CHECKSUM))
    running.start()
    wait_until(lambda: path.parent.is_dir() and os.listdir(str(path.parent)))
    assert not path.exists()
    server.goes_on.set()
    running.join()
    assert path.read_bytes() == CONTENT


# --- What a server may do

BAD = {
    "another file": ({"content": b"x" + CONTENT[1:]}, "does not match"),
    "nothing": ({"content": b"", "states": "0"}, "does not match"),
    "a page of text": (
        {"content": b"<html>", "kind": "text/html", "states": "6"},
        "does not match",
    ),
    "no such file": ({"status": 404}, "404"),
    "busy": ({"status": 503}, "503"),
    "ends early": ({"stops_after": 500_000}, "500000"),
    "ends early without a length": ({"stops_after": 500_000, "states": None}, "does not match"),
    "states too little": ({"states": "1000"}, "does not match"),
    "states too much": ({"states": "640001"}, "640000"),
    "states no number": ({"states": "abc"}, "abc"),
    "redirects to itself": ({"redirects_to": "/again"}, "redirects"),
    "redirects to a file of this machine": ({"redirects_to": "file:///etc/passwd"}, "file:///etc"),
    "redirects to no address": ({"redirects_to": "http://[::1"}, "Invalid"),
    "redirects to no protocol": ({"redirects_to": "x://"}, "'x:'"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_answers_are_one_line(server, path, case):
    """Breaks if what is not the file is put in place or left behind, or ends in a traceback."""
    settings, reason = BAD[case]
    before = {name: getattr(server, name) for name in settings}
    vars(server).update(settings)
    assert reason in failure(server.url, path)
    vars(server).update(before)
    download.fetch(server.url, str(path), CHECKSUM)  # and the next try begins anew
    assert path.read_bytes() == CONTENT


def test_no_server_is_one_line(server, path):
    """Breaks if a refused connection ends in a traceback, or in the text of a library."""
    server.shutdown()
    server.server_close()
    text = failure(server.url, path)
    assert "refused" in text and "urllib3" not in text


def test_unknown_host_is_one_line(path, monkeypatch):
    """Breaks if a machine without a network ends in a traceback."""
    monkeypatch.setattr(download, "RETRIES", 0)

    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "cannot be downloaded" in failure("http://nowhere.invalid/data.tar.gz", path)


@pytest.mark.parametrize("silent_from", ["the start", "the middle"])
def test_silent_server_times_out(server, path, monkeypatch, silent_from):
    """Breaks if a server that falls silent is waited for without end."""
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.goes_on.clear()
    if silent_from == "the start":
        monkeypatch.setattr(Handler, "do_GET", lambda self: self.server.goes_on.wait(10))
    try:
        assert "timed out" in failure(server.url, path)
    finally:
        server.goes_on.set()


def test_garbage_in_place_of_http_is_an_error(server, path, monkeypatch):
    """Breaks if an answer that is not HTTP ends in a traceback."""
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.wfile.write(b"\xff\x00 nothing\n\n"))
    assert "cannot be downloaded" in failure(server.url, path)


# --- A disk that does not take it


def fetching(url, path, setup=""):
    """A process that downloads; its last line of standard error is the error, if any."""
    code = (
        "import sys\nfrom unfair_bp.data.cifar import download\n"
        "from unfair_bp.errors import UsageError\ndownload.RETRIES = 0\n"
        f"{setup}\ntry:\n    download.fetch({url!r}, {str(path)!r}, {CHECKSUM!r})\n"
        "except UsageError as error:\n    sys.exit(str(error))"
    )
    return commands.start(["-c", code], pathlib.Path(__file__).parent)


def test_full_disk_is_one_line(server, path):
    """Breaks if a disk that is full ends in a traceback, or half of the file stays on it."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))"
    status, output, errors = commands.finish(fetching(server.url, path, limit))
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "File too large" in errors and "make room" in errors and str(path) in errors
    assert os.listdir(str(path.parent)) == []


def test_place_that_cannot_be_written_is_one_line(server, tmp_path):
    """Breaks if a file in the directory's place ends in a traceback."""
    (tmp_path / "file").write_bytes(b"")
    text = failure(server.url, tmp_path / "file" / "data.tar.gz")
    assert str(tmp_path / "file") in text and "XDG_CACHE_HOME" in text
    assert server.requests == 0


def test_read_only_cache_is_one_line(server):
    """Breaks if a cache that may not be written to ends in a traceback."""
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        place.chmod(0o555)
        user = os.geteuid()
        if user == 0:  # root may write everywhere: be nobody instead
            os.seteuid(65534)
        try:
            text = failure(server.url, place / "data.tar.gz")
            assert "XDG_CACHE_HOME" in text and "ermi" in text
            failure(server.url, place / "new" / "data.tar.gz")
        finally:
            if user == 0:
                os.seteuid(user)
        assert os.listdir(name) == [] and server.requests == 0


# --- Several processes


def wait_until(condition, seconds=20):
    """Wait for something that another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_many_processes_at_once_leave_one_whole_file(server, path):
    """Breaks if they write into one file, or one of them fails or leaves a file behind."""
    server.goes_on.clear()
    processes = [fetching(server.url, path) for _ in range(4)]
    wait_until(lambda: server.requests == 4, seconds=60)
    server.goes_on.set()
    assert [commands.finish(process) for process in processes] == [(0, "", "")] * 4
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]


def test_many_processes_that_fail_get_a_line_each(server, path):
    """Breaks if one of them ends in a traceback, or leaves a file behind."""
    server.content = b"x" + CONTENT[1:]
    processes = [fetching(server.url, path) for _ in range(3)]
    for status, output, errors in map(commands.finish, processes):
        assert (status, output, errors.count("\n")) == (1, "", 1)
        assert "does not match" in errors
    assert os.listdir(str(path.parent)) == []


def test_a_killed_process_does_not_hinder_the_next(server, path):
    """Breaks if what a killed process leaves behind is taken for the file, or waited for."""
    server.goes_on.clear()
    first = fetching(server.url, path)
    wait_until(lambda: path.parent.is_dir() and os.listdir(str(path.parent)), seconds=60)
    first.send_signal(signal.SIGKILL)
    assert commands.finish(first)[0] == -signal.SIGKILL
    assert not path.exists()
    server.goes_on.set()
    download.fetch(server.url, str(path), CHECKSUM)
    assert path.read_bytes() == CONTENT


def test_waiting_can_be_interrupted(server, path):
    """Breaks if Ctrl-C does not end a download, or leaves half of the file behind."""
    server.goes_on.clear()
    process = fetching(server.url, path)
    wait_until(
        lambda: any(x.stat().st_size for x in path.parent.glob("*")) if server.requests else False,
        seconds=60,
    )
    process.send_signal(signal.SIGINT)
    assert commands.finish(process)[0] in (-signal.SIGINT, 1)
    assert os.listdir(str(path.parent)) == []
