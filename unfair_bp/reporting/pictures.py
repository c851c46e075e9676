"""Every picture of one run, drawn from its directory alone."""

import os
from typing import Dict, List

from unfair_bp import files
from unfair_bp.console import shell_line
from unfair_bp.errors import UsageError
from unfair_bp.experiment import naming
from unfair_bp.results.run import NEEDED_FILES, Run, read_run

FORMATS = files.PICTURES


def check_available() -> None:
    """Make sure that pictures can be drawn; this takes about a second.

    Raises:
        LibraryError: If Matplotlib cannot be loaded.
    """
    from unfair_bp.figures import style  # noqa: F401, PLC0415


def draw(path: str, kind: str = "png") -> Dict[str, str]:
    """Draw every picture that the files of a run suffice for.

    Args:
        path: The run directory; the run must have a finished epoch.
        kind: One of FORMATS.

    Returns:
        The path of each picture by its name: curves, updates, layers, weights, images.

    Raises:
        UsageError: If the run cannot be read, has no finished epoch, or a file cannot be written;
            each picture is then the new one or the one that was there.
    """
    from unfair_bp.figures import style  # noqa: PLC0415 - Matplotlib takes a second to import

    run = read_run(path)
    pictures = {name: style.render(figure, kind) for name, figure in _figures(run).items()}
    again = shell_line(["python", "-m", "unfair_bp.plots", path])
    advice = f"all else is intact: make room or give permission, then draw again with {again}"
    try:
        os.makedirs(run.figures, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {run.figures}: {error.strerror}; {advice}") from error
    paths = {name: os.path.join(run.figures, f"{name}.{kind}") for name in pictures}
    for name, picture in pictures.items():
        try:
            # Another process may draw the same run: each writes under a name of its own first.
            files.write(paths[name], picture, new=True)
        except OSError as error:
            raise UsageError(f"cannot write {paths[name]}: {error.strerror}; {advice}") from error
    return paths


def missing(paths: Dict[str, str]) -> List[str]:
    """Say which pictures were not drawn, and which files they need."""
    return [
        f"no picture of the {name}: it needs {' and '.join(files)}"
        for name, files in NEEDED_FILES.items()
        if name not in paths
    ]


def _figures(run: Run) -> Dict[str, "matplotlib.figure.Figure"]:  # noqa: F821
    from unfair_bp.figures.curves import learning_curves  # noqa: PLC0415
    from unfair_bp.figures.images import example_images  # noqa: PLC0415
    from unfair_bp.figures.layers import layer_curves  # noqa: PLC0415
    from unfair_bp.figures.updates import update_counts  # noqa: PLC0415
    from unfair_bp.figures.weights import weight_histograms  # noqa: PLC0415

    heading = _heading(run)
    figures = {
        "curves": learning_curves(run.metrics, heading),
        "updates": update_counts(run.metrics[-1].updates, run.expected_updates, heading),
    }
    if run.layers:
        figures["layers"] = layer_curves(run.layers, heading)
    before, after = (run.weights(name) for name in NEEDED_FILES["weights"])
    if before and after:
        figures["weights"] = weight_histograms(before, after, heading)
    examples = run.examples()
    if examples:
        figures["images"] = example_images(
            examples["images"],
            examples["augmented"],
            examples["names"].tolist(),
            run.setting.data,
        )
    return figures


def _heading(run: Run) -> str:
    """A run in a line."""
    case, variant = run.case, run.variant
    parts = [naming.title(case), case.protocol]
    parts += [f"width {case.width:g}", f"seed {case.seed}", run.setting.data]
    parts += [] if run.setting.posted_network else [f"{len(case.layers)} layers"]
    parts += [] if case.optimizer == "adam" else [case.optimizer]
    parts += [variant.rules] if variant.rules else []
    return ", ".join(parts)
