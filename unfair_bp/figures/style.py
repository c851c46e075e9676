"""What all pictures share: colours, fonts, and how a picture becomes a file."""

import os

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unfair_bp.errors import UsageError

# Okabe and Ito's colours, which the colour-blind tell apart.
BLUE, ORANGE, GREEN, PINK, SKY, AMBER = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
)
UPDATED, SKIPPED = BLUE, "#E6E6E6"  # a layer of a schedule; told apart in grey, too
GRID = "#DDDDDD"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, ready to be saved without any display."""
    figure = Figure(figsize=(width, height), constrained_layout=True)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str, overwrite: bool = False) -> None:
    """Write a figure; the ending of the path says in which format.

    Raises:
        UsageError: If the file exists and is not to be overwritten, or cannot be written.
    """
    kind = os.path.splitext(path)[1][1:].lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise UsageError(
            "%s: %r is no picture format; give a file that ends in .png, .svg or .pdf"
            % (path, "." + kind)
        )
    if os.path.lexists(path) and not overwrite:
        raise UsageError("%s exists; give --overwrite to replace it, or another name" % path)
    beside = path + ".part"
    try:
        figure.savefig(beside, format=kind, dpi=150)
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(
            "cannot write %s: %s; give another name" % (path, error.strerror)
        ) from error
