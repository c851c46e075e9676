"""The named schedules against their formulas, written out again as loops; costs, and controls."""

import math
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import LAYERS, tiny_case

from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import schedules
from unfair_bp.experiment.architecture import backward_flops, forward_flops
from unfair_bp.experiment.cases import (
    Case,
    as_text,
    intended_schedule,
    run_length,
    schedule_of,
)
from unfair_bp.experiment.matrix import Schedule
from unfair_bp.experiment.methods import METHODS
from unfair_bp.experiment.schedules import parse, specification

KINDS = [
    *("fair", "back", "front", "single", "random:3", "freezeout", "freezeout:0.5:linear:unscaled"),
    *("freeze", "freeze:0.5", "unfreeze", "unfreeze:.25", "lisa", "lisa:1:5:3", "lisa-head"),
    *("badam", "badam:7:descending", "badam:7+9", "multirate:9:5", "multirate:1-3:2"),
    *("clock:4,4,3,3,2,2,1,1,1", "segprop:7-9:1-2,3-4,5-6:100", "back*100", "single+9*3"),
    *("9;1,4-5@0.25", "shuffled:back", "shuffled:back:4", "share:back", "share:freezeout"),
]


def layers_at(schedule, iteration):
    """Numbers of the layers that an iteration updates."""
    return [i + 1 for i in np.flatnonzero(schedule.table[schedule.row_at(iteration)])]


def factors_at(schedule, iteration):
    """What each layer's rate is multiplied by, 0 if it is not updated."""
    return schedule.rates[schedule.row_at(iteration)]


@pytest.mark.parametrize("shape, power", [("linear", 1), ("squared", 2), ("cubic", 3)])
@pytest.mark.parametrize("scale", ["scaled", "unscaled"])
def test_freezeout_is_its_formula(shape, power, scale):
    """Breaks if a layer freezes early or late, or its cosine has another height or length."""
    T, t0 = 400, 0.6
    schedule = parse(f"freezeout:{t0}:{shape}:{scale}", 9, T)
    assert schedule.spans_run and schedule.cycle == T
    for t in range(0, T, 7):
        for i in range(1, 10):
            until = (t0 + (1 - t0) * (i - 1) / 8) ** power
            rate = 0.5 * (1 + math.cos(math.pi * t / (until * T))) if t < until * T else 0.0
            rate /= until if scale == "scaled" else 1
            assert factors_at(schedule, t)[i - 1] == pytest.approx(rate, abs=1e-12)


def test_freezeout_of_a_long_run_is_sampled():
    """Breaks if a long run has more rows than a graph should, or another length."""
    schedule = parse("freezeout", 9, 250_003)
    assert (schedule.period, schedule.hold) == (9616, 26)
    assert factors_at(schedule, 100_000)[8] == pytest.approx(
        0.5 * (1 + math.cos(math.pi * 100_000 / 250_003)), abs=1e-3
    )
    assert factors_at(schedule, 25)[8] == factors_at(schedule, 0)[8] == 1.0


