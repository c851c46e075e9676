"""The animation of a schedule: its frames against the matrix, its pictures, and its file."""

import itertools
import os
from dataclasses import replace

import commands
import numpy as np
import pytest
from conftest import LAYERS
from matplotlib.colors import to_rgb
from PIL import Image, ImageSequence

from unfair_bp import schedule as command
from unfair_bp.errors import UsageError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import Architecture, Layer
from unfair_bp.figures import animation
from unfair_bp.figures.animation import NetworkDrawing, save_animation
from unfair_bp.figures.frames import Frame, frames, rows_shown
from unfair_bp.figures.schedule import PALE, RAISED

SHORT = "9;8-9"
TEXTS = ["fair", "back", "front", "single", "random:3:12", "9;8-9;7-9", "2,5;1,9;4", "back*7"]


def by_row(text):
    """A schedule, and its frames: a list for each row."""
    schedule = schedules.parse(text)
    groups = itertools.groupby(frames(schedule), key=lambda frame: frame.row)
    return schedule, [(row, list(group)) for row, group in groups]


# --- frames as values


@pytest.mark.parametrize("text", TEXTS)
def test_an_iteration_runs_forward_then_back_to_the_lowest_layer_of_its_row(text):
    """Breaks if the gradient starts early, skips a layer, or stops above or below that layer."""
    schedule, rows = by_row(text)
    assert [row for row, _ in rows] == list(range(schedule.period))
    for row, sequence in rows:
        lowest = min(np.flatnonzero(schedule.table[row])) + 1
        moves = [(frame.forward, frame.backward) for frame in sequence]
        forward = [(arrows, 0) for arrows in range(1, 11)]
        assert moves == forward + [(10, arrows) for arrows in range(1, 9 - lowest + 2)]


@pytest.mark.parametrize("text", TEXTS)
def test_the_lit_layers_are_those_of_the_row(text):
    """Breaks if a layer lights up that is not updated, or before the gradient has reached it."""
    schedule, rows = by_row(text)
    for row, sequence in rows:
        for frame in sequence:
            reached = [number > 9 - frame.backward for number in range(1, 10)]
            assert list(frame.lit) == [u and r for u, r in zip(schedule.table[row], reached)]
        assert list(sequence[-1].lit) == schedule.table[row].tolist()


@pytest.mark.parametrize("text", TEXTS)
def test_the_counts_are_those_of_the_schedule(text):
    """Breaks if an update is counted twice, too early, or for another layer."""
    schedule, rows = by_row(text)
    for row, sequence in rows:
        hold = schedule.hold
        assert list(sequence[0].counts) == schedule.updates(row * hold).tolist()
        assert list(sequence[-1].counts) == schedule.updates((row + 1) * hold).tolist()
        for frame in sequence:
            grown = np.subtract(frame.counts, sequence[0].counts)
            assert grown.tolist() == [hold * lit for lit in frame.lit]


def test_pauses():
    """Breaks if iterations run into each other, or the end of the cycle is not to be seen."""
    _, rows = by_row("back")
    pauses = [sequence[-1].duration for _, sequence in rows]
    moving = [frame.duration for _, sequence in rows for frame in sequence[:-1]]
    assert len(set(pauses[:-1])) == 1
    assert max(moving) < pauses[0] < pauses[-1]
    # What a GIF can say, and browsers do not slow down.
    assert all(duration % 10 == 0 and duration >= 20 for duration in moving + pauses)


@pytest.mark.parametrize("text", ["random:3:13", "random:3:100", "random:3:101", "random:3:10000"])
def test_a_long_schedule_has_a_frame_for_each_of_some_rows(text):
    """Breaks if a long schedule takes longer than a short one, or not all of it is shown."""
    schedule, rows = by_row(text)
    shown = [row for row, _ in rows]
    assert len(frames(schedule)) == len(shown) == min(schedule.period, 100)
    for number, (row, (frame,)) in enumerate(rows):
        assert number * schedule.period // 100 <= row or len(shown) < 100
        assert row < (number + 1) * schedule.period / len(shown)
        assert list(frame.lit) == schedule.table[row].tolist()
        assert list(frame.counts) == schedule.updates(row + 1).tolist()
        assert frame.backward == 9 - np.argmax(schedule.table[row])
    assert 10 < sum(frame.duration for frame in frames(schedule)) / 1000 < 13


