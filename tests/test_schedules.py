"""Schedules as matrices: the named ones, the typed ones, their counts and their cost."""

import numpy as np
import pytest
from conftest import LAYERS

from unfair_bp.errors import UsageError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import forward_flops


def test_the_named_schedules():
    """Breaks if an end is swapped or the order of the rows is."""
    assert schedules.parse("fair").table.tolist() == [[True] * 9]
    back, front = schedules.parse("back").table, schedules.parse("front").table
    for u in range(9):
        assert [i + 1 for i in np.flatnonzero(back[u])] == list(range(9 - u, 10))
        assert [i + 1 for i in np.flatnonzero(front[u])] == list(range(1, u + 2))
    assert schedules.parse("single").table.tolist() == np.eye(9, dtype=bool).tolist()


def test_random_layers():
    """Breaks if a row has another number of layers, or the draw does not follow the seed."""
    schedule = schedules.parse("random:3:50:4")
    assert schedule.table.shape == (50, 9)
    assert (schedule.table.sum(axis=1) == 3).all()
    assert (schedule.table.sum(axis=0) > 0).all()
    schedules.parse.cache_clear()
    assert (schedule.table == schedules.parse("random:3:50:4").table).all()
    assert (schedule.table != schedules.parse("random:3:50:5").table).any()
    assert schedules.parse("random:2").period == 81


def test_typed_rows():
    """Breaks if layers are not counted from 1, or a range loses its end."""
    table = schedules.parse("9; 8-9 ;1,4-5").table
    assert [[i + 1 for i in np.flatnonzero(row)] for row in table] == [[9], [8, 9], [1, 4, 5]]


@pytest.mark.parametrize(
    "text",
    # Rows that name no layer, one that does not exist, or a range that goes down.
    ["", ";", "1;", "0", "10", "9;10", "3-1", "1-", "-3", "1--2", "1 2", "99999999999999999999"]
    # Words that are no name.
    + ["a", "1;b", "fair;9", "Fair"]
    # Random schedules that lack a number, or have one out of range.
    + ["random", "random:0", "random:10", "random:3:0", "random:3:10001", "random:3:9:4294967296"]
    + ["random:3:9:0:1", "random:-1", "random:" + 5000 * "1"],
)
def test_what_is_no_schedule(text):
    """Breaks if a typing error becomes some schedule, or a traceback."""
    with pytest.raises(UsageError) as raised:
        schedules.parse(text)
    assert repr(schedules.shortened(text)) in str(raised.value)


def test_the_table_is_frozen():
    """Breaks if a caller can change a schedule that others hold."""
    with pytest.raises(ValueError, match="read-only"):
        schedules.parse("back").table[0, 0] = True


def test_costs_are_those_of_the_reference():
    """Breaks if a layer's cost, or what a row makes necessary, is counted wrongly."""
    mflops = [round(layer.flops / 1e6, 2) for layer in LAYERS]
    assert mflops == [14.16, 1207.96, 603.98, 75.5, 75.5, 37.75, 4.72, 0.52, 0.08]
    fair_step = schedules.parse("fair").row_flops(LAYERS)[0]
    assert round(forward_flops(LAYERS) / 1e6) == 2020
    assert round(fair_step / 1e6) == 6046
    assert round(schedules.parse("back").relative_cost(LAYERS), 3) == 0.488
    assert round(schedules.parse("front").relative_cost(LAYERS), 3) == 0.942


def test_costs_of_a_cycle_on_one_batch_are_those_of_the_reference():
    """Breaks if activations that are kept are charged for, or ones that are not are left out."""
    fair_step = schedules.fair_step_flops(LAYERS)
    cycles = {name: schedules.parse(name).cycle_flops(LAYERS) for name in ("fair", "back", "front")}
    assert cycles["fair"] == fair_step
    assert round(cycles["back"] / fair_step, 2) == 2.24
    assert round(cycles["front"] / fair_step, 2) == 8.48


def test_cost_of_rows_by_hand():
    """Breaks if the chain is charged for layers below the lowest updated one, or not for a gap."""
    flops = [layer.flops for layer in LAYERS]
    rows = schedules.parse("9;1;4-5").row_flops(LAYERS)
    assert rows[0] == sum(flops) + flops[8]
    assert rows[1] == sum(flops) + flops[0] + sum(flops[1:])
    assert rows[2] == sum(flops) + flops[3] + flops[4] + sum(flops[4:])


def test_text_shows_rows_updates_and_cost():
    """Breaks if the text shows another matrix than the one that runs."""
    text = schedules.as_text(schedules.parse("9;8-9"), LAYERS)
    lines = text.splitlines()
    assert ". . . . . . . . #" in lines[3]
    assert ". . . . . . . # #" in lines[4]
    assert "updates per cycle, layer 1..9: 0 0 0 0 0 0 0 1 2" in lines
