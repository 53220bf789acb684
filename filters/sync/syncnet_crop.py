"""Faces as SyncNet sees them: squares of 224 px from above the brow to below the chin, cut as its own pipeline does."""

from collections.abc import Iterator

import numpy as np

SIDE = 224
CROP_SCALE = 0.40
MEDIAN = 13
"""Frames of the running median of place and size."""
GREY = 110


def crops(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(n, 224, 224, 3) uint8 of frames (n, H, W, 3), grey where the picture ends; channels as they come.

    boxes: (n, 4) left, top, right, bottom in pixels. Half the longer side is the unit: the square reaches 1.4 to both
    sides of the middle, 1 above it and 1.8 below. Running medians take zeros beyond the ends, as scipy's do.
    """
    from scipy.signal import medfilt

    half = medfilt(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2, MEDIAN)
    x = medfilt((boxes[:, 0] + boxes[:, 2]) / 2, MEDIAN)
    y = medfilt((boxes[:, 1] + boxes[:, 3]) / 2, MEDIAN)
    found = np.empty((len(frames), SIDE, SIDE, 3), np.uint8)
    for i, square in enumerate(_squares(frames, x, y, half)):
        found[i] = square
    return found


def _squares(frames: np.ndarray, x: np.ndarray, y: np.ndarray, half: np.ndarray) -> Iterator[np.ndarray]:
    import cv2

    for frame, middle, level, unit in zip(frames, x, y, half):
        room = int(unit * (1 + 2 * CROP_SCALE))
        padded = cv2.copyMakeBorder(frame, room, room, room, room, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY))
        across, down, reach = middle + room, level + room, unit * (1 + CROP_SCALE)
        rows = slice(int(down - unit), int(down + unit * (1 + 2 * CROP_SCALE)))
        yield cv2.resize(padded[rows, int(across - reach) : int(across + reach)], (SIDE, SIDE))