def test_a_pattern_that_repeats_in_a_long_schedule_is_seen():
    """Breaks if each frame shows the same row of a cycle, because it is of even length."""
    shown = rows_shown(10000)
    for period in (2, 5, 10, 100):
        assert len({row % period for row in shown}) > 0.5 * min(period, 100)


# --- the drawing


def has_color(pixels, color):
    """Where the pixels have exactly this colour."""
    return (pixels == np.rint(255 * np.array(to_rgb(color)))).all(axis=-1)


def block_pixels(drawing, pixels, number):
    """The colour near the upper left corner of a layer's block, away from its number."""
    x = drawing.places.centers[number] - drawing.places.block // 2 + 4
    y = animation.HEIGHT - (animation.MIDDLE + drawing.places.block // 2 - 4)
    return pixels[y, x]


def test_colours_of_the_layers():
    """Breaks if updated, passed and unreached layers look alike, or a colour outlives its frame."""
    drawing = NetworkDrawing(schedules.parse("5,7"), LAYERS)
    sequence = frames(drawing.schedule)
    for frame in (sequence[-1], sequence[0], sequence[-2]):
        pixels = drawing.draw(frame)
        assert pixels.shape == (animation.HEIGHT, 960, 3)
        for number in range(1, 10):
            reached = number > 9 - frame.backward
            updated = number in (5, 7)
            expected = animation.LAYER
            if reached:
                expected = animation.UPDATED if updated else animation.GRADIENT
            assert has_color(block_pixels(drawing, pixels, number), expected)
            assert drawing.marks[number - 1].get_visible() == (reached and updated)


def test_arrows():
    """Breaks if an arrow is drawn that the frame has not come to, or on the wrong side."""
    drawing = NetworkDrawing(schedules.parse("back"), LAYERS)
    frame = Frame(8, 10, 3, (False,) * 6 + (True,) * 3, (0,) * 9, 10)
    pixels = drawing.draw(frame)
    for gap in range(10):
        x = drawing.places.centers[gap]
        between = pixels[:, x + 32 : x + 50]
        high = animation.HEIGHT - animation.MIDDLE - drawing.places.lane
        low = animation.HEIGHT - animation.MIDDLE + drawing.places.lane
        assert has_color(between[high - 2 : high + 2], animation.FORWARD).any()
        assert has_color(between[low - 2 : low + 2], animation.GRADIENT).any() == (gap > 6)
    drawing.draw(frame._replace(forward=4, backward=0))
    assert [arrow.get_visible() for arrow in drawing.forward] == [True] * 4 + [False] * 6
    assert not any(arrow.get_visible() for arrow in drawing.backward)


def test_counts_and_words():
    """Breaks if a count stands below another layer, or the cost of another row is shown."""
    drawing = NetworkDrawing(schedules.parse("back"), LAYERS)
    last = frames(drawing.schedule)[-1]
    drawing.draw(last._replace(row=2))
    assert [text.get_text() for text in drawing.counts] == list("123456789")
    heights = [bar.get_height() for bar in drawing.bars]
    np.testing.assert_allclose(heights, animation.TALLEST * np.arange(1, 10) / 9)
    # 0.488 is the README's; 0.335 a forward pass and what little layers 7 to 9 cost.
    assert drawing.moment.get_text() == "iteration 3 of 9: cost 0.335 of fair; mean 0.488"
    words = [text.get_text() for text in drawing.axes.texts]
    assert "schedule back, 9 rows" in words
    assert words.count("3\N{MULTIPLICATION SIGN}3\n256") == 2
    assert words.count("1\N{MULTIPLICATION SIGN}1\n10") == 1


def inside(drawing):
    """Make sure that all words and their legend are within the picture."""
    legend = drawing.axes.get_legend()
    for words in [*drawing.axes.texts, *legend.get_texts(), legend]:
        box = words.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= drawing.places.width, words
        assert 0 <= box.y0 <= box.y1 <= animation.HEIGHT, words


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        ("random:3:10000:4294967295", "keep"),
        (";".join(50 * ["1,2,3,4,5,6,7,8,9"]), "reset"),
        ("9@1000000;7-9@12.34;1-9@0.001*1000000", "reset-all"),
        ("random:8:10000*100000", "reset-all"),
    ],
)
def test_a_large_schedule_leaves_room_for_the_words(text, moments):
    """Breaks if many rows, long holds or large factors run out of the picture or into others."""
    schedule = replace(schedules.parse(text), moments=moments)
    drawing = NetworkDrawing(schedule, LAYERS)
    last = frames(schedule)[-1]
    drawing.draw(last)
    inside(drawing)
    for row in (drawing.marks, drawing.counts):
        boxes = [words.get_window_extent() for words in row if words.get_visible()]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
        assert max(box.y1 for box in boxes) < drawing.moment.get_window_extent().y0
    assert max(bar.get_height() for bar in drawing.bars) == animation.TALLEST
    words = "\n".join(text.get_text() for text in drawing.axes.texts)
    assert ("(100 of 10000 rows are shown)" in words) == (schedule.period == 10000)


