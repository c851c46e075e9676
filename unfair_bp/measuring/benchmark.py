"""What :mod:`unfair_bp.benchmark` measures, as plain values, and its table."""

import os
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from unfair_bp.backprop.fast import choice
from unfair_bp.console import progress_bar
from unfair_bp.data import augment
from unfair_bp.experiment.cases import Case
from unfair_bp.measuring import processes, subjects, throughput
from unfair_bp.measuring.timing import Quartiles, alternate, quartiles
from unfair_bp.running import provenance

HELP_STARTS = 5  # timed starts of a command's help
PASSES = {
    "forward": "forward",
    "input_grad": "input gradient",
    "param_grad": "weight gradient",
}
Result = Dict[str, Any]  # of what JSON has


def measure(case: Case, repeats: int, input_repeats: int) -> Result:
    """Measure everything, with a progress bar.

    Args:
        case: Width, batch size and threads.
        repeats: Timed runs of each step.
        input_repeats: Timed runs of the iterations with and without augmentation.

    Returns:
        What ``--json`` writes. Times are in seconds, each as its quartiles.
    """
    augment.check_available()  # before minutes of work
    help_seconds = quartiles([processes.seconds_of_help() for _ in range(HELP_STARTS)])
    start = processes.start_of(case)
    with subjects.steps(case) as works:
        total = (1 + repeats) * len(works)
        with progress_bar(total=total, unit="run", desc="steps") as bar:
            runs = [work.subject for work in works.values()]
            seconds = alternate(runs, repeats, after_run=bar.update)
    with subjects.forms(case) as forms:
        total = (1 + repeats) * len(forms)
        with progress_bar(total=total, unit="run", desc="forms") as bar:
            runs = [work.subject for work in forms.values()]
            alone = alternate(runs, repeats, after_run=bar.update)
    with subjects.inputs(case) as runs:
        total = (1 + input_repeats) * len(runs)
        with progress_bar(total=total, unit="run", desc="input") as bar:
            fed = alternate(runs, input_repeats, after_run=bar.update)
    per_iteration = {
        name: laps[:, 0] / subjects.iterations_per_lap(case) for name, laps in fed.items()
    }
    return {
        "environment": _environment(),
        "settings": {
            "width": case.width,
            "batch_size": case.batch_size,
            "threads": case.threads,
            "repeats": repeats,
            "input_repeats": input_repeats,
        },
        "steps": _steps(works, seconds),
        "forms": _forms(forms, alone),
        "input": {name: quartiles(values) for name, values in per_iteration.items()},
        "start": {"help_seconds": help_seconds, **start._asdict()},
    }


def measure_sweep(case: Case, workers: Optional[Sequence[int]], repeats: int) -> Result:
    """Measure many runs at once, with a progress bar.

    Args:
        case: Width, batch size and epochs of a run.
        workers: Numbers of runs at a time; None: 1, 2, 4, ... up to the number of cores.
        repeats: Turns of each number of runs.

    Returns:
        What ``--json`` writes.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    powers = [2**power for power in range(cores.bit_length())]
    return {
        "environment": _environment(),
        "settings": {
            "width": case.width,
            "batch_size": case.batch_size,
            "epochs": case.epochs,
            "cores": cores,
            "repeats": repeats,
        },
        **throughput.measure(case, cores, workers or powers, repeats),
    }


def _environment() -> Dict[str, str]:
    """The versions and the processor that were measured."""
    return {
        **provenance.software(),
        "kernels": choice.library(),
        "processor": provenance.processor(),
    }


def _steps(works: Dict[str, Any], seconds: Dict[str, np.ndarray]) -> List[Dict[str, Any]]:
    """Mean time of a lap of each subject and, for a schedule of several rows, of each row."""
    rows = []
    for name, work in works.items():
        laps = seconds[name].reshape(len(seconds[name]), -1, work.period).mean(axis=1)
        flops, several = np.array(work.flops[: work.period]), work.period > 1
        if several:
            rows += [_step(name, row, laps[:, row], flops[row]) for row in range(work.period)]
        label = f"{name}, mean" if several else name
        rows.append(_step(label, None, laps.mean(axis=1), flops.mean()))
    return rows


def _forms(works: Dict[Any, Any], seconds: Dict[str, np.ndarray]) -> List[Dict[str, Any]]:
    """A row for each layer's convolution, and for each derivative of it, in each form."""
    return [
        {
            **form._asdict(),
            "seconds": quartiles(seconds[work.subject.name].mean(axis=1)),
            "flops": float(work.flops[0]),
        }
        for form, work in works.items()
    ]


