"""The animation of a schedule: each iteration's forward pass, and how far its gradient goes back.

:mod:`unfair_bp.figures.frames` says what each frame shows; :class:`NetworkDrawing` draws one frame;
:func:`save_animation` writes all of them into a file.
"""

import io
from typing import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.text import Text

from unfair_bp import files
from unfair_bp.console import progress_bar
from unfair_bp.experiment.architecture import LayerSpec
from unfair_bp.experiment.matrix import Schedule, fair_step_flops
from unfair_bp.figures.frames import Frame, frames, rows_shown
from unfair_bp.figures.palette import Palette
from unfair_bp.figures.schedule import RAISED, shades, title
from unfair_bp.figures.style import (
    AMBER,
    GREEN,
    GRID,
    PINK,
    UPDATED,
    default_style,
)

# In shades that the colour-blind tell apart. What goes forward is green, from the input on.
INPUT, LAYER, POOL, SOFTMAX, FORWARD, GRADIENT = GREEN, "#222222", "#8C8C8C", AMBER, GREEN, PINK
FAINT = "#555555"
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue

# Places in pixels, from the lower left corner.
DPI = 100
LEAST_WIDTH, HEIGHT = 960, 440
NAMES_WIDTH, MARGIN = 92, 16  # left of the network, and right of it
LEAST_PITCH, MOST_PITCH = 46, 110  # from the middle of a block to that of the next
FULL_PITCH = 77  # of nine layers; where there is less, letters are smaller
LETTERS = 76  # of a title; of a longer one they are smaller
MIDDLE = 296  # of the blocks
BARS, TALLEST = 134, 66


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
        self.mean = schedule.relative_cost(layers)
        self.rates, self.highest = schedule.rates, max(1.0, float(schedule.rates.max()))
        self.shown = rows_shown(schedule.period)
        self.most = max(schedule.updates(min(schedule.cycle, (self.shown[-1] + 1) * schedule.hold)))
        self.places = places = Places(len(layers))
        figure = Figure(figsize=(places.width / DPI, HEIGHT / DPI), dpi=DPI)
        self.canvas = FigureCanvasAgg(figure)
        self.axes = figure.add_axes([0, 0, 1, 1])
        self.axes.set_axis_off()
        self.axes.set_xlim(0, places.width)
        self.axes.set_ylim(0, HEIGHT)
        words = title(schedule, 24)
        size = 14 * min(1.0, LETTERS / len(words))
        self._text(20, HEIGHT - 24, words, size, ha="left", weight="bold")
        self.moment = self._text(20, HEIGHT - 52, "", 13, ha="left")
        self._draw_ends(layers)
        centers = places.centers[1:-1]
        scale = min(1.0, places.pitch / FULL_PITCH)
        # Six digits and their sign fit beside each other.
        longest = max(len(str(self.most)), len(f"+{schedule.hold}"))
        fits = scale * min(1.0, 6 / longest)
        half = places.block / 2
        self.blocks = [self._block(x, LAYER) for x in centers]
        self.numbers = [
            self._text(x, MIDDLE, str(i + 1), 15 * scale) for i, x in enumerate(centers)
        ]
        self.marks = [
            self._text(x, MIDDLE + half + 4, "", 12 * fits, va="bottom", weight="bold")
            for x in centers
        ]
        self.bars = [self._rectangle(x - half, BARS, 0, UPDATED) for x in centers]
        self.counts = [self._text(x, BARS, "", 12 * fits, va="bottom") for x in centers]
        for x, layer in zip(centers, layers):
            size = f"{layer.kernel}\N{MULTIPLICATION SIGN}{layer.kernel}"
            self._label(x, f"{size}\n{layer.outputs}", scale)
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
        self.moment.set_text(self._moment_text(frame.row))
        rates, hold = self.rates[frame.row], self.schedule.hold
        colors = shades(np.array(frame.lit), rates, self.highest) / 255
        for i, (lit, count) in enumerate(zip(frame.lit, frame.counts)):
            passed = not lit and i >= len(frame.lit) - frame.backward
            color = tuple(colors[i]) if lit else to_rgb(GRADIENT if passed else LAYER)
            self.blocks[i].set_facecolor(color)
            self.numbers[i].set_color("black" if np.dot(color, LUMINANCE) > 0.45 else "white")
            mark = f"+{min(hold, self.schedule.cycle - frame.row * hold)}"
            if self.schedule.factors is not None:
                rate = f"{rates[i]:.2f}" if rates[i] < 10 else f"{rates[i]:.2g}"
                mark = f"\N{MULTIPLICATION SIGN}{rate}\n{mark}"
            self.marks[i].set_text(mark)
            self.marks[i].set_visible(lit)
            height = TALLEST * count / self.most
            self.bars[i].set_height(height)
            self.counts[i].set_text(str(count))
            self.counts[i].set_y(BARS + height + 1)
        for number, arrow in enumerate(self.forward, start=1):
            arrow.set_visible(number <= frame.forward)
        for number, arrow in enumerate(self.backward, start=1):
            arrow.set_visible(number <= frame.backward)
        self.canvas.draw()
        return np.array(self.canvas.buffer_rgba())[..., :3]

    def _moment_text(self, row: int) -> str:
        """Which iteration a row is, and what it costs."""
        hold, cycle = self.schedule.hold, self.schedule.cycle
        if hold == 1:
            which = f"iteration {row + 1} of {cycle}"
        else:
            which = f"iterations {row * hold + 1} to {min((row + 1) * hold, cycle)} of {cycle}"
        return f"{which}: cost {self.costs[row]:.3f} of fair; mean {self.mean:.3f}"

    def _draw_ends(self, layers: Sequence[LayerSpec]) -> None:
        """The input, the softmax, and the names of the lines."""
        first, last = self.places.centers[0], self.places.centers[-1]
        self._block(first, INPUT)
        self._block(last, SOFTMAX)
        above = MIDDLE + self.places.block / 2 + 4
        scale = min(1.0, self.places.pitch / FULL_PITCH)
        self._text(first, above, "input", 12 * scale, va="bottom")
        self._text(last, above, "softmax", 12 * scale, va="bottom")
        self._label(first, str(layers[0].inputs), scale)
        self._label(last, f"{layers[-1].outputs}\nclasses", scale)
        half = self.places.pitch / 2
        self.axes.plot([first + half, last - half], [BARS, BARS], color=GRID, lw=1)
        for y, words, va in (
            (MIDDLE, "layer", "center"),
            (MIDDLE - self.places.block / 2 - 4, "kernel\nchannels", "top"),
            (BARS, "updates\nso far", "bottom"),
        ):
            self._text(8, y, words, 11, ha="left", va=va, color=FAINT)

    def _draw_legend(self) -> None:
        def arrow(color: str, direction: str, label: str) -> Line2D:
            marker = rf"$\{direction}arrow$"
            return Line2D(
                [], [], color=color, marker=marker, markersize=17, linestyle="none", label=label
            )

        handles = [
            Patch(color=INPUT, label="input batch"),
            Patch(color=SOFTMAX, label="softmax"),
            Patch(color=LAYER, label="convolution"),
            Patch(color=POOL, label="mean pool"),
            arrow(FORWARD, "right", "forward"),
            arrow(GRADIENT, "left", "gradient"),
            Patch(color=UPDATED, label="updated"),
            Patch(color=GRADIENT, label="passed, not updated"),
        ]
        if self.highest > 1:
            label = "updated, rate \N{MULTIPLICATION SIGN} more than 1"
            handles.insert(7, Patch(color=RAISED[1], label=label))
        self.axes.legend(
            handles=handles,
            loc="center",
            bbox_to_anchor=(0.5, 86 / HEIGHT),
            ncol=-(-len(handles) // 2),
            fontsize=11,
            frameon=False,
            handlelength=1.4,
            columnspacing=1.4,
        )
        what = "An iteration takes one row of the schedule"
        if self.schedule.hold > 1:
            what = f"{self.schedule.hold} iterations take one row of the schedule"
        if len(self.shown) < self.schedule.period:
            what += f" ({len(self.shown)} of {self.schedule.period} rows are shown)"
        caption = (
            f"{what}: a batch runs forward, then its\n"
            "gradient runs back to the lowest layer that the row updates."
        )
        self._text(self.places.width / 2, 28, caption, 11, color=FAINT)

    def _text(self, x: float, y: float, words: str, size: float, **style: str) -> Text:
        style = dict({"ha": "center", "va": "center"}, **style)
        return self.axes.text(x, y, words, fontsize=size, **style)

    def _label(self, x: float, words: str, scale: float) -> None:
        below = MIDDLE - self.places.block / 2 - 4
        self._text(x, below, words, 11 * scale, va="top", color=FAINT)

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


def save_animation(
    schedule: Schedule, layers: Sequence[LayerSpec], path: str, overwrite: bool = False
) -> None:
    """Write the animation of a schedule, which repeats for ever, with a progress bar.

    Raises:
        UsageError: If the file exists and is not to be overwritten, or cannot be written.
    """
    files.check_kind(path, files.ANIMATIONS)
    files.check(path, overwrite)
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
    files.write_or_refuse(path, content.getvalue())