def test_a_run_that_ends_within_a_row():
    """Breaks if the last row of a run is counted as if it were whole."""
    schedule = schedules.parse("freeze", 9, 50_000)  # 9 rows of 5,556; the last has 5,552
    last = frames(schedule)[-1]
    assert list(last.counts) == schedule.updates(50_000).tolist()
    drawing = NetworkDrawing(schedule, LAYERS)
    drawing.draw(last)
    assert drawing.marks[8].get_text() == "+5552"
    words = drawing.moment.get_text()
    assert words.startswith("iterations 44449 to 50000 of 50000: cost ")
    assert words.endswith(f"mean {schedule.relative_cost(LAYERS):.3f}")
    assert drawing.most == 50_000


def test_a_row_that_is_held():
    """Breaks if a row of many iterations is shown as one, or as others than these."""
    drawing = NetworkDrawing(replace(schedules.parse("back*50"), moments="reset"), LAYERS)
    drawing.draw(frames(drawing.schedule)[-1])
    assert drawing.moment.get_text().startswith("iterations 401 to 450 of 450: ")
    words = [text.get_text() for text in drawing.axes.texts]
    assert "schedule back*50, 9 rows x 50 iterations, moments reset" in words
    assert {mark.get_text() for mark in drawing.marks} == {"+50"}
    assert [count.get_text() for count in drawing.counts] == [str(50 * n) for n in range(1, 10)]


def test_factors_are_shades():
    """Breaks if a learning rate's factor is not to be seen, or is of another layer or row."""
    drawing = NetworkDrawing(schedules.parse("9;1@0,2@0.25,3,8@1.5,9@4"), LAYERS)
    last = frames(drawing.schedule)[-1]
    pixels = drawing.draw(last)
    colors = {
        1: PALE,
        2: 0.25 * np.array(to_rgb(animation.UPDATED)) + 0.75 * np.array(to_rgb(PALE)),
        3: animation.UPDATED,
        4: animation.GRADIENT,
        8: np.array(to_rgb(RAISED[1])) / 6 + np.array(to_rgb(RAISED[0])) * 5 / 6,
        9: RAISED[1],
    }
    for number, color in colors.items():
        found = block_pixels(drawing, pixels, number).astype(int)
        assert np.abs(found - np.round(255 * np.array(to_rgb(color)))).max() <= 1, number
    marks = [mark.get_text() for mark in drawing.marks if mark.get_visible()]
    assert marks == [
        f"\N{MULTIPLICATION SIGN}{rate}\n+1" for rate in ["0.00", "0.25", "1.00", "1.50", "4.00"]
    ]
    inks = {number: drawing.numbers[number - 1].get_color() for number in (1, 3, 9)}
    assert inks == {1: "black", 3: "white", 9: "white"}
    legend = [text.get_text() for text in drawing.axes.get_legend().get_texts()]
    assert "updated, rate \N{MULTIPLICATION SIGN} more than 1" in legend


@pytest.mark.parametrize("count", [1, 2, 5, 10, 30])
def test_any_number_of_layers_fits(count):
    """Breaks if layers of a shallow or deep network overlap, or leave the picture."""
    layer = Layer(kernel=3, outputs=128, stddev=0.05)
    layers = Architecture(28, 1, count * (layer,)).scaled()
    drawing = NetworkDrawing(schedules.parse("back", count), layers)
    pixels = drawing.draw(frames(drawing.schedule)[-1])
    assert pixels.shape == (animation.HEIGHT, drawing.places.width, 3)
    for row in (drawing.numbers, drawing.marks, drawing.counts):
        boxes = [text.get_window_extent() for text in row if text.get_visible()]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    blocks = [block.get_window_extent() for block in drawing.blocks]
    for left, arrow, right in zip(blocks, drawing.forward[1:], blocks[1:]):
        box = arrow.get_window_extent()
        assert left.x1 < box.x0 < box.x1 < right.x0
    inside(drawing)


