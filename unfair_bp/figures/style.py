"""What all pictures share: colours, fonts, and how a picture becomes a file."""

import contextlib
import io
import os
import textwrap
from itertools import cycle
from typing import Iterator, Tuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unfair_bp import files

# Okabe and Ito's colours, which the colour-blind tell apart.
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
PINK = "#CC79A7"
SKY = "#56B4E9"
AMBER = "#E69F00"
UPDATED, SKIPPED = BLUE, "#E6E6E6"  # a layer of a schedule; told apart in grey, too
LAYER_COLORS = (BLUE, ORANGE, GREEN, PINK, SKY, AMBER, "black")
LAYER_LINES = ("-", "--", ":")
GRID = "#DDDDDD"
MARKED = 20  # epochs up to which each is marked by a point
WIDTH = 8.0  # inches of a picture: as wide as a page, and to be read on a phone that is turned
LETTERS_PER_INCH = 12  # of a heading, at the least
LAYERS_PER_INCH = 4  # of an axis whose every layer has a tick


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw or save with Matplotlib's own settings, as a context or a decorator.

    The user's matplotlibrc may ask for LaTeX or for fonts that are not there. The settings of the
    process are the same again afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def new_figure(width: float, height: float, heading: str = "") -> Figure:
    """An empty figure, ready to be saved without any display.

    Args:
        width: Inches.
        height: Inches.
        heading: What is shown; a long one is broken into lines.
    """
    figure = Figure(figsize=(width, height), constrained_layout=True)
    FigureCanvasAgg(figure)
    if heading:
        lines = textwrap.wrap(heading, int(LETTERS_PER_INCH * width), break_on_hyphens=False)
        figure.suptitle(plain("\n".join(lines)), fontsize=11)
    return figure


def plain(text: str) -> str:
    """A text as Matplotlib shows it unchanged: a dollar would begin a formula."""
    return text.replace("$", r"\$")


def pale_grid(axes: Axes, axis: str = "y") -> None:
    """Draw pale lines at the ticks of an axis, behind what is plotted."""
    axes.grid(axis=axis, color=GRID)
    axes.set_axisbelow(True)


def layer_styles() -> Iterator[Tuple[str, str]]:
    """Colour and line of each layer in a panel: 21 pairs, as 7 and 3 have no common factor."""
    return zip(cycle(LAYER_COLORS), cycle(LAYER_LINES))


def layer_axis(axes: Axes, layers: int, inches: float) -> None:
    """Number the layers along a horizontal axis, from 1; not each of them if there is no room.

    Args:
        axes: Where.
        layers: Number of layers.
        inches: Width of the axes.
    """
    if layers <= LAYERS_PER_INCH * inches:
        axes.set_xticks(range(1, layers + 1))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0.4, layers + 0.6)
    axes.set_xlabel("layer")


@default_style()
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
    files.check_kind(path, files.PICTURES)
    files.check(path, overwrite)
    files.write_or_refuse(path, render(figure, os.path.splitext(path)[1][1:].lower()))
