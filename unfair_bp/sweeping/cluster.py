"""Where attempts run: threads of this process, or the workers of a Dask scheduler.

This module alone imports ``distributed``.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import tempfile
from concurrent.futures import CancelledError
from types import ModuleType
from typing import Iterator, Optional

from unfair_bp.environment import library
from unfair_bp.errors import UsageError
from unfair_bp.sweeping.attempt import Job, Outcome, attempt

ANY_PORT = "127.0.0.1:0"  # of the loopback interface
CONNECT_SECONDS = 20
RESULT_SECONDS = 5
TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError)
LOST_SCHEDULER = (
    "the connection to the scheduler is lost; runs that were begun are being saved: start "
    "scheduler and workers again, then run the same command"
)
LOST = -9  # status of an attempt whose workers were lost: SIGKILL, which Windows does not name


class Cluster:
    """What runs attempts.

    Args:
        client: A client of ``distributed``.
    """

    def __init__(self, client: "distributed.Client") -> None:  # noqa: F821 - imported when used
        self._client = client

    @property
    def slots(self) -> int:
        """How many attempts run at a time now."""
        with _connection():
            return sum(self._client.nthreads().values())

    def submit(self, job: Job, place: int) -> "distributed.Future":  # noqa: F821
        """Have an attempt made when its turn comes.

        Args:
            job: What to train.
            place: Of the run in the sweep; of those that wait, the lowest is next.
        """
        with _connection():
            return self._client.submit(attempt, job, pure=False, retries=0, priority=-place)

    def check(self) -> None:
        """Make sure that the scheduler is still there.

        Raises:
            UsageError: If it is not, as in all other methods.
        """
        if self._client.status != "running":
            raise UsageError(LOST_SCHEDULER)

    def working(self) -> bool:
        """Whether any worker has an attempt in hand."""
        with _connection():
            return any(self._client.processing().values())


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    """Say in one line that the scheduler does not answer."""
    try:
        yield
    except (OSError, RuntimeError, CancelledError, *TIMEOUTS) as error:
        raise UsageError(LOST_SCHEDULER) from error


def outcome_of(future: "distributed.Future") -> Optional[Outcome]:  # noqa: F821
    """Return how an attempt has ended; None if that cannot be had now.

    A result is kept by the worker that has made it. If that is lost, the attempt is made again.

    Raises:
        CancelledError: If the scheduler does not know of the attempt any more.
    """
    from distributed.comm import CommClosedError  # noqa: PLC0415 - takes a second
    from distributed.scheduler import KilledWorker  # noqa: PLC0415

    try:
        return Outcome(*future.result(timeout=RESULT_SECONDS))
    except CancelledError:
        raise
    except KilledWorker:
        return Outcome(LOST, "its workers were lost")
    except Exception as error:  # whatever a worker raises, its own ImportError among them
        late = isinstance(error, (*TIMEOUTS, CommClosedError))
        if late and future.status != "error":  # an attempt may fail with a timeout of its own
            return None
        return Outcome(1, f"a worker failed: {type(error).__name__}: {error}")


def load_dask() -> ModuleType:
    """Return ``distributed``, which takes a second and only sweeps need.

    Raises:
        LibraryError: If it cannot be loaded.
    """
    with library("Dask", "dask distributed"):
        import distributed  # noqa: PLC0415
    return distributed


@contextlib.contextmanager
def connected(scheduler: Optional[str], workers: int) -> Iterator[Cluster]:
    """Connect to a scheduler, or have threads of this process for workers, until the context ends.

    Args:
        scheduler: Its address, such as ``tcp://10.0.0.1:8786``; None for this process.
        workers: Without a scheduler, the number of attempts at a time.

    Raises:
        UsageError: If there is no scheduler at this address.
    """
    distributed = load_dask()
    # What it logs of lost connections is reported, in fewer words, by the sweep.
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler is None:
        with tempfile.TemporaryDirectory() as scratch, distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=workers,
            processes=False,
            memory_limit=None,
            dashboard_address=ANY_PORT,
            worker_dashboard_address=ANY_PORT,
            local_directory=scratch,
            silence_logs=logging.CRITICAL,
        ) as local, distributed.Client(local) as client:
            yield Cluster(client)
        return
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"--scheduler {scheduler!r} cannot be reached ({reason}); start one with `dask "
            "scheduler`, and give the address that it prints, such as tcp://HOST:8786"
        ) from error
    with client:
        yield Cluster(client)
