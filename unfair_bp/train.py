"""Train one of the six cases and leave a run directory with metrics, checkpoints and weights.

For example:

    python -m unfair_bp.train --case e
    python -m unfair_bp.train --case c --quick
"""

import sys
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.console import shell_line
from unfair_bp.errors import UsageError
from unfair_bp.experiment import cases, schedules
from unfair_bp.reporting import pictures
from unfair_bp.running.directory import (
    RunDirectory,
    case_configuration,
    configuration,
    default_path,
)


def layer_table(case: cases.Case) -> str:
    """The network as text: one line for each layer, with its updates per cycle of the schedule."""
    layers, schedule = case.layers, cases.schedule_of(case)
    lines = ["  layer  kernel  channels    size   weights   MFLOP   updates/%d" % schedule.period]
    for number, (layer, updates) in enumerate(
        zip(layers, schedule.updates(schedule.period)), start=1
    ):
        lines.append(
            "  %5d   %dx%d   %4d ->%4d  %2dx%-2d  %8d %7.2f   %d"
            % (
                number,
                layer.kernel,
                layer.kernel,
                layer.inputs,
                layer.outputs,
                layer.size,
                layer.size,
                layer.weight_count,
                layer.flops / 1e6,
                updates,
            )
        )
    if schedule.name != case.schedule:
        lines.append("  collapsed-rounds: the schedule that runs is %s" % schedule.name)
    cost = schedule.relative_cost(layers)
    if case.protocol == "per-batch":
        cost = schedule.cycle_flops(layers) / schedules.fair_step_flops(layers)
    lines.append("  a mean iteration costs %.3f of a fair one" % cost)
    return "\n".join(lines)


def warn_of_idle_quirks(case: cases.Case, as_run: bool) -> None:
    """Say on standard error which quirks were asked for and change nothing in this run.

    Args:
        case: The resolved case.
        as_run: Whether ``--as-run`` was given.
    """
    for name in cases.idle_quirks(case):
        print("warning: the quirk %s changes nothing in this run" % name, file=sys.stderr)
    if as_run and not case.quirks:
        print(
            "warning: --as-run changes nothing: the script of case %s had no quirk" % case.name,
            file=sys.stderr,
        )


def main(arguments: Sequence[str]) -> int:
    """Train; returns the exit status."""
    parser = commandline.Parser(prog="python -m unfair_bp.train", description=__doc__)
    commandline.add_case(parser)
    commandline.add_quick(parser)
    commandline.add_fields(parser)
    commandline.add_data_dir(parser)
    parser.add_argument(
        "--run-dir",
        type=commandline.path,
        metavar="DIR",
        help="where to write (default: logs/case_<x>/seed<k>, with --quick below logs/quick)",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=10.0,
        metavar="FLOAT",
        help="also save within an epoch, this often (10); a run that is killed loses no more",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write scalars, histograms and the graph for TensorBoard",
    )
    parser.add_argument(
        "--no-plots", action="store_true", help="do not draw the run's pictures at its end"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with the run in --run-dir")
    existing.add_argument("--overwrite", action="store_true", help="replace the run in --run-dir")
    options = parser.parse_args(arguments)
    case = commandline.resolve_case(options)
    if not options.checkpoint_minutes > 0:
        raise UsageError(
            "--checkpoint-minutes %g is out of range; give a number above 0"
            % options.checkpoint_minutes
        )
    run = RunDirectory(options.run_dir or default_path(case, options.quick))
    run.check_free(options.resume, options.overwrite)
    if options.resume:
        # Before data is loaded, or even downloaded.
        run.check_same(case_configuration(case))
        run.check_checkpoint(begun=False)

    warn_of_idle_quirks(case, options.as_run)
    print("case")
    print(cases.as_text(case))
    print("layers")
    print(layer_table(case), flush=True)

    from unfair_bp.data import sources  # noqa: PLC0415 - --help answers at once

    dataset = sources.load(case, options.data_dir)
    if options.resume:
        run.check_same(configuration(case, dataset))

    from unfair_bp.running.training import Interrupted, Trainer  # noqa: PLC0415 - imports TensorFlow

    trainer = Trainer(case, dataset, run, options.checkpoint_minutes, options.tensorboard)
    print(
        "training on %d images of %s, testing on %d; writing %s"
        % (len(dataset.train_images), dataset.name, len(dataset.test_images), run.path),
        flush=True,
    )
    words = ["python", "-m", "unfair_bp.train", *arguments]
    try:
        with run.lock():
            run.check_free(options.resume, options.overwrite)  # once more: data takes its time
            trainer.train(words, options.resume, lambda line: print(line, flush=True))
    except Interrupted:
        again = [word for word in words if word not in ("--resume", "--overwrite")]
        print(
            "interrupted and saved; go on with: %s" % shell_line([*again, "--resume"]),
            file=sys.stderr,
        )
        return commandline.INTERRUPTED_STATUS
    if not options.no_plots:
        pictures.draw(run.path)
    print("done: %s" % run.path)
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
