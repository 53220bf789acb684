"""Which of the sizes of a set a clip is encoded in: the nearest in aspect ratio, and not larger than the clip."""

from collections.abc import Sequence
from math import log

from manifests.errors import MediaError

Size = tuple[int, int]
"""Width and height in pixels."""

_LIKE = log(1.05)
"""Sizes whose aspect ratios differ by less are of one shape: 448 x 256 and 256 x 144, say."""


def size_for(source: Size, sizes: Sequence[Size], most: float | None) -> Size:
    """The size for a clip of this size: of those nearest in shape the largest that needs no enlargement beyond `most`.

    most: the largest factor by which pictures may be scaled up (1: never), to cover the size before its edges are cut;
    None: any, if no size can do without. Raises MediaError `media:too_small` when every size needs more.
    """
    able = [size for size in sizes if enlargement(source, size) <= (1.0 if most is None else most) + 1e-9]
    if not able and most is not None:
        least = min(enlargement(source, size) for size in sizes)
        raise MediaError(
            "media:too_small", f"{source[0]}x{source[1]} would be scaled up {least:.2f} times, {most:g} are allowed"
        )
    if not able:
        return min(sizes, key=lambda size: (enlargement(source, size), _unlike(source, size)))
    nearest = min(able, key=lambda size: _unlike(source, size))
    like = [size for size in able if _unlike(nearest, size) <= _LIKE]
    return max(like, key=lambda size: (size[0] * size[1], -_unlike(source, size)))


def enlargement(source: Size, size: Size) -> float:
    """By how much a picture is scaled up to cover a size."""
    return max(size[0] / source[0], size[1] / source[1])


def _unlike(source: Size, size: Size) -> float:
    return abs(log(source[0] / source[1]) - log(size[0] / size[1]))
