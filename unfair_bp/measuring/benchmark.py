"""What :mod:`unfair_bp.benchmark` measures, as plain values, and its table."""

from typing import Any, Dict, List, Optional

import numpy as np

from unfair_bp.experiment.cases import Case
from unfair_bp.measuring import processes
from unfair_bp.measuring.timing import Quartiles, alternate, quartiles

HELP_STARTS = 5  # how often the help is asked for
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
    from unfair_bp.console import progress_bar  # noqa: PLC0415 - --help answers at once
    from unfair_bp.measuring import subjects  # noqa: PLC0415 - imports TensorFlow

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


def _environment() -> Dict[str, str]:
    """What the figures hold for."""
    from unfair_bp.backprop.fast import choice  # noqa: PLC0415 - imports TensorFlow
    from unfair_bp.running import provenance  # noqa: PLC0415 - imports TensorFlow

    return {
        **provenance.software(),
        "kernels": choice.library(),
        "processor": provenance.processor(),
    }


def _steps(works: Dict[str, Any], seconds: Dict[str, np.ndarray]) -> List[Dict[str, Any]]:
    """The mean over the laps of each subject, and of each row of a schedule that has several."""
    rows = []
    for name, work in works.items():
        laps = seconds[name].reshape(len(seconds[name]), -1, work.period).mean(axis=1)
        flops, several = np.array(work.flops[: work.period]), work.period > 1
        if several:
            rows += [_step(name, row, laps[:, row], flops[row]) for row in range(work.period)]
        label = "%s, mean" % name if several else name
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
    from unfair_bp.measuring import subjects  # noqa: PLC0415 - imports TensorFlow

    steps = {(step["name"], step["row"]): step for step in result["steps"]}
    fair, rate = steps[subjects.FAIR, None], multiply_rate(result)
    lines = ["%-12s %s" % item for item in {**result["environment"], **result["settings"]}.items()]
    lines += [
        "",
        "                         ms    quartiles       / fair    floor   GFLOP/s   share of the",
        "                                                                           matrix product",
    ]
    for (name, row), step in steps.items():
        time = Quartiles(*step["seconds"])
        gflops = step["flops"] / time.median / 1e9
        label = name if row is None else "%s, row %d" % (name, row)
        text = "%-18s %8.2f %8.2f - %-8.2f" % (
            label,
            *(1e3 * t for t in (time.median, time.low, time.high)),
        )
        if name.startswith(subjects.PRODUCT):
            text += " %27.0f" % gflops
        else:
            relative, floor = time.median / fair["seconds"][1], step["flops"] / fair["flops"]
            text += " %7.3f  %7.3f  %8.0f  %8.3f" % (relative, floor, gflops, gflops / rate)
        lines.append(text)
    return "\n".join([*lines, "", *_form_lines(result), "", *_other_lines(result)])


def multiply_rate(result: Result) -> float:
    """The machine's rate of multiplying matrices, GFLOP/s: that of the size that does best."""
    from unfair_bp.measuring import subjects  # noqa: PLC0415 - imports TensorFlow

    return max(
        step["flops"] / step["seconds"][1] / 1e9
        for step in result["steps"]
        if step["name"].startswith(subjects.PRODUCT)
    )


def _form_lines(result: Result) -> List[str]:
    """The rates of each pass, alone: a line for each layer, a column for each form."""
    lines = [
        "the convolution alone, GFLOP/s of the sum as it is written, in each form; * is used",
    ]
    for name, title in PASSES.items():
        rows = [row for row in result["forms"] if row["name"] == name]
        columns = list(dict.fromkeys(row["form"] for row in rows))
        layers: Dict[int, Dict[str, str]] = {}
        for row in rows:
            rate = row["flops"] / row["seconds"][1] / 1e9
            cell = "%.0f%s" % (rate, "*" if row["chosen"] else " ")
            layers.setdefault(row["layer"], {})[row["form"]] = cell
        lines += ["", title, "layer " + "".join("%10s" % column for column in columns)]
        lines += [
            (
                "%5d " % layer + "".join("%10s" % cells.get(column, "") for column in columns)
            ).rstrip()
            for layer, cells in sorted(layers.items())
        ]
    return lines


def _other_lines(result: Result) -> List[str]:
    """Input, start and memory."""
    (ready, ready_time), (augmented, augmented_time) = (
        (name, Quartiles(*time)) for name, time in result["input"].items()
    )
    start = result["start"]
    peak = start["peak_bytes"]
    return [
        "input        %s %.2f ms, %s %.2f ms an iteration: %.3f"
        % (
            *(ready, 1e3 * ready_time.median, augmented, 1e3 * augmented_time.median),
            augmented_time.median / ready_time.median,
        ),
        "start        --help %.2f s, import of TensorFlow %.2f s, graph %.2f s"
        % (start["help_seconds"][1], start["import_seconds"], start["graph_seconds"]),
        "peak memory  %s on a training set of CIFAR-10's size"
        % ("unknown" if peak is None else "%.2f GiB" % (peak / 2**30)),
    ]
