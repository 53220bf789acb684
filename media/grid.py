"""The frame grid: which constant rate a source has, and how many frames and samples a range of it holds. Pure."""

from fractions import Fraction
from math import ceil, floor

MAX_FPS = 60
DEFAULT_FPS = Fraction(25)
_STANDARD = tuple(
    Fraction(n, d)
    for n, d in (
        (10, 1),
        (12, 1),
        (15, 1),
        (24000, 1001),
        (24, 1),
        (25, 1),
        (30000, 1001),
        (30, 1),
        (48, 1),
        (50, 1),
        (60000, 1001),
        (60, 1),
    )
)


def snap(rate: Fraction) -> Fraction:
    """The standard rate within 0.05% of `rate`, else `rate` with a small denominator, never above MAX_FPS.

    0.05% tells 24 from 24000/1001 (0.1% apart) and forgives millisecond timestamps. Faster sources are halved until
    they fit, so that every grid frame is a source frame.
    """
    while rate > MAX_FPS * Fraction(1001, 1000):
        rate /= 2
    near = min(_STANDARD, key=lambda standard: abs(rate - standard))
    if abs(rate - near) <= near / 2000:
        return near
    return max(rate, Fraction(1, 10)).limit_denominator(1001)


def choose_rate(average: Fraction | None, base: Fraction | None, step_s: float | None) -> Fraction:
    """The grid rate of a stream, in frames per second.

    average, base: the container's average rate and the lowest rate that can represent all timestamps. They agree for
    constant-rate sources, except that `base` counts fields in interlaced ones and explodes in variable-rate ones.
    step_s: the median time between shown frames, measured; it decides where the two differ or one is missing (a
    transport stream whose picture begins late has the ticks of its clock as base, and no average).
    """
    known = [rate for rate in (average, base) if rate]
    if not known:
        return snap(Fraction(1 / step_s).limit_denominator(90000)) if step_s else DEFAULT_FPS
    if not step_s or (len(known) == 2 and abs(known[0] - known[1]) <= known[0] / 100):
        return snap(known[0])
    measured = Fraction(1 / step_s).limit_denominator(90000)
    nearest = min(known, key=lambda rate: abs(rate - measured))
    return snap(nearest if abs(nearest - measured) <= nearest / 20 else measured)


def count(seconds: Fraction, rate: Fraction | int) -> int:
    """Frames or samples of `rate` in `seconds`, rounded half up: the one rounding used everywhere."""
    return floor(seconds * rate + Fraction(1, 2))


def spread(total: int, most: int | None) -> list[int]:
    """Indices of at most `most` of `total` frames, at the centres of equal stretches; all of them when None."""
    if most is None or most >= total:
        return list(range(total))
    return [(2 * k + 1) * total // (2 * most) for k in range(most)]


def stretches(total: int, rate: Fraction, count: int, seconds: int) -> list[tuple[int, int]]:
    """(first, last) frame of `count` stretches of so many seconds, evenly from the start of `total` frames to the end.

    A frame belongs to a stretch when it begins inside; what is shorter than a stretch is one, `count` times.
    """
    apart = max(Fraction(0), total / rate - seconds) / max(1, count - 1)
    starts = [k * apart for k in range(count)]
    return [(ceil(at * rate), min(total, ceil((at + seconds) * rate)) - 1) for at in starts]


def fit_inside(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Largest (width, height) of the shape of `size` inside `box`, at least 2 pixels each way."""
    scale = min(Fraction(box[0], size[0]), Fraction(box[1], size[1]))
    return max(2, round(size[0] * scale)), max(2, round(size[1] * scale))


def cover(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Smallest (width, height) of the shape of `size` that covers `box`."""
    scale = max(Fraction(box[0], size[0]), Fraction(box[1], size[1]))
    return max(box[0], round(size[0] * scale)), max(box[1], round(size[1] * scale))
