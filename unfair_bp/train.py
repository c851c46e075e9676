"""Train a case or a schedule and write a run directory with metrics, checkpoints and weights.

For example:

    python -m unfair_bp.train --case e
    python -m unfair_bp.train --schedule random:3 --quick
    python -m unfair_bp.train --resume --run-dir logs/case_e/seed678
"""

import argparse
import sys
import types
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from unfair_bp import commandline
from unfair_bp.console import shell_line, warn
from unfair_bp.experiment import cases, matrix, naming
from unfair_bp.reporting import pictures
from unfair_bp.running.directory import RunDirectory

if TYPE_CHECKING:
    from unfair_bp.data.dataset import Dataset
    from unfair_bp.running.metrics import EpochMetrics


def layer_table(case: cases.Case) -> str:
    """Return a line for each layer of the network, with its updates per cycle of the schedule."""
    layers, schedule = case.layers, cases.schedule_of(case)
    lines = [f"  layer  kernel  channels    size   weights   MFLOP   updates/{schedule.cycle}"]
    updates = schedule.updates(schedule.cycle)
    for number, (layer, count) in enumerate(zip(layers, updates), start=1):
        kernel, size = f"{layer.kernel}x{layer.kernel}", f"{layer.size:2d}x{layer.size:<2d}"
        lines.append(
            f"  {number:5d}   {kernel:3}   {layer.inputs:4d} ->{layer.outputs:4d}  {size:5}  "
            f"{layer.weight_count:8d} {layer.flops / 1e6:7.2f}   {count}"
        )
    if schedule.name != case.schedule:
        lines.append(f"  collapsed-rounds: the schedule that runs is {schedule.name}")
    return "\n".join(lines)


def summary(case: cases.Case) -> str:
    """Return what is run, and what it costs, in two lines."""
    iterations = _shown_iterations(case)
    rows = cases.schedule_of(case).updates(iterations) / iterations
    low, high = (f"{100 * part:.3g} %" for part in (rows.min(), rows.max()))
    of = "rounds" if case.protocol == "per-batch" else "iterations"
    optimizer = f"{case.optimizer} with learning rate {case.learning_rate:g}"
    parts = [naming.title(case), case.protocol, f"seed {case.seed}", f"width {case.width:g}"]
    parts += [optimizer, f"batches of {case.batch_size}"]
    parts += [f"{case.epochs} epoch{'' if case.epochs == 1 else 's'}"]
    parts += [f"quirks {', '.join(case.quirks)}"] if case.quirks else []
    return (
        f"{', '.join(parts)}\n"
        f"each layer is updated on {low if low == high else f'{low} to {high}'} of the {of}; "
        f"{_cost(case)}"
    )


def _cost(case: cases.Case) -> str:
    schedule, layers = cases.schedule_of(case), case.layers
    fair, iterations = matrix.fair_step_flops(layers), _shown_iterations(case)
    cost = schedule.flops(layers, iterations) / (iterations * fair)
    if case.protocol == "per-batch":
        cost = schedule.cycle_flops(layers) / fair
    return f"an iteration costs on average {cost:.3f} times a fair one"


def _shown_iterations(case: cases.Case) -> int:
    """A cycle, or the run if that is shorter: of some schedules a run sees only the beginning."""
    cycle, run = cases.schedule_of(case).cycle, cases.run_length(case)
    return cycle if case.protocol == "per-batch" or run is None else min(cycle, run)


def warn_of_idle(case: cases.Case, as_run: bool) -> None:
    """Name on standard error what was asked for and changes nothing, and what never changes.

    Args:
        case: The resolved case.
        as_run: Whether ``--as-run`` was given.
    """
    for name in cases.idle_quirks(case):
        warn(f"the quirk {name} changes nothing in this run")
    if as_run and not case.quirks:
        warn("--as-run changes nothing: only the scripts of b to f had quirks; give their --case")
    idle = naming.idle_layers(case)
    if idle:
        noun = "layer" if idle.isdigit() else "layers"
        warn(f"the schedule never updates {noun} {idle}: the initial weights stay")


