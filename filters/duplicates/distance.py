"""How far two clips' words are apart where they show the same moments: the exact check behind a near-duplicate search.

Many pairs at once. The shift between two clips is unknown, so every one that leaves enough overlap is tried, and the
best counts.
"""

import numpy as np


def distances(a: np.ndarray, b: np.ndarray, overlap: float) -> np.ndarray:
    """Share of differing bits of each pair at its best shift, (P,) float64 in [0, 1]; NaN where nothing compares.

    a, b: words (P, n) and (P, m) of one unsigned type, one pair a row; 0 where a word is not comparable or past a
    clip's end. A shift counts when the clips have `overlap` of the longer one in common, and half of that (at least
    4 words) is comparable in both.
    """
    bits = 8 * a.dtype.itemsize
    long_a, long_b = _lengths(a), _lengths(b)
    least = np.ceil(overlap * np.maximum(long_a, long_b)).clip(1)
    best = np.full(len(a), np.nan)
    for shift in range(1 - b.shape[1], a.shape[1]):
        common = np.minimum(long_a, long_b + shift) - max(0, shift)
        rows = np.flatnonzero(common >= least)
        if len(rows):
            first, last = max(0, shift), min(a.shape[1], b.shape[1] + shift)
            here = _differing(a[rows, first:last], b[rows, first - shift : last - shift], least[rows])
            best[rows] = np.fmin(best[rows], here / bits)
    return best


def _differing(a: np.ndarray, b: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Mean differing bits of the comparable words of each row; NaN where they are too few."""
    both = (a != 0) & (b != 0)
    count = both.sum(1)
    differing = np.bitwise_count(a ^ b).sum(1, where=both)
    return np.where(count >= np.maximum(4, least / 2), differing / np.maximum(count, 1), np.nan)


def _lengths(words: np.ndarray) -> np.ndarray:
    """Number of words up to the last comparable one of each row."""
    known = words != 0
    return np.where(known.any(1), words.shape[1] - np.argmax(known[:, ::-1], axis=1), 0)
