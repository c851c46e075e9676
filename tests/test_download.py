"""Downloads from a server of our own that behaves as badly as it is told to."""

import contextlib
import fcntl
import hashlib
import http.server
import io
import os
import pathlib
import signal
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
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves ``content``; what it is asked for is in ``ranges``, one entry per request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.honours_range = True
        self.stops_after = None  # bytes of a body
        self.states_length = True
        self.states = None  # a length of its own, in place of the body's
        self.kind = "application/x-gzip"
        self.redirects_to = None
        self.piece, self.pause = 1 << 16, 0.0  # bytes of a body, and seconds between two
        self.goes_on = threading.Event()  # what a body waits for after each piece
        self.goes_on.set()
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
        if server.redirects_to:
            self.send_response(302)
            self.send_header("Location", server.redirects_to)
            self.end_headers()
            return
        if server.status or status == 416:
            self.send_error(server.status or status)
            return
        body = server.content[start:]
        self.send_response(status)
        if server.states_length:
            self.send_header("Content-Length", server.states or str(len(body)))
        self.send_header("Content-Type", server.kind)
        self.end_headers()
        body = body[: server.stops_after]
        with contextlib.suppress(ConnectionError):  # the client may be killed, or have enough
            for at in range(0, len(body), server.piece):
                self.wfile.write(body[at : at + server.piece])
                server.goes_on.wait(30)
                time.sleep(server.pause)

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
    assert url in text and "--data-dir" in text and "$UNFAIR_BP_DATA" in text
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


# --- A server that lies


def test_page_in_place_of_the_file_keeps_what_has_arrived(server, path):
    """Breaks if the page of a hotel's network overwrites a part that took hours."""
    server.kind, server.honours_range = "text/html; charset=utf-8", False
    write_part(path, CONTENT[:1000])
    assert "a page of text" in failure(server.url, path)
    assert part_of(path).read_bytes() == CONTENT[:1000]
    part_of(path).unlink()
    failure(server.url, path)
    assert os.listdir(str(path.parent)) == []


@pytest.mark.parametrize("states", ["1000", "640001", "abc", "-5", "\u00b2", "9" * 5000, ""])
def test_stated_length_is_not_believed(server, path, states):
    """Breaks if a length that is wrong or none crashes, or outweighs the checksum."""
    server.states = states
    if states == "1000":  # the connection is read no further
        assert hashlib.md5(CONTENT[:1000]).hexdigest() in failure(server.url, path)
        assert os.listdir(str(path.parent)) == []
    else:
        download.fetch(server.url, str(path), MD5)
        assert path.read_bytes() == CONTENT


def test_too_long_a_body_is_not_written_without_end(server, path, monkeypatch):
    """Breaks if a server may fill the disk, whether it states a length or not."""
    monkeypatch.setattr(download, "MAX_SIZE", len(CONTENT) - 1)
    assert "has 640000 bytes, expected at most 639999" in failure(server.url, path)
    server.states_length = False
    assert "more than 639999 bytes" in failure(server.url, path)
    assert os.listdir(str(path.parent)) == []
    monkeypatch.setattr(download, "MAX_SIZE", len(CONTENT))
    download.fetch(server.url, str(path), MD5)
    server.states_length = True
    download.fetch(server.url, str(path.with_name("another")), MD5)


def test_the_file_is_on_disk_before_it_has_its_name(server, path, monkeypatch):
    """Breaks if a power cut could leave a file in place that is not all there."""
    steps, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda file: steps.append("fsync"))
    monkeypatch.setattr(os, "replace", lambda *paths: steps.append("replace") or replace(*paths))
    download.fetch(server.url, str(path), MD5)
    assert steps == ["fsync", "replace"]


def test_the_part_of_another_process_is_not_removed(path, monkeypatch):
    """Breaks if an empty part is tidied up by its name when the name is another file's by now."""

    def fail(url, part, md5):
        part_of(path).unlink()
        part_of(path).write_bytes(b"another's")
        raise UsageError("failed with an empty part")

    monkeypatch.setattr(download, "_complete", fail)
    with pytest.raises(UsageError, match="failed with"):
        download.fetch("http://127.0.0.1:9/", str(path), MD5)
    assert part_of(path).read_bytes() == b"another's"


def test_complete_part_needs_no_server(server, path):
    """Breaks if a process that was killed before the last step has downloaded for nothing."""
    write_part(path, CONTENT)
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == []
    assert os.listdir(str(path.parent)) == [path.name]


def test_redirect_loop_ends(server, path):
    """Breaks if redirects are followed for ever, or the message has several lines."""
    server.redirects_to = "/again"
    assert "infinite loop" in failure(server.url, path)
    assert len(server.ranges) < 20


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://[::1", "http://" + "x" * 99, "x://"]
)
def test_redirects_to_elsewhere_are_errors(server, path, target):
    """Breaks if a server may name a file of this machine, or an address that is none crashes."""
    server.redirects_to = target
    failure(server.url, path)
    assert os.listdir(str(path.parent)) == []


def test_server_that_falls_silent_times_out(server, path, monkeypatch):
    """Breaks if a body that stops in the middle is waited for, or what came of it is lost."""
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.goes_on.clear()
    assert "timed out" in failure(server.url, path)
    server.goes_on.set()
    download.fetch(server.url, str(path), MD5)
    assert path.read_bytes() == CONTENT


def test_a_slow_server_is_given_up_and_resumed(server, path, monkeypatch):
    """Breaks if a server that sends a byte now and then is waited for, or what came is lost."""
    monkeypatch.setattr(download, "WINDOW", 0.3)
    monkeypatch.setattr(download, "SLOWEST", 1 << 20)
    server.piece, server.pause = 5000, 0.02
    start = time.monotonic()
    text = failure(server.url, path)
    assert 0.3 <= time.monotonic() - start < 5
    assert "too slow" in text and "expected at least 1048576 a second" in text
    assert "try again (what has arrived is kept)" in text
    arrived = part_of(path).read_bytes()
    assert 10_000 < len(arrived) < len(CONTENT) and CONTENT.startswith(arrived)
    server.piece, server.pause = 1 << 16, 0.0
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == [None, "bytes=%d-" % len(arrived)]
    assert path.read_bytes() == CONTENT


def test_a_server_that_becomes_slow_is_given_up(server, path, monkeypatch):
    """Breaks if a fast beginning pays for hours of waiting."""

    def tire(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(CONTENT[:600_000])
            for at in range(600_000, len(CONTENT), 200):
                handler.wfile.write(CONTENT[at : at + 200])
                time.sleep(0.02)

    monkeypatch.setattr(download, "WINDOW", 0.3)
    monkeypatch.setattr(download, "SLOWEST", 100_000)
    monkeypatch.setattr(Handler, "do_GET", tire)
    assert "too slow" in failure(server.url, path)
    assert 600_000 <= part_of(path).stat().st_size < len(CONTENT)


def test_headers_that_come_slowly_are_given_up(server, path, monkeypatch):
    """Breaks if only the body is timed, so that headers of one byte a second hold a process."""

    def trickle(handler):
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for _ in range(1000):
                handler.wfile.write(b"X")
                time.sleep(0.02)

    monkeypatch.setattr(download, "WINDOW", 0.3)
    monkeypatch.setattr(Handler, "do_GET", trickle)
    assert "too slow" in failure(server.url, path)
    assert os.listdir(str(path.parent)) == []


def test_a_server_that_is_fast_enough_is_not_given_up(server, path, monkeypatch):
    """Breaks if the speed is that of all windows or of none, or the limit is off by a factor."""
    monkeypatch.setattr(download, "WINDOW", 0.1)
    monkeypatch.setattr(download, "SLOWEST", 200_000)
    server.piece, server.pause = 10_000, 0.01  # below a million a second: 64 pieces
    download.fetch(server.url, str(path), MD5)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None]


def test_time_that_the_disk_takes_does_not_count(server, path, monkeypatch):
    """Breaks if a slow disk, or a machine that was asleep, is blamed on the server."""
    monkeypatch.setattr(download, "WINDOW", 0.2)
    monkeypatch.setattr(download, "SLOWEST", 1 << 20)
    size = download._size
    monkeypatch.setattr(download, "_size", lambda file: time.sleep(0.008) or size(file))
    download.fetch(server.url, str(path), MD5)
    assert path.read_bytes() == CONTENT


def test_garbage_in_place_of_http_is_an_error(server, path, monkeypatch):
    """Breaks if an answer that is not HTTP ends in a traceback."""
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.wfile.write(b"\xff\x00 nothing\n\n"))
    assert "cannot be downloaded" in failure(server.url, path)


# --- A disk that does not take it


