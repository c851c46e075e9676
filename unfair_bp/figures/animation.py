"""The animation of a schedule: each iteration's forward pass, and how far its gradient goes back.

It is made in three steps: :func:`frames` says what each frame shows, as plain values;
:class:`NetworkDrawing` draws one frame; :func:`save_animation` writes all of them into a file.
"""

import io
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.text import Text

from unfair_bp.console import progress_bar
from unfair_bp.experiment.architecture import LayerSpec
from unfair_bp.experiment.schedules import Schedule, fair_step_flops, shortened
from unfair_bp.figures.palette import Palette
from unfair_bp.figures.style import (
    AMBER,
    GREEN,
    GRID,
    ORANGE,
    PINK,
    UPDATED,
    check_path,
    default_style,
    write,
)

ROWS_SHOWN = 18  # of a long schedule; two rounds of the post's nine layers, half a minute
# Milliseconds; a GIF counts in hundredths of a second, and browsers slow down less than two.
FORWARD_MS, BACKWARD_MS, ROW_PAUSE_MS, CYCLE_PAUSE_MS = 20, 60, 700, 1800

# The post's colours, in shades that the colour-blind tell apart.
INPUT, LAYER, POOL, SOFTMAX, FORWARD, GRADIENT = ORANGE, "#222222", "#8C8C8C", AMBER, GREEN, PINK
FAINT = "#555555"

# Places in pixels, from the lower left corner.
DPI = 100
LEAST_WIDTH, HEIGHT = 960, 330
NAMES_WIDTH, MARGIN = 70, 20  # left of the network, and right of it
LEAST_PITCH, MOST_PITCH = 46, 110  # from the middle of a block to that of the next
MIDDLE = 225  # of the blocks
BARS, TALLEST = 92, 60


class Frame(NamedTuple):
    """What is shown at one moment of an iteration."""

    row: int  # of the schedule, from 0
    forward: int  # arrows of the forward pass so far: 1 to layers + 1
    backward: int  # arrows of the gradient so far: 0 to layers, from the softmax downwards
    lit: Tuple[bool, ...]  # for each layer, whether this iteration has updated it
    counts: Tuple[int, ...]  # for each layer, its updates since the cycle began
    duration: int  # milliseconds


def frames(schedule: Schedule) -> List[Frame]:
    """The frames of a cycle, or of the first rows of a long one.

    The gradient starts when the forward pass has reached the softmax. It goes down to the lowest
    layer that the row updates, also through layers that the row does not update.
    """
    shown = schedule.table[:ROWS_SHOWN]
    sequence = []
    before = np.zeros(shown.shape[1], int)
    for r, row in enumerate(shown):
        depth = np.count_nonzero(np.logical_or.accumulate(row))
        steps = [(forward, 0) for forward in range(1, len(row) + 2)]
        steps += [(len(row) + 1, backward) for backward in range(1, depth + 1)]
        for forward, backward in steps:
            lit = row & (np.arange(len(row)) >= len(row) - backward)
            duration = BACKWARD_MS if backward else FORWARD_MS
            if (forward, backward) == steps[-1]:
                duration = CYCLE_PAUSE_MS if r == len(shown) - 1 else ROW_PAUSE_MS
            counts = tuple((before + lit).tolist())
            sequence.append(Frame(r, forward, backward, tuple(lit.tolist()), counts, duration))
        before += row
    return sequence


class Places:
    """Where the blocks stand, in pixels; the input is block 0, the softmax the last.

    A deep network makes the picture wider, a shallow one is in its middle.

    Args:
        layers: Number of layers.
    """

    def __init__(self, layers: int) -> None:
        gaps = layers + 1
        taken = NAMES_WIDTH + MARGIN
        pitch = (LEAST_WIDTH - taken) / (gaps + 1)
        self.pitch = round(min(max(pitch, LEAST_PITCH), MOST_PITCH))
        self.width = max(LEAST_WIDTH, taken + self.pitch * (gaps + 1))
        self.block = min(42, round(0.54 * self.pitch))
        self.pool = min(8, round(0.1 * self.pitch))
        self.lane = self.block // 4  # from the middle of the blocks to the arrows
        first = NAMES_WIDTH + (self.width - taken - self.pitch * gaps) // 2
        self.centers = [first + self.pitch * number for number in range(gaps + 1)]


