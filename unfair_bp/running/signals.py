"""Stopping a run: Ctrl-C, SIGTERM and SIGHUP take effect after an iteration, and it is saved."""

import contextlib
import signal
import threading
from typing import Callable, Iterator, List, Optional

# Windows has no SIGHUP.
STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(Exception):
    """A signal asked the run to stop; everything up to its last iteration is saved.

    Args:
        number: The signal.

    Attributes:
        status: The exit status that shells report for this signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__("the run was interrupted and saved; resume it to go on")
        self.status = 128 + number


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Callable[[], None]]:
    """Yield a function that raises Interrupted if one of the signals has arrived.

    An exception in the middle of an iteration would lose the iteration's cost. A second Ctrl-C is
    immediate. A second SIGTERM or SIGHUP changes nothing: ``timeout`` and a terminal that closes
    signal the process and its group, so that one request often arrives twice.

    Signals that the process ignores (``nohup``) stay ignored. A handler that was not installed from
    Python is left in place, because it could not be restored.
    """
    received: List[int] = []

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    if threading.current_thread() is not threading.main_thread():
        yield check  # only the main thread may handle signals
        return

    def handle(number: int, frame: Optional[object]) -> None:
        received.append(number)
        if number == signal.SIGINT:
            signal.signal(number, before[number])

    before = {number: signal.getsignal(number) for number in STOPPING}
    before = {
        number: handler
        for number, handler in before.items()
        if handler not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, handle)
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
