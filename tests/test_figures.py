"""Pictures: what is drawn is the schedule, and a file of the user's is not lost."""

import numpy as np
import pytest
from conftest import LAYERS

from unfair_bp.errors import UsageError
from unfair_bp.experiment import schedules
from unfair_bp.figures import style
from unfair_bp.figures.schedule import schedule_heatmap


@pytest.fixture(scope="module")
def figure():
    """The heatmap of the schedule from the back."""
    return schedule_heatmap(schedules.parse("back"), LAYERS)


def test_heatmap_shows_the_matrix_the_cost_and_the_counts(figure):
    """Breaks if the picture shows another matrix, cost or count than the one that runs."""
    matrix, cost, counts = figure.axes
    pixels = np.asarray(matrix.images[0].get_array())
    blue = (pixels == [0, 0x72, 0xB2]).all(axis=2)
    np.testing.assert_array_equal(blue, schedules.parse("back").table)
    widths = [bar.get_width() for bar in cost.patches]
    assert widths[0] == pytest.approx(0.334, abs=5e-4)
    assert widths[-1] == 1.0
    assert [bar.get_height() for bar in counts.patches] == list(range(1, 10))


def test_a_long_schedule_is_cut_and_says_so():
    """Breaks if a long schedule makes a picture of ten thousand rows, or hides that it was cut."""
    long = schedule_heatmap(schedules.parse("random:3:5000"), LAYERS)
    assert "first 60 of 5000 rows" in long.axes[0].get_title(loc="left")
    assert len(long.axes[0].images[0].get_array()) == 60


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_save(figure, tmp_path, ending):
    """Breaks if a format is not written, or a temporary file stays behind."""
    path = tmp_path / ("picture." + ending)
    style.save(figure, str(path))
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_overwritten_only_when_asked(figure, tmp_path):
    """Breaks if a picture replaces what the user has made."""
    path = tmp_path / "picture.png"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists; give --overwrite"):
        style.save(figure, str(path))
    assert path.read_text() == "mine"
    link = tmp_path / "link.png"
    link.symlink_to("nowhere.png")
    with pytest.raises(UsageError, match="exists; give --overwrite"):
        style.save(figure, str(link))
    assert link.is_symlink()
    style.save(figure, str(path), overwrite=True)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", ["picture", "picture.doc", "missing/picture.png"])
def test_what_cannot_be_written(figure, tmp_path, name):
    """Breaks if a wrong name ends in a traceback or leaves a file behind."""
    with pytest.raises(UsageError, match="picture"):
        style.save(figure, str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []
