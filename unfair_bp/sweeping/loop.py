"""The loop of a sweep: attempts until every run is done, has failed, or a signal stops them all."""

import contextlib
import os
import sys
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Optional, Sequence

from unfair_bp import files
from unfair_bp.console import progress_bar
from unfair_bp.environment import library
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case
from unfair_bp.running.signals import Interrupted, stopped_by_signals
from unfair_bp.sweeping.attempt import Job, Outcome
from unfair_bp.sweeping.cluster import Cluster, connected, load_dask, outcome_of
from unfair_bp.sweeping.plan import PlannedRun, Progress
from unfair_bp.sweeping.signs import EVERY, SignOfLife, cannot_write

if TYPE_CHECKING:
    from distributed import Future
    from tqdm import tqdm

LOCK, SIGN = "sweep.lock", "sweep.alive"
RETRIES = 3  # of a run that was killed and did not get any further
POLL = 0.2  # seconds between two looks at the attempts
BAR = "sweep: {percentage:3.0f}%|{bar}| {n:.1f}/{total} runs [{elapsed}<{remaining}{postfix}]"


class Result(NamedTuple):
    """What has become of a run."""

    run: PlannedRun
    state: str  # "done", "was done" or "failed"
    message: str = ""  # why it failed


def sweep(
    runs: Sequence[PlannedRun], root: str, scheduler: Optional[str], workers: int
) -> List[Result]:
    """Train every run that is not finished; what is reported of each is printed as it ends.

    Args:
        runs: What to train.
        root: The directory of the sweep; it is made.
        scheduler: Address of the scheduler whose workers train; None for threads of this process.
        workers: Without a scheduler, the number of runs at a time.

    Returns:
        The runs in their order, with what has become of each.

    Raises:
        Interrupted: After Ctrl-C, SIGTERM or SIGHUP, when every run is saved.
        UsageError: If another sweep works in this directory, or the scheduler cannot be reached.
    """
    results = {run: Result(run, "was done") for run in runs if run.progress().finished}
    open_runs = [run for run in runs if run not in results]
    if not open_runs:
        return list(results.values())
    load_dask()  # before anything is written
    with stopped_by_signals() as check_signals, connected(scheduler, workers) as cluster, _sign_in(
        root
    ) as sign:
        loop = _Loop(open_runs, sign, cluster)
        with loop.bar:
            try:
                while loop.pending:
                    loop.turn()
                    check_signals()
            except Interrupted:
                sign.end()
                loop.wait()
                raise
        results.update(loop.results)
    return [results[run] for run in runs]