def test_freeze_and_unfreeze_are_evenly_spaced():
    """Breaks if an end is swapped, a stage has another length, or the last stage ends early."""
    freeze, unfreeze = parse("freeze", 9, 90), parse("unfreeze", 9, 90)
    half, quarter = parse("freeze:0.5", 9, 90), parse("unfreeze:0.25", 9, 360)
    for t in range(90):
        assert layers_at(freeze, t) == [i for i in range(1, 10) if t < i * 90 / 9]
        assert layers_at(unfreeze, t) == list(range(9 - t // 10, 10))
        assert layers_at(half, t) == [i for i in range(1, 10) if t < i * 45 / 9 or i == 9]
        assert layers_at(quarter, t) == list(range(max(1, 9 - t // 10), 10))


@pytest.mark.parametrize("name, ends", [("lisa", [1, 9]), ("lisa-head", [9])])
def test_lisa_draws_among_the_others(name, ends):
    """Breaks if an end is drawn or skipped, a row has another number, or K is not its length."""
    schedule = parse(f"{name}:3:20:5")
    assert schedule.hold == 20
    drawn = np.delete(schedule.table, [i - 1 for i in ends], axis=1)
    assert schedule.table[:, [i - 1 for i in ends]].all()
    assert (drawn.sum(axis=1) == 3).all()
    share = 3 / drawn.shape[1]
    assert np.abs(drawn.mean(axis=0) - share).max() < 4 * math.sqrt(share * (1 - share) / 1e4)
    parse.cache_clear()
    assert parse(f"{name}:3:20:6") != schedule == parse(f"{name}:3:20:5")


def test_badam_switches_layers():
    """Breaks if a sweep leaves a layer out, all sweeps are alike, or an order is turned round."""
    schedule = parse("badam:50")
    assert (schedule.hold, schedule.moments) == (50, "reset-all")
    assert (schedule.table.sum(axis=1) == 1).all()
    order = schedule.table.argmax(axis=1).reshape(-1, 9)
    assert (np.sort(order, axis=1) == np.arange(9)).all()
    assert len(np.unique(order, axis=0)) > 1000
    assert parse("badam:2:ascending").table.argmax(axis=1).tolist() == list(range(9))
    assert parse("badam:2:descending").table.argmax(axis=1).tolist() == list(range(8, -1, -1))
    assert parse("badam:2:ascending+9").table.sum(axis=0).tolist() == [1] * 8 + [9]


def test_multirate_and_clock():
    """Breaks if fast and slow layers are swapped, or the slow ones have another rate."""
    schedule = parse("multirate:7-9:4")
    for t in range(9):
        slow = 4.0 if t % 4 == 0 else 0.0
        assert factors_at(schedule, t).tolist() == [slow] * 6 + [1.0] * 3
    clocks = [6, 3, 3, 2, 2, 1, 1, 1, 4]
    schedule = parse("clock:" + ",".join(map(str, clocks)))
    assert schedule.period == 12
    for t in range(30):
        assert layers_at(schedule, t) == [i + 1 for i in range(9) if t % clocks[i] == 0]


def test_segprop():
    """Breaks if a segment is left out, lasts longer, or the head is skipped."""
    schedule = parse("segprop:7-9:1-2,3-4,5-6:10")
    for t in range(40):
        segment = t // 10 % 3
        assert layers_at(schedule, t) == [2 * segment + 1, 2 * segment + 2, 7, 8, 9]


@pytest.mark.parametrize(
    "text, cost",
    [
        ("freezeout", 0.712),
        ("freezeout:0.5:linear", 0.712),
        ("badam", 0.429),
        ("freeze", 0.488),
        ("unfreeze", 0.488),
        ("segprop:7-9:1-2,3-4,5-6:100", 0.570),
        ("multirate:9:5", 0.467),
    ],
)
def test_costs_are_those_of_the_reference(text, cost):
    """Breaks if a method updates other layers than its formula says."""
    assert round(parse(text).relative_cost(LAYERS), 3) == cost


@pytest.mark.parametrize(
    "text, cost",
    [("lisa:1", 0.716), ("lisa:2", 0.763), ("lisa-head:1", 0.441), ("lisa-head:2", 0.538)],
)
def test_costs_of_random_rows(text, cost):
    """Breaks if the draw is not uniform: the reference has the mean over all draws."""
    assert parse(text).relative_cost(LAYERS) == pytest.approx(cost, abs=0.003)


@pytest.mark.parametrize("name", ["back", "front", "multirate:9:5", "freezeout"])
def test_shuffled_has_the_same_rows(name):
    """Breaks if a row, a factor or the hold is lost, or the order stays."""
    schedule, shuffled = parse(name, 9, 2000), parse(f"shuffled:{name}", 9, 2000)
    cycles = shuffled.period // schedule.period
    np.testing.assert_array_equal(
        np.sort(shuffled.rates.view([("", float)] * 9), axis=0),
        np.sort(np.tile(schedule.rates, [cycles, 1]).view([("", float)] * 9), axis=0),
    )
    assert (
        shuffled.updates(shuffled.cycle).tolist()
        == (cycles * schedule.updates(schedule.cycle)).tolist()
    )
    assert shuffled.relative_cost(LAYERS) == pytest.approx(
        schedule.relative_cost(LAYERS), rel=1e-12
    )
    assert shuffled.hold == schedule.hold
    assert not np.array_equal(shuffled.table[: schedule.period], schedule.table)
    assert parse(f"shuffled:{name}:1", 9, 2000) != shuffled


@pytest.mark.parametrize("name", ["freeze", "unfreeze:0.5", "freezeout"])
@pytest.mark.parametrize("T", [90, 9_999, 10_000, 50_000])
def test_shuffled_runs_are_shuffled_finely(name, T):
    """Breaks if a long run is shuffled in a few blocks, or has other counts than its schedule."""
    schedule, shuffled = parse(name, 9, T), parse(f"shuffled:{name}", 9, T)
    assert shuffled.spans == shuffled.cycle == T
    assert shuffled.period == min(T, 10_000) and shuffled.hold == -(-T // 10_000)
    assert abs(shuffled.updates(T) - schedule.updates(T)).max() <= 3 * shuffled.hold
    stays = (shuffled.table[1:] == shuffled.table[:-1]).all(axis=1).mean()
    assert stays < 0.7
    np.testing.assert_allclose(shuffled.mean_rates, schedule.mean_rates, rtol=0.03)


def test_shuffled_cycles_differ():
    """Breaks if one order is repeated, which would be another fixed schedule."""
    cycles = parse("shuffled:back").table.sum(axis=1).reshape(-1, 9)
    assert (np.sort(cycles, axis=1) == np.arange(1, 10)).all()
    assert len(np.unique(cycles, axis=0)) > 1000


@pytest.mark.parametrize("name", ["back", "front", "multirate:9:5", "freezeout", "9;8@0.5"])
def test_share_has_the_mean_rates(name):
    """Breaks if the control has another mean rate than what it controls for, or skips a layer."""
    schedule, share = parse(name), parse(f"share:{name}")
    assert share.period == 1
    np.testing.assert_allclose(share.rates[0], schedule.rates.mean(axis=0), rtol=1e-13)
    assert share.table[0].tolist() == (schedule.table.any(axis=0)).tolist()
    if name == "back":
        assert share.relative_cost(LAYERS) == 1.0
        assert share.rates[0].tolist() == [i / 9 for i in range(1, 10)]


def test_share_is_of_all_that_follows():
    """Breaks if the control of single+9 is that of single: fair with a ninth of every rate."""
    assert parse("share:single+9") == parse("1-8@0.1111111111111111,9")
    assert parse("share:9@0.5;8*7") == parse("8@0.5,9@0.25")


@pytest.mark.parametrize("text", ["freeze", "freeze:0.95", "unfreeze:0.95", "freezeout"])
def test_means_are_those_of_the_run(text):
    """Breaks if a last row that the end of the run cuts is counted as a whole one."""
    T = 50_000
    schedule = parse(text, 9, T)
    assert schedule.cycle == T
    rows = [schedule.row_at(t) for t in range(T)]
    means = schedule.rates[rows].mean(axis=0)
    np.testing.assert_allclose(schedule.mean_rates, means, rtol=1e-12)
    np.testing.assert_allclose(parse(f"share:{text}", 9, T).rates[0], means, rtol=1e-12)
    fair = forward_flops(LAYERS) + backward_flops(LAYERS, [True] * 9)
    cost = schedule.row_flops(LAYERS)[rows].mean() / fair
    assert schedule.relative_cost(LAYERS) == pytest.approx(cost, rel=1e-12)
    shown = schedules.as_text(schedule, LAYERS)
    assert f"a cycle of {T} iterations" in shown
    assert f"layer 1..9: {' '.join(map(str, schedule.updates(T)))}\n" in shown
    if text == "freezeout":
        rates = " ".join(f"{rate:.3g}" for rate in means)
        assert shown.endswith(f"mean learning rate, relative to the case's, layer 1..9: {rates}")


@pytest.mark.parametrize("text", KINDS)
def test_counts_and_operations_against_a_plain_loop(text):
    """Breaks if a hold, or a cycle that is cut short, is counted wrongly."""
    schedule = parse(text, 9, 40)
    counts, flops = np.zeros(9, int), 0
    for iteration in range(45):
        assert schedule.updates(iteration).tolist() == counts.tolist()
        if iteration in (0, 1, schedule.hold, 30, 44):  # long schedules take a while
            assert schedule.flops(LAYERS, iteration) == flops
        row = schedule.table[(iteration // schedule.hold) % len(schedule.table)]
        counts += row
        flops += forward_flops(LAYERS) + backward_flops(LAYERS, row)
    assert 0.33 < schedule.relative_cost(LAYERS) <= 1.0


def test_operations_of_a_held_cycle_on_one_batch():
    """Breaks if a row's second round on a batch is charged for layers that have not changed."""
    flops = [layer.flops for layer in LAYERS]
    once, twice = parse("9;1").cycle_flops(LAYERS), parse("9;1*2").cycle_flops(LAYERS)
    # The second round of the first row begins at layer 9; that of the second at layer 1.
    assert twice - once == flops[8] + flops[8] + sum(flops) + flops[0] + sum(flops[1:])


@pytest.mark.parametrize("text", KINDS)
def test_a_schedule_is_the_text_it_was_made_from(text):
    """Breaks if a schedule given as a value runs as another one."""
    schedule = parse(text)
    assert specification(schedule) == text
    unnamed = Schedule("mine", schedule.table, schedule.hold, schedule.factors, schedule.moments)
    typed = parse(specification(unnamed))
    assert typed == replace(unnamed, moments="keep")
    case = tiny_case("a", schedule=unnamed, data="shapes")
    assert schedule_of(case) == unnamed


def test_equality_sees_everything():
    """Breaks if two schedules that do different things are taken for the same."""
    back = parse("back")
    assert back == Schedule("mine", np.array(back.table)) and hash(back) == hash(parse("back"))
    assert parse("9;1-9") == parse("9;1-8,9") == parse("9@1;1-9")
    for other in ("back*2", "back+1", "9@0.5", "shuffled:back"):
        assert parse(other) != back
    assert parse("9@0.5") != parse("9") != parse("9@0.25")
    assert replace(back, moments="reset") != back
    assert replace(parse("fair"), moments="reset") == parse("fair")  # nothing is ever restarted
    held = Schedule("", np.ones([2, 3], bool), hold=5, moments="reset-all")
    assert replace(held, spans=10) != held


def test_a_run_of_less_than_nothing_is_refused():
    """Breaks if a schedule can span a negative number of iterations, which is read as a cycle."""
    with pytest.raises(UsageError, match="spans -3 iterations; give 0 or more"):
        Schedule("", np.ones([2, 3], bool), spans=-3)


@pytest.mark.parametrize(
    "text",
    [
        *("freezeout:0", "freezeout:0.009", "freezeout:1.1", "freezeout:0.5:round"),
        *("freezeout:0.5:linear:3", "freeze:0.0001"),
        *("freeze:x", "freezeout:0.8:cubic:scaled:1", "lisa:8", "lisa:0", "lisa:1:0"),
        *("lisa:1:20:-1", "lisa-head:9", "badam:0", "badam:5:up", "badam:5:random:4294967296"),
        *("multirate", "multirate:9", "multirate:10:2", "multirate:9:10001", "clock:1,1"),
        *("clock:2,2,2,2,2,2,2,2,2", "clock:9973,9967,1,1,1,1,1,1,1", "segprop:9:1-2"),
        *("segprop:9:1-x:5", "segprop:9:1-2:0", "shuffled", "shuffled:", "share:nothing"),
        *("shuffled:share:back", "share:share:back", "shuffled:back:x", "back:1", "back*0"),
        *("back*", "back*x", "back+", "back+10", "freeze*2", "back*99999999999", "lisa*999999999"),
        *("9@", "9@x", "9@-1", "9@1e9", "9@nan", "back*2*3", "back**", "+9", "*3", "unfreeeze"),
        *("freezeout+1", "multirate:9:5+1", "7@2;8+7", "shuffled:badam", "shuffled:lisa:1:20:3"),
        *("shuffled:random:1", "9@0.5@2"),
    ],
)  # fmt: skip
def test_what_is_no_schedule(text):
    """Breaks if a typing error becomes some schedule, or a traceback."""
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert repr(schedules.shortened(text)) in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_near_name_is_suggested():
    """Breaks if a misspelt name is refused without help."""
    with pytest.raises(UsageError, match="did you mean freezeout"):
        parse("freezout:0.5")


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"table": np.ones([2, 9])}, "boolean array"),
        ({"table": np.ones([2, 9], bool)[:0]}, "0 rows"),
        ({"table": np.eye(9, dtype=bool)[:, :5]}, "updates no layer on row 5"),
        ({"hold": 0}, "0 iterations"),
        ({"factors": np.ones([2, 9])}, "factors .* for a table"),
        ({"factors": np.full([9, 9], np.nan)}, "factor nan"),
        ({"factors": -np.ones([9, 9])}, "factor -1"),
        ({"moments": "forget"}, "'forget' is not known"),
    ],
)
def test_a_value_that_is_no_schedule(changes, problem):
    """Breaks if a schedule that cannot be run is found out in the graph only."""
    good = {"name": "mine", "table": np.eye(9, dtype=bool), "factors": np.ones([9, 9])}
    with pytest.raises(FieldError, match=problem):
        Schedule(**{**good, **({"factors": None} if "table" in changes else {}), **changes})


@pytest.mark.parametrize("hold", ["2", None, 2.5, True, 0])
def test_a_hold_is_a_whole_number(hold):
    """Breaks if a wrong hold from Python is a traceback, or half an iteration."""
    with pytest.raises(FieldError, match="give a whole number from 1"):
        Schedule("", np.ones([2, 3], bool), hold=hold)
    with pytest.raises(FieldError, match="factors that are not all numbers"):
        Schedule("", np.ones([2, 3], bool), factors="x")
    with pytest.raises(FieldError, match="train fewer iterations"):
        parse("freeze", 9, 10**11)
    assert Schedule("", np.ones([2, 3], bool), hold=np.int64(2)).cycle == 4


def test_rows_that_differ_in_a_factor_of_zero_alone():
    """Breaks if a layer that is updated by nothing is shown as one that is not updated."""
    lines = schedules.as_text(parse("8,9@0;8"), LAYERS).splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["0", "1"]
    assert lines[3].split()[8:10] == ["1", "0"] and lines[4].split()[8:10] == ["1", "."]


def test_restarts():
    """Breaks if a policy forgets on the wrong rows."""
    back, single = parse("back"), parse("single+9")
    assert not back.restarts.any()
    again = replace(back, moments="reset").restarts
    assert again.tolist() == (np.eye(9, dtype=bool)[::-1] & (np.arange(9) > 0)[:, None]).tolist()
    assert replace(single, moments="reset").restarts[:, 8].sum() == 0
    assert replace(single, moments="reset-all").restarts.tolist() == single.table.tolist()
    assert not replace(parse("fair"), moments="reset-all").restarts.any()
    assert replace(parse("fair*2"), moments="reset-all").restarts.all()
    stages = replace(parse("unfreeze", 9, 90), moments="reset-all").restarts
    assert stages[:, 8].sum() == 9 and stages[::10, 8].all()
    for text, blocks in (("unfreeze", 9), ("freeze:0.5", 9), ("freezeout", 9)):
        long = replace(parse(text, 9, 50_000), moments="reset-all").restarts
        assert long.any(axis=1).sum() == blocks


def test_layers_may_be_added_where_no_rate_is_lost():
    """Breaks if + takes a layer's own rates away, or refuses one that has none."""
    assert parse("7@0.5;8+9") == parse("7@0.5,9;8,9")
    assert parse("multirate:9:5+9") == parse("multirate:9:5")


def test_a_schedule_that_spans_a_run_is_what_its_name_says():
    """Breaks if a changed matrix is replaced by that of the name it still has."""
    freeze = parse("freeze", 9, 500)
    assert Case(schedule=freeze).schedule == "freeze"
    other = replace(freeze, table=~freeze.table | freeze.table[:1])
    for wrong in (other, replace(parse("fair"), spans=500), replace(other, name="mine")):
        with pytest.raises(FieldError, match="spans a run of 500 iterations"):
            Case(schedule=wrong)
    assert Case(schedule=replace(other, spans=0)).schedule.count(";") == 499


def test_a_schedules_own_policy_is_not_kept_for_another():
    """Breaks if the moments of a schedule that was given stay when another takes its place."""
    case = Case(schedule=parse("back"))
    assert case == Case(schedule="back") and case.moments == "own"
    assert schedule_of(replace(case, schedule="badam")).moments == "reset-all"
    assert Case(schedule=replace(parse("back"), moments="reset")).moments == "reset"
    assert Case(schedule=replace(parse("badam"), moments="keep")).moments == "keep"


def test_a_case_says_how_long_its_run_is():
    """Breaks if a schedule that spans the run is made for another length."""
    case = tiny_case("a", schedule="freeze", data="shapes", train_size=90, epochs=2)
    assert run_length(case) == 2 * 23  # batches of 4
    assert schedule_of(case).cycle == 46
    assert schedule_of(case, 9000).cycle == 9000
    assert schedule_of(case, 90_000).hold == 10_000
    assert run_length(replace(case, validation_size=10)) == 2 * 20
    assert run_length(tiny_case("b", epochs=3)) == 3 * 25_000  # half of each batch is augmented


def test_a_case_has_its_policy():
    """Breaks if --moments is not what runs, or is not printed."""
    assert schedule_of(tiny_case("a", schedule="badam")).moments == "reset-all"
    kept = tiny_case("a", schedule="badam", moments="keep")
    assert schedule_of(kept).moments == intended_schedule(kept).moments == "keep"
    lines = dict(line.split(None, 1) for line in as_text(kept).splitlines() if " " in line.strip())
    assert lines["moments"] == "keep"
    shown = as_text(replace(kept, moments="own"))
    assert re.search("^ *moments +reset-all, as the schedule has it$", shown, re.MULTILINE)
    assert len({re.match(" *[a-z0-9_]+ +", line).end() for line in shown.splitlines()}) == 1
    assert "multirate:9:5 (5 rows, learning rate x 1 to 5)" in as_text(
        tiny_case("a", schedule="multirate:9:5")
    )
    with pytest.raises(FieldError, match="moments 'lose' is not known"):
        tiny_case("a", moments="lose")


def test_what_does_not_go_together():
    """Breaks if a whole run is unrolled onto a batch, or the scripts get what they never had."""
    with pytest.raises(FieldError, match="spans the whole run"):
        tiny_case("a", schedule="freeze", protocol="per-batch")
    for changes in ({"schedule": "share:back"}, {"schedule": "back", "moments": "reset"}):
        with pytest.raises(FieldError, match="scales the learning rate or resets"):
            tiny_case("a", quirks=("update-first",), **changes)


def test_defaults_of_the_methods():
    """Breaks if a method is given other numbers than its source has, where none are typed."""
    assert parse("freezeout", 9, 400) == parse("freezeout:0.8:cubic:scaled", 9, 400)
    assert parse("badam") == parse("badam:100:random:0")
    assert parse("lisa") == parse("lisa:2:20:0")
    assert parse("lisa-head") == parse("lisa-head:2:20:0")
    assert parse("random:2", 5).period == 9 * 5
    assert parse("freezeout", 1, 50).table.all()  # the last layer trains to the end
    assert parse("freezeout:0.01", 9, 400).spans_run


def test_stages_of_a_part_of_a_long_run():
    """Breaks if the last stage does not last until the end of a run whose rows are held."""
    assert parse("freeze", 9, 9_999).hold == 1
    counts = parse("freeze:0.33", 9, 50).updates(50)  # 16.5 iterations, rounded to 16
    assert counts.tolist() == [math.ceil(16 * i / 9) for i in range(1, 9)] + [50]
    counts = parse("freeze:0.35", 9, 50).updates(50)  # 17.5, rounded to 18
    assert counts.tolist() == [2 * i for i in range(1, 9)] + [50]
    assert parse("freeze", 9, 10_000).hold == -(-10_000 // 9)
    for text, last in (("freeze:0.5", [9]), ("unfreeze:0.25", list(range(1, 10)))):
        schedule = parse(text, 9, 20_000)
        assert schedule.cycle >= 20_000
        for iteration in (10_020, 15_000, 19_999):
            row = schedule.table[iteration // schedule.hold]
            assert (np.flatnonzero(row) + 1).tolist() == last


def test_a_very_long_run_takes_no_more_memory():
    """Breaks if a schedule of ten rows is made from an array as long as its run."""
    tracemalloc.start()
    try:
        assert parse("freeze", 9, 10**9).period == 9
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_share_of_a_schedule_that_spans_its_run_spans_it():
    """Breaks if a part of such a run passes for a whole one."""
    assert parse("share:freezeout", 9, 500).spans == 500


def test_the_catalogue_lists_every_name():
    """Breaks if a name has no line, or a line no source."""
    text = schedules.catalogue()
    for name, method in METHODS.items():
        assert method.grammar.startswith(name) and method.source and method.meaning
        assert f"{method.grammar}\n    {method.meaning}\n    {method.source}" in text


def test_text_of_a_long_schedule_is_short():
    """Breaks if a whole run is printed row by row, or a hold or a factor is not told."""
    for text in ("freezeout", "lisa", ";".join(["9", "8"] * 2000)):
        lines = schedules.as_text(parse(text), LAYERS).splitlines()
        assert len(lines) < 60 and max(map(len, lines)) < 160
    text = schedules.as_text(parse("multirate:9:5*10"), LAYERS)
    assert "a cycle of 50 iterations, 5 rows of 10" in text
    assert "      1-4        . . . . . . . . 1   0.334" in text
