"""The edge between a black border and a picture, at full size: straight, sharp, and across most of the picture."""

from typing import NamedTuple

import numpy as np

LIT = 24
"""Luma, of 255, from which a pixel is picture."""
_NEAR = 6
_STRAIGHT = 0.5
_LEAST_SHARE = 0.01
_LEAST_PIXELS = 4
_LEAST_PICTURE = 0.35


class Margins(NamedTuple):
    """Widths of the borders, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def find(most: np.ndarray, black: Margins, scale: tuple[float, float]) -> Margins | None:
    """The borders of a picture, or None when it has none worth cropping.

    most: the brightest that each pixel was in a few frames, luma uint8 (H, W). black: what is known to be black all
    the time, in small pixels; scale: (rows, columns) of `most` in a small one. A side that is not black, or has no
    straight edge, has no border.
    """
    lit = most > LIT
    sides = [
        _side(lit, black.top, scale[0]),
        _side(lit[::-1], black.bottom, scale[0]),
        _side(lit.T, black.left, scale[1]),
        _side(lit.T[::-1], black.right, scale[1]),
    ]
    sizes = (most.shape[0], most.shape[0], most.shape[1], most.shape[1])
    kept = [side if side >= max(_LEAST_PIXELS, _LEAST_SHARE * size) else 0 for side, size in zip(sides, sizes)]
    left = (most.shape[0] - kept[0] - kept[1]) / most.shape[0], (most.shape[1] - kept[2] - kept[3]) / most.shape[1]
    return Margins(*kept) if any(kept) and min(left) >= _LEAST_PICTURE else None


def _side(lit: np.ndarray, black: int, scale: float) -> int:
    """Rows from the start of `lit` (bool, (rows, across)) to a straight edge; 0 when there is none.

    Of the places across where anything is ever lit, at least half must light up within a few rows of each other, and
    no farther in than what is known to be black, plus one small pixel that may be half picture.
    """
    if not black:
        return 0
    anywhere = lit.any(0)
    first = np.sort(lit.argmax(0)[anywhere])
    if not len(first):
        return 0
    most = int((black + 1) * scale)
    starts = np.bincount(first[first <= most + _NEAR], minlength=1)
    near = np.convolve(starts, np.ones(_NEAR, int))[_NEAR - 1 :]  # how many start in the _NEAR rows from here on
    if near.max() < _STRAIGHT * len(first):
        return 0
    return _inner(lit, int(near.argmax()))


def _inner(lit: np.ndarray, edge: int) -> int:
    """The first row from `edge` on that is picture through and through: scaled video has a half-lit row at its edge."""
    share = lit[edge : edge + _NEAR].mean(1)
    return edge + int(np.argmax(share >= 0.8 * share.max()))


def even_sided(margins: Margins, size: tuple[int, int]) -> bool:
    """Whether opposite borders are alike, within 2% of (width, height)."""
    rows, columns = abs(margins.top - margins.bottom), abs(margins.left - margins.right)
    return rows <= 0.02 * size[1] and columns <= 0.02 * size[0]


def crop(margins: Margins, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(width, height, x, y) inside the margins of a frame of `size`, all even, as subsampled chroma needs it."""
    x, y = margins.left + margins.left % 2, margins.top + margins.top % 2
    width, height = size[0] - x - margins.right, size[1] - y - margins.bottom
    return width - width % 2, height - height % 2, x, y