def _step(name: str, row: Optional[int], seconds: np.ndarray, flops: float) -> Dict[str, Any]:
    return {"name": name, "row": row, "seconds": quartiles(seconds), "flops": float(flops)}


def as_text(result: Result) -> str:
    """The result as a table."""
    facts = {**result["environment"], **result["settings"]}
    lines = [f"{name:<14} {value}" for name, value in facts.items()]
    if "throughput" in result:
        return "\n".join([*lines, "", throughput.as_text(result)])
    lines += ["", *_step_lines(result), "", *_form_lines(result), "", *_other_lines(result)]
    return "\n".join(lines)


def _step_lines(result: Result) -> List[str]:
    """A line for each step: its time, what part of a fair step that is, and its rate."""
    steps = {(step["name"], step["row"]): step for step in result["steps"]}
    fair, rate = steps[subjects.FAIR, None], multiply_rate(result)
    lines = [
        "                                                                      share of the",
        "step                       ms      quartiles   / fair   floor  GFLOP/s  matrix product's",
    ]
    for (name, row), step in steps.items():
        time = Quartiles(*step["seconds"])
        gflops = step["flops"] / time.median / 1e9
        label = name if row is None else f"{name}, row {row}"
        quarter = f"{1e3 * time.low:.2f} - {1e3 * time.high:.2f}"
        relative = floor = share = ""
        if not name.startswith(subjects.PRODUCT):
            relative = f"{time.median / fair['seconds'][1]:.3f}"
            floor = f"{step['flops'] / fair['flops']:.3f}"
            share = f"{gflops / rate:.3f}"
        line = f"{label:<20} {1e3 * time.median:8.2f} {quarter:>18} {relative:>7} {floor:>7} "
        lines.append(f"{line}{gflops:8.0f} {share:>7}".rstrip())
    return lines


def multiply_rate(result: Result) -> float:
    """The machine's rate of multiplying matrices, GFLOP/s: that of the size that does best."""
    return max(
        step["flops"] / step["seconds"][1] / 1e9
        for step in result["steps"]
        if step["name"].startswith(subjects.PRODUCT)
    )


def _form_lines(result: Result) -> List[str]:
    """The rates of each pass, alone: a line for each layer, a column for each form."""
    lines = ["the convolution alone in each form, GFLOP/s of the sum as it is written; * is used"]
    for name, title in PASSES.items():
        rows = [row for row in result["forms"] if row["name"] == name]
        columns = list(dict.fromkeys(row["form"] for row in rows))
        layers: Dict[int, Dict[str, str]] = {}
        for row in rows:
            rate = row["flops"] / row["seconds"][1] / 1e9
            mark = "*" if row["chosen"] else " "
            layers.setdefault(row["layer"], {})[row["form"]] = f"{rate:.0f}{mark}"
        lines += ["", title, "layer " + "".join(f"{column:>10}" for column in columns)]
        for layer, cells in sorted(layers.items()):
            rates = "".join(f"{cells.get(column, ''):>10}" for column in columns)
            lines.append(f"{layer:5} {rates}".rstrip())
    return lines


def _other_lines(result: Result) -> List[str]:
    """Input, start and memory."""
    # In the order in which they were measured: batches that are ready, and augmented ones.
    (ready, ready_ms), (augmented, augmented_ms) = (
        (name, 1e3 * Quartiles(*time).median) for name, time in result["input"].items()
    )
    start = result["start"]
    peak = start["peak_bytes"]
    memory = "unknown" if peak is None else f"{peak / 2**30:.2f} GiB"
    return [
        f"input        {ready} {ready_ms:.2f} ms, {augmented} {augmented_ms:.2f} ms "
        f"an iteration: {augmented_ms / ready_ms:.3f}",
        f"start        --help {start['help_seconds'][1]:.2f} s, "
        f"import of TensorFlow {start['import_seconds']:.2f} s, "
        f"graph {start['graph_seconds']:.2f} s",
        f"peak memory  {memory} on a training set of CIFAR-10's size",
    ]