class NetworkDrawing:
    """The network from left to right, redrawn for each frame.

    Args:
        schedule: What the frames are of.
        layers: The network, for the labels and the cost.
    """

    @default_style()
    def __init__(self, schedule: Schedule, layers: Sequence[LayerSpec]) -> None:
        self.schedule = schedule
        self.costs = schedule.row_flops(layers) / fair_step_flops(layers)
        self.mean_cost = schedule.relative_cost(layers)
        self.most = max(1, schedule.updates(min(schedule.period, ROWS_SHOWN)).max())
        self.places = places = Places(len(layers))
        figure = Figure(figsize=(places.width / DPI, HEIGHT / DPI), dpi=DPI)
        self.canvas = FigureCanvasAgg(figure)
        self.axes = figure.add_axes([0, 0, 1, 1])
        self.axes.set_axis_off()
        self.axes.set_xlim(0, places.width)
        self.axes.set_ylim(0, HEIGHT)
        self.title = self._text(20, HEIGHT - 24, "", 12, ha="left", weight="bold")
        self.cost = self._text(20, HEIGHT - 48, "", 10, ha="left")
        self._draw_ends(layers)
        centers = places.centers[1:-1]
        self.blocks = [self._block(x, LAYER) for x in centers]
        self.numbers = [self._text(x, MIDDLE, str(i + 1), 11) for i, x in enumerate(centers)]
        self.marks = [self._text(x, MIDDLE + 33, "+1", 10, weight="bold") for x in centers]
        half = places.block / 2
        self.bars = [self._rectangle(x - half, BARS, 0, UPDATED) for x in centers]
        self.counts = [self._text(x, BARS, "", 9, va="bottom") for x in centers]
        for x, layer in zip(centers, layers):
            size = f"{layer.kernel}\N{MULTIPLICATION SIGN}{layer.kernel}"
            self._label(x, f"{size}\n{layer.outputs}")
            if layer.pool:
                pool = self._rectangle(x + half + 1, MIDDLE - half, places.block, POOL)
                pool.set_width(places.pool)
        gaps = range(len(layers) + 1)
        self.forward = [self._arrow(gap, FORWARD, "-|>", places.lane) for gap in gaps]
        self.backward = [
            self._arrow(gap, GRADIENT, "<|-", -places.lane) for gap in reversed(gaps[1:])
        ]
        self._draw_legend()

    @default_style()
    def draw(self, frame: Frame) -> np.ndarray:
        """Draw a frame; returns its pixels, uint8 ``[height, width, 3]``."""
        self.title.set_text(self._title_text(frame.row))
        self.cost.set_text(
            f"this iteration costs {self.costs[frame.row]:.3f} of a fair one; "
            f"mean of the cycle {self.mean_cost:.3f}"
        )
        for i, (lit, count) in enumerate(zip(frame.lit, frame.counts)):
            passed = not lit and i >= len(frame.lit) - frame.backward
            self.blocks[i].set_facecolor(UPDATED if lit else GRADIENT if passed else LAYER)
            self.numbers[i].set_color("black" if passed else "white")
            self.marks[i].set_visible(lit)
            height = TALLEST * count / self.most
            self.bars[i].set_height(height)
            self.counts[i].set_text(str(count))
            self.counts[i].set_y(BARS + height + 2)
        for number, arrow in enumerate(self.forward, start=1):
            arrow.set_visible(number <= frame.forward)
        for number, arrow in enumerate(self.backward, start=1):
            arrow.set_visible(number <= frame.backward)
        self.canvas.draw()
        return np.array(self.canvas.buffer_rgba())[..., :3]

    def _title_text(self, row: int) -> str:
        period = self.schedule.period
        name = shortened(" ".join(self.schedule.name.split()), 20)
        only = "" if period <= ROWS_SHOWN else f", first {ROWS_SHOWN} shown"
        return (
            f"schedule {name}, iteration {row + 1} of {period}{only} (row t mod {period} = {row})"
        )

    def _draw_ends(self, layers: Sequence[LayerSpec]) -> None:
        """The input, the softmax, and the names of the lines."""
        first, last = self.places.centers[0], self.places.centers[-1]
        self._block(first, INPUT)
        self._block(last, SOFTMAX)
        self._text(first, MIDDLE + 33, "input", 9)
        self._text(last, MIDDLE + 33, "softmax", 9)
        self._label(first, str(layers[0].inputs))
        self._label(last, f"{layers[-1].outputs}\nclasses")
        half = self.places.pitch / 2
        self.axes.plot([first + half, last - half], [BARS, BARS], color=GRID, lw=1)
        for y, words in (
            (MIDDLE, "layer"),
            (MIDDLE - 40, "kernel\nchannels"),
            (BARS + 8, "updates\nso far"),
        ):
            self._text(10, y, words, 8, ha="left", color=FAINT)

    def _draw_legend(self) -> None:
        def arrow(color: str, direction: str, label: str) -> Line2D:
            marker = rf"$\{direction}arrow$"
            return Line2D(
                [], [], color=color, marker=marker, markersize=15, linestyle="none", label=label
            )

        self.axes.legend(
            handles=[
                Patch(color=INPUT, label="input batch"),
                Patch(color=LAYER, label="convolution, no gradient"),
                Patch(color=POOL, label="mean pool"),
                Patch(color=SOFTMAX, label="softmax"),
                arrow(FORWARD, "right", "forward"),
                arrow(GRADIENT, "left", "gradient"),
                Patch(color=UPDATED, label="updated"),
                Patch(color=GRADIENT, label="passed, not updated"),
            ],
            loc="lower center",
            bbox_to_anchor=(0.5, 30 / HEIGHT),
            ncol=8,
            fontsize=8,
            frameon=False,
            handlelength=1.4,
            columnspacing=1.4,
        )
        caption = (
            "One iteration takes one row of the schedule: a batch runs forward, then its gradient "
            "runs back to the lowest layer that the row updates."
        )
        self._text(self.places.width / 2, 20, caption, 8, color=FAINT)

    def _text(self, x: float, y: float, words: str, size: float, **style: str) -> Text:
        style = dict({"ha": "center", "va": "center"}, **style)
        return self.axes.text(x, y, words, fontsize=size, **style)

    def _label(self, x: float, words: str) -> None:
        self._text(x, MIDDLE - 40, words, 8, color=FAINT)

    def _rectangle(self, left: float, bottom: float, height: float, color: str) -> Rectangle:
        shape = Rectangle((left, bottom), self.places.block, height, color=color, lw=0)
        return self.axes.add_patch(shape)

    def _block(self, x: float, color: str) -> Rectangle:
        half = self.places.block / 2
        return self._rectangle(x - half, MIDDLE - half, self.places.block, color)

    def _arrow(self, gap: int, color: str, head: str, lane: float) -> FancyArrowPatch:
        """An arrow in the gap to the right of a block, the input being block 0."""
        half = self.places.block / 2
        left = self.places.centers[gap] + half + self.places.pool + 3
        right = self.places.centers[gap + 1] - half - 3
        return self.axes.add_patch(
            FancyArrowPatch(
                (left, MIDDLE + lane),
                (right, MIDDLE + lane),
                arrowstyle=head,
                mutation_scale=min(13, 0.22 * self.places.pitch),
                shrinkA=0,
                shrinkB=0,
                color=color,
                linewidth=2.5,
            )
        )


def check_animation(path: str, overwrite: bool) -> None:
    """Refuse a path that :func:`save_animation` cannot write.

    Raises:
        UsageError: As :func:`unfair_bp.figures.style.check_path`.
    """
    check_path(path, ["gif"], ".gif", overwrite)


def save_animation(
    schedule: Schedule, layers: Sequence[LayerSpec], path: str, overwrite: bool = False
) -> None:
    """Write the animation of a schedule, which repeats for ever, with a progress bar.

    Raises:
        UsageError: If the file exists and is not to be overwritten, or cannot be written.
    """
    check_animation(path, overwrite)
    drawing = NetworkDrawing(schedule, layers)
    sequence = frames(schedule)
    ends = {frame.row: frame for frame in sequence}  # the last frame of each row
    palette = Palette([drawing.draw(frame) for frame in ends.values()])
    with progress_bar(sequence, unit="frame") as bar:
        images = [palette.image(drawing.draw(frame)) for frame in bar]
    content = io.BytesIO()
    images[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=[frame.duration for frame in sequence],
        loop=0,
        optimize=False,
    )
    write(path, content.getvalue())
