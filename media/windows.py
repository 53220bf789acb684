"""Speech-aware windows: long shots are cut where nobody speaks. Dynamic programming on the frame grid; pure arithmetic.

A plan costs the frames it leaves out, GIVE_S seconds for each end of a clip that falls into speech, a little for an end
close to speech, and a little for clips unlike the even split's. The cheapest plan is found exactly, and the even split
is one of the plans: so the windows cover at least what even ones cover, less 2 x GIVE_S seconds a clip, and a word is
split only where every gap is out of reach or would cost more footage than that.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from media.cuts import Cut, bounds, split_evenly

GIVE_S = 0.25
"""Seconds of footage that keeping one end of a clip out of speech is worth."""
_NEAR_S = 0.3
_NEAR = 0.2
_UNEVEN_S = 0.5
_UNIT = 1000
"""Costs are whole thousandths of a frame: sums are exact, so equal plans tie the same way everywhere."""


def plan_windows(
    shots: Iterable[tuple[int, int]],
    speech: Sequence[tuple[float, float]],
    fps: Fraction,
    min_s: float,
    max_s: float,
    guard_frames: int = 0,
) -> list[Cut]:
    """Like `media.cuts.plan_cuts`, but the ends of clips prefer gaps between the spans of `speech`.

    speech: (start, end) in seconds of the grid, sorted, apart. A shot without speech is split evenly.
    Every clip lasts `min_s` to `max_s`; clips do not overlap and lie within their shots. Raises ValueError unless
    0 < min_s <= max_s.
    """
    least, most = bounds(fps, min_s, max_s)
    cuts: list[Cut] = []
    for start, end in shots:
        first, last = start + guard_frames, end - guard_frames
        even = split_evenly(first, last, least, most)
        cost = edge_costs(first, last, speech, fps) if even else np.zeros(0, np.int64)
        cuts += _cheapest(first, cost, even[0].frames, least, most, fps) if cost.any() else even
    return cuts


def edge_costs(first: int, last: int, speech: Sequence[tuple[float, float]], fps: Fraction) -> np.ndarray:
    """What a clip's end costs at each frame boundary first..last, (last - first + 1,) int64 in thousandths of a frame.

    GIVE_S inside speech; beside it a fifth of that, falling to nothing 0.3 s away: long gaps are cut in their middle.
    """
    worst = GIVE_S * float(fps) * _UNIT
    if not speech:
        return np.zeros(last - first + 1, np.int64)
    at = np.arange(first, last + 1) / float(fps)
    starts, ends = np.array(speech, np.float64).T
    after = np.searchsorted(ends, at, side="right")  # the first span that ends later
    since = at - np.concatenate([[-np.inf], ends])[after]
    until = np.concatenate([starts, [np.inf]])[after] - at
    away = np.minimum(since, until)
    near = _NEAR * np.clip(1 - away / _NEAR_S, 0, 1)
    return np.round(worst * np.where(until < 0, 1.0, near)).astype(np.int64)


def _cheapest(first: int, cost: np.ndarray, target: int, least: int, most: int, fps: Fraction) -> list[Cut]:
    """The plan of least cost over the len(cost) - 1 frames from `first` on."""
    total = len(cost) - 1
    lengths = np.arange(most, least - 1, -1)
    uneven = np.round(_UNEVEN_S * float(fps) * _UNIT * (lengths / target - 1) ** 2).astype(np.int64)
    never = np.int64(1 << 60)
    best = np.zeros(total + 1, np.int64)  # of the first n frames
    chosen = np.zeros(total + 1, np.int64)  # length of the clip that ends there; 0: the frame before is left out
    opened = np.full(most + total + 1, never)  # best + cost of a clip that starts there, after `most` that cannot be
    for begin in range(0, total + 1, least):  # within `least` frames no plan depends on another's end
        here = np.arange(begin, min(begin + least, total + 1))
        ways = np.lib.stride_tricks.sliding_window_view(opened, len(lengths))[here] + uneven
        shortest = ways.argmin(1)
        closed = ways[np.arange(len(here)), shortest] + cost[here]
        before = best[begin - 1] + _UNIT if begin else np.int64(0)
        steps = _UNIT * np.arange(len(here))
        left_out = np.minimum(closed, before + steps)
        best[here] = np.minimum.accumulate(left_out - steps) + steps
        chosen[here] = np.where(closed <= best[here], lengths[shortest], 0)
        opened[most + here] = best[here] + cost[here]
    return _walk(first, chosen)


def _walk(first: int, chosen: np.ndarray) -> list[Cut]:
    """The clips of a plan, from its end back."""
    cuts, at = [], len(chosen) - 1
    while at > 0:
        length = int(chosen[at])
        if length:
            cuts.append(Cut(first + at - length, length))
        at -= length or 1
    return cuts[::-1]
