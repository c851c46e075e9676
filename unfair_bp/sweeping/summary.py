"""A sweep in words: what it would run, and what has become of it."""

from typing import List, Sequence

from unfair_bp.console import shell_line
from unfair_bp.sweeping.loop import Result
from unfair_bp.sweeping.plan import PlannedRun


def plan_text(runs: Sequence[PlannedRun]) -> str:
    """A line for each run: how far it is, and the command that trains it."""
    lines = []
    for run in runs:
        now, exists = run.progress(), run.directory.exists
        state = f"epoch {now.epochs} of {run.case.epochs}" if exists else "new"
        words = ["python", "-m", "unfair_bp.train", *run.words, f"--run-dir={run.path}"]
        words += ["--resume"] if exists else []
        lines.append(f"{'done' if now.finished else state:<15} {shell_line(words)}")
    return "\n".join(lines)


def table(results: Sequence[Result]) -> str:
    """A line for each run: epochs, test accuracy after the last of them, minutes of training."""
    width = max(len(result.run.path) for result in results)
    lines = [f"{'run':<{width}}  {'state':<8}  epochs  test accuracy  minutes"]
    for result in results:
        metrics = result.run.directory.read_metrics()
        accuracy = f"{metrics[-1].test_accuracy:.4f}" if metrics else "-"
        minutes = sum(epoch.seconds for epoch in metrics) / 60
        epochs = f"{len(metrics)}/{result.run.case.epochs}"
        lines.append(
            f"{result.run.path:<{width}}  {result.state:<8}  {epochs:>6}  {accuracy:>13}  "
            f"{minutes:7.1f}"
        )
    return "\n".join(lines)


def failures(results: Sequence[Result]) -> List[Result]:
    """The runs that have failed."""
    return [result for result in results if result.state == "failed"]
