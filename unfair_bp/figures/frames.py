"""What each frame of a schedule's animation shows, as plain values."""

from typing import List, NamedTuple, Tuple

import numpy as np

from unfair_bp.experiment.matrix import Schedule

MOVING_ROWS = 12  # arrows move in schedules of up to this many rows; longer ones have a frame a row
MOST_FRAMES = 100  # of those others
GOLDEN = (5**0.5 - 1) / 2
# Milliseconds; a GIF counts in hundredths of a second, and browsers slow down less than two.
FORWARD_MS, BACKWARD_MS, ROW_PAUSE_MS, CYCLE_PAUSE_MS = 20, 60, 700, 1800
TOTAL_MS = 10000  # of all frames but the last, where each row is a frame


class Frame(NamedTuple):
    """What is shown at one moment of an iteration."""

    row: int  # of the schedule, from 0
    forward: int  # arrows of the forward pass so far: 1 to layers + 1
    backward: int  # arrows of the gradient so far: 0 to layers, from the softmax downwards
    lit: Tuple[bool, ...]  # for each layer, whether this iteration has updated it
    counts: Tuple[int, ...]  # for each layer, its updates since the cycle began
    duration: int  # milliseconds


def rows_shown(period: int) -> List[int]:
    """The rows of which there are frames: all, or one of each hundredth of a long schedule.

    Their distances change, so that a pattern that repeats does not always show the same row.
    """
    count = min(period, MOST_FRAMES)
    starts = [number * period // count for number in range(count + 1)]
    return [
        start + int((number * GOLDEN) % 1 * (end - start))
        for number, (start, end) in enumerate(zip(starts, starts[1:]))
    ]


def frames(schedule: Schedule) -> List[Frame]:
    """The frames of a cycle; of a long one, a frame for each of some of its rows.

    The gradient starts when the forward pass has reached the softmax. It goes down to the lowest
    layer that the row updates, also through layers that the row does not update.
    """
    rows = rows_shown(schedule.period)
    moving = len(rows) <= MOVING_ROWS
    row_pause = ROW_PAUSE_MS if moving else min(ROW_PAUSE_MS, TOTAL_MS // len(rows) // 10 * 10)
    sequence = []
    for r in rows:
        row = schedule.table[r]
        before = schedule.updates(r * schedule.hold)
        lasts = min((r + 1) * schedule.hold, schedule.cycle) - r * schedule.hold
        depth = np.count_nonzero(np.logical_or.accumulate(row))
        steps = [(forward, 0) for forward in range(1, len(row) + 2)]
        steps += [(len(row) + 1, backward) for backward in range(1, depth + 1)]
        for forward, backward in steps if moving else steps[-1:]:
            lit = row & (np.arange(len(row)) >= len(row) - backward)
            duration = BACKWARD_MS if backward else FORWARD_MS
            if (forward, backward) == steps[-1]:
                duration = CYCLE_PAUSE_MS if r == rows[-1] else row_pause
            counts = tuple((before + lasts * lit).tolist())
            sequence.append(Frame(r, forward, backward, tuple(lit.tolist()), counts, duration))
    return sequence
