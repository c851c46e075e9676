"""Evaluate the newest checkpoint of a run: cost, accuracy, per-class accuracy, confusion matrix.

For example:

    python -m unfair_bp.evaluate logs/case_e/seed678
"""

import sys
from typing import Sequence

from unfair_bp import commandline
from unfair_bp.console import progress_bar
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import OWN_DATA, Case
from unfair_bp.running.directory import METRICS, RunDirectory


def _parser() -> commandline.Parser:
    """What may be asked for."""
    parser = commandline.Parser(prog="python -m unfair_bp.evaluate", description=__doc__)
    commandline.add_run(parser)
    commandline.add_data_dir(parser)
    parser.add_argument(
        "--validation",
        action="store_true",
        help="evaluate on the images that --validation-size held out, not on the test set",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Evaluate a run; returns the exit status."""
    options = _parser().parse_args(arguments)
    run = RunDirectory(options.run_dir)
    case = Case(**run.read_config()["case"])
    if options.validation and case.validation_size is None:
        raise UsageError(f"--validation: {run.path} held no images out; leave it out")
    if case.data == OWN_DATA:
        raise UsageError(
            f"{run.path} was trained on images given from Python, which are not stored; see its "
            f"{METRICS} for the test accuracy of each epoch"
        )

    from unfair_bp.backprop.graph import build_graph  # noqa: PLC0415
    from unfair_bp.backprop.graph_mode import tf  # noqa: PLC0415
    from unfair_bp.data import sources  # noqa: PLC0415
    from unfair_bp.running import sessions  # noqa: PLC0415 - --help answers at once
    from unfair_bp.running.checkpoints import Checkpoints  # noqa: PLC0415
    from unfair_bp.running.evaluation import as_text, batch_size, evaluate  # noqa: PLC0415

    run.check_checkpoint()  # before data is loaded, or even downloaded
    dataset = sources.load(case, options.data_dir)
    _check_data(dataset, run)
    part, images, labels = "test set", dataset.test_images, dataset.test_labels
    if options.validation:
        part, (images, labels) = "held-out images", dataset.hold_out(case.validation_size)[1]
    graph = build_graph(case)
    with graph.graph.as_default():
        checkpoints = Checkpoints(run, [*graph.weights, graph.step])
    graph.graph.finalize()
    too_large = UsageError(
        f"evaluating {run.path} needs more memory than there is, at width {case.width:g}; free some"
    )
    with sessions.enough_memory(too_large), tf.Session(
        graph=graph.graph, config=sessions.config(case)
    ) as session:
        checkpoints.restore(session)
        with progress_bar(total=len(images), unit="image") as bar:
            evaluation = evaluate(
                session,
                graph,
                images,
                labels,
                batch=batch_size(case.layers),
                after_batch=bar.update,
            )
        print(
            f"{run.path} after {session.run(graph.step)} iterations, on the {part} of "
            f"{dataset.name}\n"
        )
    print(as_text(evaluation, dataset.classes))
    return 0


def _check_data(dataset: Dataset, run: RunDirectory) -> None:
    """Refuse images that the run was not trained with.

    Raises:
        UsageError: If they are others.
    """
    trained = run.read_config()["data"]
    if dataset.fingerprint() != trained["sha256"]:
        raise UsageError(
            f"the data ({dataset.name}) is not what {run.path} was trained with "
            f"({trained['name']}); give its --data-dir"
        )


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