def runs_at_a_time(cases: Sequence[Case]) -> int:
    """How many runs occupy the processor's cores that this process may use, at least one."""
    with library("Dask", "dask distributed"):
        from dask.system import CPU_COUNT  # noqa: PLC0415 - minds affinity and control groups

    threads = max(case.threads or CPU_COUNT for case in cases)
    return max(1, CPU_COUNT // threads)


@contextlib.contextmanager
def _sign_in(root: str) -> Iterator[SignOfLife]:
    """Keep other sweeps out of the directory, and give a sign of life, until the context ends."""
    try:
        os.makedirs(root, exist_ok=True)
    except OSError as error:
        raise cannot_write(root, error) from error
    with files.only_process(os.path.join(root, LOCK), f"is sweeping into {root}"):
        sign = SignOfLife(os.path.join(root, SIGN))
        try:
            sign.give()
            yield sign
        finally:
            sign.end()


class _Loop:
    """The attempts that are under way, and what they are for."""

    def __init__(self, runs: Sequence[PlannedRun], sign: SignOfLife, cluster: Cluster) -> None:
        self.results: Dict[PlannedRun, Result] = {}
        self.pending: Dict[Future, PlannedRun] = {}
        self._sign, self._cluster = sign, cluster
        self._places = {run: place for place, run in enumerate(runs)}
        self._known: Dict[PlannedRun, Progress] = {run: run.progress() for run in runs}
        self._begun_at: Dict[PlannedRun, int] = {}  # step at which the attempt under way began
        self._setbacks = dict.fromkeys(runs, 0)  # attempts in a row that were killed in vain
        self._looked = time.monotonic()
        self.bar: tqdm = progress_bar(
            total=len(runs), initial=self._done(), bar_format=BAR, smoothing=0
        )
        for run in runs:
            self._submit(run)

    def turn(self) -> None:
        """Look once at everything, and wait a little.

        Raises:
            UsageError: If the scheduler is lost, or the sign of life cannot be written.
        """
        self._sign.give()
        self._cluster.check()
        for future in [future for future in self.pending if future.done()]:
            run = self.pending.pop(future)
            try:
                outcome = outcome_of(future)
            except CancelledError:
                self._cluster.check()  # a scheduler that was replaced has forgotten it
                self._submit(run)
                continue
            if outcome is None:
                self.pending[future] = run
            else:
                self._settle(run, outcome)
        if time.monotonic() - self._looked > EVERY:
            self._looked = time.monotonic()
            for run in self.pending.values():
                self._look(run)
            self._show()
        time.sleep(POLL)

    def wait(self) -> None:
        """Wait until no attempt is in hand any more; the sweep's sign of life is gone already."""
        self.bar.set_postfix_str("saving")
        while not all(future.done() for future in self.pending):
            try:
                self._cluster.check()
                if not self._cluster.working():
                    return
            except UsageError:  # the scheduler is lost; its workers stop by themselves
                return
            time.sleep(POLL)

    def _submit(self, run: PlannedRun) -> None:
        job = Job(
            cwd=os.getcwd(),
            path=run.path,
            log=run.log,
            words=run.words,
            data=run.case.data,
            data_dir=run.data_dir,
            sign=self._sign.path,
            owner=self._sign.owner,
        )
        self._begun_at[run] = self._known[run].step
        self.pending[self._cluster.submit(job, self._places[run])] = run

    def _settle(self, run: PlannedRun, outcome: Outcome) -> None:
        """Note that an attempt is over: the run is done, has failed, or is tried again."""
        now = self._look(run)
        if outcome.status == 0 and now.finished:
            self._end(Result(run, "done"))
        elif outcome.status == 0:
            there = "its files are not here; all machines must share the directory of --root"
            self._end(Result(run, "failed", there))
        elif 0 < outcome.status <= 128:
            said = outcome.message or f"status {outcome.status}"
            self._end(Result(run, "failed", said))
        else:
            further = now.step > self._begun_at[run]
            self._setbacks[run] = 0 if further else self._setbacks[run] + 1
            if self._setbacks[run] > RETRIES:
                why = f"killed {RETRIES + 1} times in a row, the last time by "
                why += f"signal {abs(outcome.status) % 128}"
                self._end(Result(run, "failed", f"{why}; {outcome.message}".rstrip("; ")))
            else:
                self._submit(run)

    def _end(self, result: Result) -> None:
        self.results[result.run] = result
        text = f"{result.state}: {result.run.path}"
        self.bar.write(f"{text} ({result.message})" if result.message else text)
        sys.stdout.flush()
        self._show()

    def _look(self, run: PlannedRun) -> Progress:
        """Read how far a run is; what cannot be read counts as unchanged."""
        with contextlib.suppress(UsageError, OSError):
            self._known[run] = run.progress()
        return self._known[run]

    def _done(self) -> float:
        """Runs that are done, fractions included; a run that has failed counts as done."""
        return sum(
            1.0 if run in self.results else min(1.0, now.epochs / run.case.epochs)
            for run, now in self._known.items()
        )

    def _show(self) -> None:
        self.bar.n = self._done()
        at_once = min(len(self.pending), self._cluster.slots)
        self.bar.set_postfix_str(f"{at_once} at a time")