def fetching(url, path, setup=""):
    """A process that downloads; its last line of standard error is the error, if any."""
    code = (
        "import sys\nfrom unfair_bp.data.cifar import download\n"
        "from unfair_bp.errors import UsageError\n"
        "%s\ntry:\n    download.fetch(%r, %r, %r)\n"
        "except UsageError as error:\n    sys.exit(str(error))" % (setup, url, str(path), MD5)
    )
    return commands.start(["-c", code], pathlib.Path(__file__).parent)


def test_full_disk_is_one_line_and_resumed(server, path):
    """Breaks if a disk that is full ends in a traceback, or what fitted is thrown away."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))"
    status, output, errors = commands.finish(fetching(server.url, path, limit))
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "File too large" in errors and "make room" in errors and str(path) in errors
    assert not path.exists()
    size = part_of(path).stat().st_size
    assert 0 < size <= 300_000
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == [None, "bytes=%d-" % size]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_part_that_is_no_file_is_one_line(server, path, kind):
    """Breaks if a directory or a pipe in the part's place crashes, or is waited for."""
    path.parent.mkdir(parents=True)
    (os.mkdir if kind == "directory" else os.mkfifo)(str(part_of(path)))
    assert "cannot be written" in failure(server.url, path)
    assert server.ranges == []


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
            assert "Permission denied" in text and "XDG_CACHE_HOME" in text
            failure(server.url, place / "new" / "data.tar.gz")
        finally:
            if user == 0:
                os.seteuid(user)
        assert os.listdir(name) == [] and server.ranges == []


# --- Several processes


def wait_until(condition, seconds=20):
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def has_begun(path):
    """Whether something has arrived."""
    return part_of(path).exists() and part_of(path).stat().st_size > 0


def waits(process):
    """The line in which a process says that it waits for another."""
    line = process.stderr.readline()
    assert "another process downloads to" in line and "waiting" in line
    return line


def test_two_processes_download_once(server, path):
    """Breaks if both write the part: then a file is damaged, fetched twice, or left over."""
    server.goes_on.clear()
    first = fetching(server.url, path)
    wait_until(lambda: has_begun(path))
    second = fetching(server.url, path)
    assert str(part_of(path)) in waits(second)
    server.goes_on.set()
    assert [commands.finish(process) for process in (first, second)] == [(0, "", "")] * 2
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]
    assert server.ranges == [None]


def test_many_processes_at_once_leave_one_file(server, path):
    """Breaks if the lock has a gap between two of its steps."""
    processes = [fetching(server.url, path) for _ in range(6)]
    for process in processes:
        status, output, _ = commands.finish(process)
        assert (status, output) == (0, "")
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]
    assert server.ranges == [None]


def test_waiting_process_goes_on_where_a_killed_one_was(server, path):
    """Breaks if the lock of a dead process stays, or its part is not resumed."""
    server.goes_on.clear()
    first = fetching(server.url, path)
    wait_until(lambda: has_begun(path))
    second = fetching(server.url, path)
    waits(second)
    first.send_signal(signal.SIGKILL)
    assert commands.finish(first)[0] == -signal.SIGKILL
    server.goes_on.set()
    assert commands.finish(second) == (0, "", "")
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]
    first_range, second_range = server.ranges
    assert first_range is None and second_range.startswith("bytes=")


def test_waiting_process_starts_anew_after_a_failed_one(server, path):
    """Breaks if the second writes to a part that the first has removed."""
    path.parent.mkdir(parents=True)
    with open(str(part_of(path)), "a+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = fetching(server.url, path)
        waits(second)
        part_of(path).unlink()
    assert commands.finish(second) == (0, "", "")
    assert path.read_bytes() == CONTENT
    assert os.listdir(str(path.parent)) == [path.name]


def test_waiting_can_be_interrupted(server, path):
    """Breaks if Ctrl-C does not end the wait, or removes the part of the other process."""
    write_part(path, CONTENT[:1000])
    with open(str(part_of(path)), "a+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = fetching(server.url, path)
        waits(second)
        second.send_signal(signal.SIGINT)
        assert commands.finish(second)[0] in (-signal.SIGINT, 1)
        assert part_of(path).read_bytes() == CONTENT[:1000]


def test_file_that_is_there_is_left_alone(server, path):
    """Breaks if a file that another process has brought is downloaded again, or a part stays."""
    write_part(path, CONTENT[:1000])
    path.write_bytes(CONTENT)
    download.fetch(server.url, str(path), MD5)
    assert server.ranges == []
    assert os.listdir(str(path.parent)) == [path.name]
