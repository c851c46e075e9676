"""Every picture of one run, drawn from its directory alone."""

import os
from typing import Dict, List

import numpy as np

from unfair_bp.console import shell_line
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import Case, schedule_of
from unfair_bp.running.directory import (
    EXAMPLES,
    FIGURES,
    WEIGHTS_AFTER,
    WEIGHTS_BEFORE,
    RunDirectory,
)

FORMATS = ("png", "svg", "pdf")


def draw(run: RunDirectory, kind: str = "png") -> Dict[str, str]:
    """Draw every picture of a run that its files suffice for.

    Args:
        run: The run; it must have a finished epoch.
        kind: One of FORMATS.

    Returns:
        The path of each picture by its name: curves, weights, images, updates.

    Raises:
        UsageError: If the run cannot be read, has no finished epoch, or a file cannot be written;
            each picture is then the new one or the one that was there.
    """
    from unfair_bp.figures import style  # noqa: PLC0415 - matplotlib takes a second to import

    pictures = {name: style.render(figure, kind) for name, figure in _figures(run).items()}
    again = shell_line(["python", "-m", "unfair_bp.plots", run.path])
    advice = "all else is intact: make room or give permission, then draw again with " + again
    paths = {}
    try:
        os.makedirs(run.file(FIGURES), exist_ok=True)
    except OSError as error:
        raise UsageError(
            "cannot write %s: %s; %s" % (run.file(FIGURES), error.strerror, advice)
        ) from error
    for name, picture in pictures.items():
        paths[name] = os.path.join(run.file(FIGURES), "%s.%s" % (name, kind))
        style.write(paths[name], picture, advice)
    return paths


def missing(paths: Dict[str, str]) -> List[str]:
    """Say which pictures were not drawn, and what they would have needed."""
    needs = {"weights": (WEIGHTS_BEFORE, WEIGHTS_AFTER), "images": (EXAMPLES,)}
    return [
        "no picture of the %s: it needs %s" % (name, " and ".join(files))
        for name, files in needs.items()
        if name not in paths
    ]


def _figures(run: RunDirectory) -> Dict[str, "matplotlib.figure.Figure"]:  # noqa: F821
    from unfair_bp.figures.curves import learning_curves  # noqa: PLC0415
    from unfair_bp.figures.images import example_images  # noqa: PLC0415
    from unfair_bp.figures.updates import update_counts  # noqa: PLC0415
    from unfair_bp.figures.weights import weight_histograms  # noqa: PLC0415

    config, metrics = run.read_config(), run.read_metrics()
    if not metrics:
        raise UsageError("%s has no finished epoch; let it train for one" % run.path)
    case = Case(**config["case"])
    heading = _heading(case, config["data"]["name"])
    counted = metrics[-1].updates
    figures = {
        "curves": learning_curves(metrics, heading),
        "updates": update_counts(counted, expected_updates(case, metrics[-1].iterations), heading),
    }
    before, after = (_weights(run, case, name) for name in (WEIGHTS_BEFORE, WEIGHTS_AFTER))
    if before and after:
        figures["weights"] = weight_histograms(before, after, heading)
    examples = _examples(run, case)
    if examples:
        figures["images"] = example_images(
            examples["images"],
            examples["augmented"],
            examples["names"].tolist(),
            config["data"]["name"],
        )
    return figures


def _weights(run: RunDirectory, case: Case, name: str) -> List[np.ndarray]:
    """The weights of each layer, none if there is no file."""
    weights = list(run.read_arrays(name).values())
    if weights and len(weights) != len(case.layers):
        raise _damaged(run, name, f"it has {len(weights)} arrays, expected {len(case.layers)}")
    for array in weights:
        if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
            raise _damaged(run, name, "it has weights that are no finite numbers")
    return weights


def _examples(run: RunDirectory, case: Case) -> Dict[str, np.ndarray]:
    """The example images by what they are, none if there is no file."""
    arrays = run.read_arrays(EXAMPLES)
    if not arrays:
        return {}
    try:
        images, augmented, names = (arrays[name] for name in ("images", "augmented", "names"))
    except KeyError as error:
        raise _damaged(run, EXAMPLES, "it has no %s" % error) from error
    size, channels = case.architecture.image_size, case.architecture.image_channels
    shape = (len(names), size, size, channels) if names.ndim == 1 else None
    if images.shape != shape or augmented.shape[1:] != shape or not len(names):
        raise _damaged(run, EXAMPLES, "its arrays do not belong together")
    if images.dtype != np.uint8 or augmented.dtype != np.uint8 or names.dtype.kind != "U":
        raise _damaged(run, EXAMPLES, "it has other things than images and names")
    return arrays


def _damaged(run: RunDirectory, name: str, why: str) -> UsageError:
    return UsageError(
        "%s is damaged (%s); remove it, or give another run directory" % (run.file(name), why)
    )


def expected_updates(case: Case, iterations: int) -> np.ndarray:
    """What a run's schedule says about each layer's updates after so many iterations."""
    schedule = schedule_of(case)
    if case.protocol == "per-batch":
        return schedule.updates(schedule.period) * iterations
    return schedule.updates(iterations)


def _heading(case: Case, data: str) -> str:
    """A run in a line."""
    parts = ["case %s: %s" % (case.name, case.schedule), case.protocol]
    parts += ["augmented"] if case.augment else []
    parts += ["width %g" % case.width, "seed %d" % case.seed, data]
    if case.quirks:
        as_run = set(case.quirks) == set(ledger.as_run(case.name))
        parts.append("as run in 2018" if as_run else "quirks: " + " ".join(case.quirks))
    return ", ".join(parts)
