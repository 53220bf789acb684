"""The clock of a track's sound: where its blocks begin by the count of samples, and how far their timestamps stray."""

import math
from fractions import Fraction
from itertools import pairwise

from media import grid

_LEAST_BLOCKS = 4
MOST_SLACK_S = 0.04


def sound_clock(
    blocks: list[tuple[int, int]], tick_s: Fraction, rate: int, paged: bool = False
) -> tuple[float, int, float]:
    """(anchor, step, slack): blocks begin at anchor (s) plus whole multiples of `step` samples, say their timestamps to
    within `slack` (s). step is 0 where they say no such thing.

    blocks: (timestamp in ticks, samples) of the first blocks. tick_s: of the container, seconds. paged: Ogg stamps
    pages, and what is made of that for Vorbis, whose blocks differ in length, is wrong now and then.
    The encoder's delay cuts the first block and the end of the track the last: the lattice is that of the others.
    Timestamps that stray by more than their own tick were taken from a clock; half a block off, they say nothing.
    """
    if paged:
        return 0.0, 0, MOST_SLACK_S
    if len(blocks) < _LEAST_BLOCKS:
        return 0.0, 0, float(tick_s)
    step = math.gcd(*(samples for _, samples in blocks[1:-1]))
    strays = sorted(
        abs(float((next_at - at) * tick_s) - samples / rate) for (at, samples), (next_at, _) in pairwise(blocks)
    )
    usual = strays[len(strays) * 9 // 10]
    tick = float(tick_s)
    slack = tick if usual <= 1.01 * tick + 1 / rate else min(2 * usual, MOST_SLACK_S)
    anchor = grid.count(blocks[0][0] * tick_s, rate) + blocks[0][1]
    return anchor / rate, step if slack <= step / rate / 2 else 0, slack