def test_the_posts_schedule_takes_twelve_seconds():
    """Breaks if the animation in the README is too slow to be watched, or too fast to be read."""
    assert 10 < sum(frame.duration for frame in frames(schedules.parse("back"))) / 1000 < 13


# --- the file


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The animation of a short schedule, as the command writes it beside the heatmap."""
    directory = tmp_path_factory.mktemp("animation")
    paths = [directory / "short.gif", directory / "short.png"]
    words = ["--schedule", SHORT, "--gif", paths[0], "--png", paths[1]]
    assert commands.here(command.main, *words) == 0
    assert sorted(directory.iterdir()) == paths
    return paths[0]


def test_the_file(written):
    """Breaks if frames are lost, run at another speed, play once, or change size."""
    with Image.open(str(written)) as file:
        assert (file.format, file.info["loop"]) == ("GIF", 0)
        shown = [(image.size, image.info["duration"]) for image in ImageSequence.Iterator(file)]
    expected = frames(schedules.parse(SHORT))
    assert shown == [((960, animation.HEIGHT), frame.duration) for frame in expected]
    assert written.stat().st_size < 100000


def test_the_pictures_in_the_file(written):
    """Breaks if a colour is not that of the drawing, or what has gone stays on the screen."""
    drawing = NetworkDrawing(schedules.parse(SHORT), LAYERS)
    sequence = frames(drawing.schedule)
    with Image.open(str(written)) as file:
        for i in (0, 10, 11, len(sequence) - 1):
            file.seek(i)
            pixels = np.asarray(file.convert("RGB")).astype(int)
            drawn = drawing.draw(sequence[i]).astype(int)
            assert np.abs(pixels - drawn).max() < 17  # smoothed edges only
            for color in (
                "white",
                animation.LAYER,
                animation.INPUT,
                animation.SOFTMAX,
                animation.POOL,
            ):
                same = has_color(drawn, color)
                assert same.any()
                np.testing.assert_array_equal(pixels[same], drawn[same])


def test_a_file_is_overwritten_only_when_asked(tmp_path, monkeypatch):
    """Breaks if an animation replaces what the user has made."""
    monkeypatch.setattr(animation, "frames", lambda schedule: frames(schedule)[-2:])
    path = tmp_path / "mine.gif"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists; give --overwrite"):
        save_animation(schedules.parse("9"), LAYERS, str(path))
    assert path.read_bytes() == b"mine"
    save_animation(schedules.parse("9"), LAYERS, str(path), overwrite=True)
    assert path.read_bytes()[:6] == b"GIF89a"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_is_left(tmp_path, monkeypatch, capsys, error):
    """Breaks if a full disk is a traceback, or a part of an animation stays behind."""
    path = tmp_path / "full.gif"

    def fail(descriptor):
        assert len(list(tmp_path.iterdir())) == 1
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(animation, "frames", lambda schedule: frames(schedule)[-2:])
    expected = (2, "full.gif") if isinstance(error, OSError) else (130, "interrupted")
    assert commands.here(command.main, "--schedule", "9", "--gif", path) == expected[0]
    assert expected[1] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["--gif", "x.mp4"],
            "x.mp4: '.mp4' is not a picture format; give a file that ends in .gif",
        ),
        (["--gif", ""], "--gif: '' is not a file name"),
        (["--gif", "missing/x.gif"], "missing"),
        (["--gif", "there.gif"], "there.gif exists; give --overwrite"),
        (["--gif", "folder.gif", "--overwrite"], "folder.gif is a directory"),
        (["--gif", "new.gif", "--png", "there.png"], "there.png exists"),
        (["--gif", "there.gif", "--png", "new.png"], "there.gif exists"),
        (["--gif", "new.gif", "--png", "new.doc"], "new.doc: '.doc'"),
        (["--gif", "new.gif", "--png", "./new.gif"], "new.gif"),
    ],
)
def test_what_cannot_be_written(tmp_path, monkeypatch, capsys, words, named):
    """Breaks if a wrong path is found out after the drawing, or by a traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.gif").write_bytes(b"mine")
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "folder.gif").mkdir()
    before = commands.snapshot(tmp_path)
    assert commands.here(command.main, *words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert named in output.err
    assert commands.snapshot(tmp_path) == before
