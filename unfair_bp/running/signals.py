"""Stopping a run: Ctrl-C and some signals take effect after an iteration, and it is saved.

The signals are SIGTERM, SIGHUP, and SIGXCPU, which says that the processor's time is used up. A
batch system should send one of these before its time limit, as Slurm does with
``--signal=TERM@60``. SIGUSR1 is left to ``faulthandler``, which shows where a process hangs.
"""

import contextlib
import signal
import threading
from typing import Callable, Iterator, List, Optional, Set

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU")  # Windows lacks the last two
STOPPING = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
STATUS = "/proc/self/status"  # where Linux says what a process handles


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
    immediate. A second one of the others changes nothing: ``timeout`` and a terminal that closes
    signal the process and its group, and SIGXCPU comes every second.

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
    caught = _caught()
    before = {
        number: handler
        for number, handler in before.items()
        if handler not in (signal.SIG_IGN, None)
        and not (handler == signal.SIG_DFL and number in caught)
    }
    for number in before:
        signal.signal(number, handle)
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _caught() -> Set[int]:
    """The signals that this process has a handler for, as Linux knows them.

    Python takes a signal that C code handles, as ``faulthandler`` does, for one that nobody does.
    """
    mask = 0
    with contextlib.suppress(OSError), open(STATUS, errors="replace") as file:
        mask = next((int(line.split()[1], 16) for line in file if line.startswith("SigCgt:")), 0)
    return {number for number in STOPPING if mask >> (number - 1) & 1}
