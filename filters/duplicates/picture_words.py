"""Words of the picture: 64 signs of low spatial frequencies, five times a second, each over 0.6 s.

A perceptual hash of short averages instead of single frames, so that clips of the same footage that start at other
instants still share words. What changes the sign of a low frequency changes the picture: scaling, re-encoding,
brightness and contrast do not; black bars are cut off first. Mirroring does.
"""

from functools import lru_cache

import numpy as np

STEP_S = 0.2
SPAN_S = 0.6
BITS = 64
_SIDE = 32
_FLAT = 3.0
"""Grey levels of standard deviation below which a picture has no structure worth comparing."""
_BLACK = 28
_BAR = 0.02
_LEAST = 0.4


def picture_words(frames: np.ndarray, fps: int) -> np.ndarray:
    """Words of (T, H, W) uint8 grey frames, shape (n,) uint64; n = 1 + (T - span) // step, at least one.

    Word i is of the frames from i x 0.2 s on. The highest bit is the lowest frequency. 0: flat, not comparable.
    """
    if not len(frames):
        return np.zeros(0, np.uint64)
    small = _averages(_shrunk(without_bars(frames)), round(STEP_S * fps), round(SPAN_S * fps))
    across, down = _basis()
    spectrum = np.einsum("uy,nyx,vx->nuv", down, small, across, optimize=True)
    signs = spectrum[:, _order()[:, 0], _order()[:, 1]] > 0
    words = np.ascontiguousarray(np.packbits(signs, axis=1)).view(">u8")[:, 0].astype(np.uint64)
    return np.where(small.std((1, 2)) < _FLAT, np.uint64(0), np.maximum(words, np.uint64(1)))


def without_bars(frames: np.ndarray) -> np.ndarray:
    """The frames without rows and columns at their edges that are black for as long as they last.

    As they are when less than 40% of the height or of the width would be left: a dark scene, not a letterbox.
    """
    lit = frames[::5].max(0) > _BLACK
    rows, columns = np.flatnonzero(lit.mean(1) > _BAR), np.flatnonzero(lit.mean(0) > _BAR)
    if len(rows) < _LEAST * lit.shape[0] or len(columns) < _LEAST * lit.shape[1]:
        return frames
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shrunk(frames: np.ndarray) -> np.ndarray:
    """Frames of 32 x 32, whatever their shape was, float32."""
    import cv2

    size = (_SIDE, _SIDE)
    return np.stack([cv2.resize(np.ascontiguousarray(f), size, interpolation=cv2.INTER_AREA) for f in frames]).astype(
        np.float32
    )


def _averages(frames: np.ndarray, step: int, span: int) -> np.ndarray:
    """Means of `span` frames, `step` apart; of all of them where there are fewer."""
    span = min(span, len(frames))
    starts = np.arange(0, len(frames) - span + 1, step)
    sums = np.concatenate([np.zeros((1, *frames.shape[1:])), np.cumsum(frames, 0, dtype=np.float64)])
    return (sums[starts + span] - sums[starts]) / span


@lru_cache(maxsize=1)
def _order() -> np.ndarray:
    """(vertical, horizontal) frequencies of the 64 bits, lowest first, without the mean; shape (64, 2)."""
    pairs = sorted(((u, v) for u in range(12) for v in range(12) if u + v), key=lambda p: (p[0] + p[1], p))
    return np.array(pairs[:BITS])


@lru_cache(maxsize=1)
def _basis() -> tuple[np.ndarray, np.ndarray]:
    """The first 12 cosines of a DCT-II over 32 points, twice (across, down); (12, 32)."""
    points, waves = (2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE), np.arange(12)[:, None]
    cosines = np.cos(waves * points)
    return cosines, cosines
