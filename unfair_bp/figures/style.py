"""What all pictures share: colours, fonts, and how a picture becomes a file."""

import io
import os
import textwrap
from typing import Iterable

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unfair_bp import files
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
LETTERS_PER_INCH = 12  # of a heading, at the least


def new_figure(width: float, height: float, heading: str = "") -> Figure:
    """An empty figure of so many inches, ready to be saved without any display."""
    figure = Figure(figsize=(width, height), constrained_layout=True)
    FigureCanvasAgg(figure)
    if heading:
        lines = textwrap.wrap(heading, int(LETTERS_PER_INCH * width), break_on_hyphens=False)
        figure.suptitle("\n".join(lines), fontsize=11)
    return figure


def check_path(path: str, kinds: Iterable[str], endings: str, overwrite: bool) -> None:
    """Refuse a path that cannot be written; to be called before the work, not after it.

    Args:
        path: Where a picture is to be.
        kinds: Endings that can be written, without their dots.
        endings: What to give instead, in words.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        UsageError: If the ending is unknown, the file exists, or there is no directory for it.
    """
    kind = os.path.splitext(path)[1][1:].lower()
    if kind not in kinds:
        raise UsageError(
            "%s: %r is no picture format; give a file that ends in %s" % (path, "." + kind, endings)
        )
    files.check(path, overwrite)


def write(path: str, content: bytes, advice: str = "make room, or give another name") -> None:
    """Write a file.

    Args:
        path: Where it goes.
        content: All of it; a library that writes to a full disk by itself would say nothing clear.
        advice: What to do if it cannot be written.

    Raises:
        UsageError: If it cannot be written; what was there is as it was.
    """
    try:
        files.write(path, content)
    except OSError as error:
        raise UsageError("cannot write %s: %s; %s" % (path, error.strerror, advice)) from error


def check_picture(path: str, overwrite: bool) -> None:
    """Refuse a path that :func:`save` cannot write.

    Raises:
        UsageError: As :func:`check_path`.
    """
    known = FigureCanvasAgg.get_supported_filetypes()
    check_path(path, known, ".png, .svg or .pdf", overwrite)


def render(figure: Figure, kind: str) -> bytes:
    """A figure as the content of a file of a format, such as png."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=150)
    return content.getvalue()


def save(figure: Figure, path: str, overwrite: bool = False) -> None:
    """Write a figure; the ending of the path says in which format.

    Raises:
        UsageError: If the file exists and is not to be overwritten, or cannot be written.
    """
    check_picture(path, overwrite)
    write(path, render(figure, os.path.splitext(path)[1][1:].lower()))
