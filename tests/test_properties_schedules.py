"""Whatever is given as a schedule: a matrix, or one line of refusal."""

import re

import numpy as np
from conftest import LAYERS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from unfair_bp.errors import UsageError
from unfair_bp.experiment import schedules

# The same examples in every run, on a machine of any speed.
SETTINGS = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
STRANGE = ["\u0663", "\u00b2", "\uff19", "\u2212", "\u00a0", "\u2003", "\0", "\udcff", "\U0001f600"]
TOKENS = [
    *STRANGE,
    *("fair", "back", "front", "single", "random", ":", ";", ",", "-", "--", " ", "\t", "\n"),
    *("freezeout", "lisa", "badam", "freeze", "multirate:9", "clock:1,2", "segprop:9", "shuffled:"),
    *("share:", "*", "+", "@", "0.5", "cubic", "scaled", "ascending"),
    *("0", "1", "2", "7", "9", "10", "81", "10000", "10001", "4294967295", "4294967296"),
    *("9" * 25, "9" * 5000, "01", "+1", "1.5", "1e3", "nan", "inf", "0x1", "1_0"),
]  # fmt: skip
SOUND = ["lisa:1:20*2", "badam:5:ascending+9", "share:back", "9@0.5;8", "freezeout:.5", "freeze:1"]
SOUND += ["shuffled:front:3", "multirate:1-3:4", "clock:1,2,3,4,5,6,7,8,9", "segprop:9:1-4,5-8:3"]
SOUND += ["fair", "back", "9;8-9;7-9", "1,3-5 ; 2", "random:3:90:0", "random:9", "random:1:10000"]
COUNT = st.integers(1, len(LAYERS))


def outcome(text):
    """The schedule, or None if it was refused in one line that names it."""
    try:
        schedule = schedules.parse(text)
    except UsageError as error:
        message = str(error)
        assert message.isprintable() and message.startswith("schedule ")
        assert repr(schedules.shortened(text)) in message
        return None
    assert not re.search(r"[^\x00-\x7f]", re.sub(r"\s", "", text)), "digits of another script"
    table = schedule.table
    assert table.dtype == bool and table.ndim == 2 and table.shape[1] == len(LAYERS)
    assert 1 <= schedule.period <= schedules.LONGEST_PERIOD
    assert table.any(axis=1).all(), "a row without a layer is no iteration"
    assert schedule.updates(schedule.cycle).sum() == schedule.hold * table.sum()
    assert 0.33 < schedule.relative_cost(LAYERS) <= 1.0
    name = schedules.shortened(text)
    assert f"schedule {name}: " in schedules.as_text(schedule, LAYERS)
    return schedule


@st.composite
def mutations(draw):
    """A sound specification with up to three places changed."""
    text = draw(st.sampled_from(SOUND))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at] + draw(st.sampled_from(["", *TOKENS])) + text[at + draw(st.integers(0, 3)) :]
        )
    return text


@SETTINGS
@given(text=st.text(max_size=30))
@example(text="")
@example(text="\0")
@example(text="\ud800")
@example(text="9" * 100_000)
@example(text=";".join(["9"] * (schedules.LONGEST_PERIOD + 1)))
def test_any_text_is_a_schedule_or_refused(text):
    """Breaks if text raises anything but one line."""
    outcome(text)


@SETTINGS
@given(words=st.lists(st.sampled_from(TOKENS), max_size=8))
def test_words_of_the_grammar_in_any_order_are_a_schedule_or_refused(words):
    """Breaks if a part of the grammar in another's place raises something of its own."""
    outcome("".join(words))


@SETTINGS
@given(text=mutations())
def test_nearly_sound_schedules_are_a_schedule_or_refused(text):
    """Breaks if a typing error raises something of its own."""
    outcome(text)


@st.composite
def typed(draw):
    """A typed schedule, spaced anyhow, and what it means: layers of each row."""
    rows = draw(st.lists(st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=4), min_size=1))
    spaces = st.sampled_from(["", " ", "  ", "\t"])
    text, meant = [], []
    for row in rows:
        items = []
        for one, other in row:
            first, last = min(one, other), max(one, other)
            words = (
                [str(first)]
                if first == last and draw(st.booleans())
                else [str(first), "-", str(last)]
            )
            items.append(draw(spaces) + draw(spaces).join(words) + draw(spaces))
        text.append(",".join(items))
        meant.append({n for one, other in row for n in range(min(one, other), max(one, other) + 1)})
    return ";".join(text), meant


@SETTINGS
@given(case=typed())
def test_typed_rows_mean_what_they_say(case):
    """Breaks if a layer, a range's end or a row is lost, whatever the spacing."""
    text, meant = case
    assert [{i + 1 for i in np.flatnonzero(row)} for row in outcome(text).table] == meant


@SETTINGS
@given(chosen=st.integers(-1, 11), period=st.integers(-1, 200), seed=st.integers(-1, 2**32 + 1))
@example(chosen=9, period=schedules.LONGEST_PERIOD, seed=2**32 - 1)
@example(chosen=9, period=schedules.LONGEST_PERIOD + 1, seed=0)
@example(chosen=9, period=1, seed=2**32)
def test_random_schedules_have_their_sizes(chosen, period, seed):
    """Breaks if a bound is off by one, or a row has another number of layers."""
    schedule = outcome(f"random:{chosen}:{period}:{seed}")
    valid = 1 <= chosen <= 9 and 1 <= period <= schedules.LONGEST_PERIOD and 0 <= seed < 2**32
    assert (schedule is not None) == valid
    if valid:
        assert schedule.table.sum(axis=1).tolist() == [chosen] * period
