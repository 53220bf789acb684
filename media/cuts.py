"""The cut plan: which ranges of a source's shots become clips. Pure arithmetic on the frame grid."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor


@dataclass(frozen=True)
class Cut:
    """One planned clip: grid frames [start_frame, start_frame + frames)."""

    start_frame: int
    frames: int


def plan_cuts(
    shots: Iterable[tuple[int, int]], fps: Fraction, min_s: float, max_s: float, guard_frames: int = 0
) -> list[Cut]:
    """Cut each shot into clips of `min_s` to `max_s` seconds that do not overlap.

    shots: [start, end) grid frames. A shot longer than `max_s` is split evenly into the fewest pieces that fit; one
    shorter than `min_s` is dropped. `guard_frames` are left out at both ends of every shot (dissolves, late cuts).
    Lengths are whole frames: at least ceil(min_s * fps) and at most floor(max_s * fps).
    No clip fits where no whole number of frames lasts that long (a slide show). Raises ValueError unless
    0 < min_s <= max_s.
    """
    least, most = bounds(fps, min_s, max_s)
    cuts: list[Cut] = []
    for start, end in shots:
        cuts += split_evenly(start + guard_frames, end - guard_frames, least, most)
    return cuts


def bounds(fps: Fraction, min_s: float, max_s: float) -> tuple[int, int]:
    """(least, most) whole frames of a clip; least > most where none fits. Raises ValueError unless 0 < min <= max."""
    if not 0 < min_s <= max_s:
        raise ValueError(f"min_s = {min_s} and max_s = {max_s}: give 0 < min_s <= max_s")
    return max(1, ceil(_exact(min_s) * fps)), floor(_exact(max_s) * fps)


def _exact(seconds: float) -> Fraction:
    """2.2 as 11/5, not as the nearest binary number: that one is longer than 55 frames of 25 fps."""
    return Fraction(seconds).limit_denominator(1_000_000)


def split_evenly(start: int, end: int, least: int, most: int) -> list[Cut]:
    """Even pieces of [start, end), `least` to `most` frames long; none where none fits.

    Where even pieces would be too short (max < 2 min), full ones and no remainder.
    """
    total = end - start
    if total < least or least > most:
        return []
    pieces = -(-total // most)
    if total // pieces < least:
        return [Cut(start + i * most, most) for i in range(total // most)]
    edges = [start + i * total // pieces for i in range(pieces + 1)]
    return [Cut(a, b - a) for a, b in pairwise(edges)]