def main(arguments: Sequence[str]) -> int:
    """Train; returns the exit status."""
    options = _parser().parse_args(arguments)
    case, run = _case_and_directory(options)

    from unfair_bp.data import sources  # noqa: PLC0415 - --help answers at once

    dataset = sources.load(case, options.data_dir)
    if not options.no_plots:
        pictures.check_available()  # before hours of training

    from unfair_bp.running import training  # noqa: PLC0415 - imports TensorFlow

    warn_of_idle(case, options.as_run)
    print(summary(case))
    if options.verbose:
        print(f"case\n{cases.as_text(case)}\nlayers\n{layer_table(case)}")
    held_out = case.validation_size or 0
    validating = f"validating on {held_out}, " if held_out else ""
    print(
        f"training on {len(dataset.train_images) - held_out} images of {dataset.name}, "
        f"{validating}testing on {len(dataset.test_images)}; writing {run.path}",
        flush=True,
    )
    words = ["python", "-m", "unfair_bp.train", *arguments]
    try:
        training.train(
            case,
            dataset,
            run.path,
            resume=options.resume,
            overwrite=options.overwrite,
            checkpoint_minutes=options.checkpoint_minutes,
            tensorboard=options.tensorboard,
            report=lambda line: print(line, flush=True),
            command=shell_line(words),
        )
    except training.Interrupted as interrupt:
        again = [word for word in words if word not in ("--resume", "--overwrite")]
        print(
            f"interrupted and saved; go on with: {shell_line([*again, '--resume'])}",
            file=sys.stderr,
        )
        return interrupt.status
    if not options.no_plots:
        pictures.draw(run.path)
    print(f"done: {run.path}")
    return 0


def _parser() -> commandline.Parser:
    parser = commandline.Parser(prog="python -m unfair_bp.train", description=__doc__)
    commandline.add_case(parser)
    commandline.add_quick(parser)
    commandline.add_fields(parser)
    commandline.add_data_dir(parser)
    parser.add_argument(
        "--run-dir",
        type=commandline.path,
        metavar="DIR",
        help="where to write (default: logs/case_<x>/seed<k>, or logs/<schedule>/seed<k>, with the "
        "fields that are not the case's own in the name; with --quick below logs/quick)",
    )
    commandline.add_training(parser)
    parser.add_argument(
        "--verbose", action="store_true", help="print every field of the case, and the layers"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --run-dir with its stored options, --data-dir excepted",
    )
    existing.add_argument("--overwrite", action="store_true", help="replace the run in --run-dir")
    return parser


def _case_and_directory(options: argparse.Namespace) -> Tuple[cases.Case, RunDirectory]:
    """The case and its run directory; the case of a run to resume is read from there.

    Raises:
        UsageError: If it cannot be run there, or options contradict the run to resume.
    """
    if not (options.resume and options.run_dir):
        case = commandline.resolve_case(options)
        run = RunDirectory(options.run_dir or naming.default_path(case, options.quick))
    else:
        run = RunDirectory(options.run_dir)
    if options.resume:
        run.check_free(resume=True, overwrite=False)
        case = commandline.resumed_case(options, run.case(), run.path)
    run.check_start(case, options.resume, options.overwrite)
    return case, run


class _CallableModule(types.ModuleType):
    """This module, which is also the function ``unfair_bp.train`` of the front door."""

    def __call__(
        self, case: cases.Case, data: "Optional[Dataset]", run_dir: str, **options: Any
    ) -> "List[EpochMetrics]":
        """Train a case; see :func:`unfair_bp.running.training.train`."""
        from unfair_bp.running import training  # noqa: PLC0415 - --help answers at once

        return training.train(case, data, run_dir, **options)


sys.modules[__name__].__class__ = _CallableModule


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
