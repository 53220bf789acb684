"""What was done to a clip by editing: hard cuts that are left in it, and pictures that stand like slides."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import LUMA_25, View, Views

FPS = 25
BLOCK = 16
"""Side of the squares in which change is looked for, px of the 256-wide view: a talking mouth fills one."""
STANDS = 2.0
"""Grey levels: a picture stands where no block's mean change reaches it."""
SLIDE = 20
"""Frames that a slide stands at least: 0.8 s."""
JUMP = 10.0
"""Mean change of the whole picture, grey levels, from which a pair of frames may be a cut."""
ABOVE = 3.0
"""How many times the changes around it a cut's change is."""
EVERYWHERE = 0.75
"""Share of the blocks that change by `STIRRED` levels at a cut: 0.94 and more at real ones, half where things jump in
front of a still background."""
STIRRED = 4.0
AROUND = 6
FLASH = 5
"""Frames within which a flash is over: the picture before it is back."""


class Edits:
    """`cuts`: hard cuts inside the clip; `cuts_per_s`: jitter, as HunyuanVideo-Foley calls it; `frozen_s`: longest time
    in which nothing moves; `slides`: stretches of at least 0.8 s in which nothing moves, if there are two or more and a
    jump lies between them, else 0; `slideshow_ratio`: share of the clip that they fill.

    Dissolves are no cuts here (they are found when shots are cut). Someone who talks before a still wall is no slide.
    """

    NAME = "video.edits"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "cuts": pa.int32(),
        "cuts_per_s": pa.float64(),
        "frozen_s": pa.float64(),
        "slides": pa.int32(),
        "slideshow_ratio": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"cuts": (0, None), "cuts_per_s": (0, 25), "slides": (0, None)}
    VIEWS: tuple[View, ...] = (LUMA_25,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.002

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its grey view (T, H, W) uint8."""
        frames = views[LUMA_25]
        if not len(frames):
            return {}
        found = cuts(frames)
        still = stretches(frames)
        shown = slides(still, frames)
        return {
            "cuts": len(found),
            "cuts_per_s": len(found) * FPS / len(frames),
            "frozen_s": max((end - start for start, end in still), default=0) / FPS,
            "slides": len(shown),
            "slideshow_ratio": sum(end - start for start, end in shown) / len(frames),
        }


def change(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two frames, grey levels."""
    import cv2

    return float(cv2.absdiff(a, b).mean())


def cuts(frames: np.ndarray) -> list[int]:
    """Index of the first frame after each hard cut of (T, H, W) uint8."""
    changes = np.array([change(a, b) for a, b in pairwise(frames)])
    jumps = map(int, np.flatnonzero(changes >= JUMP))
    return [
        i + 1 for i in jumps if stands_out(changes, i) and everywhere(frames[i], frames[i + 1]) and not back(frames, i)
    ]


def stands_out(changes: np.ndarray, i: int) -> bool:
    """Whether change `i` is `ABOVE` times each of those around it."""
    near = np.delete(changes[max(0, i - AROUND) : i + AROUND + 1], min(i, AROUND))
    return bool(changes[i] >= ABOVE * near.max(initial=0.0))


def everywhere(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether nearly the whole picture changes from one frame to the next."""
    return float((blocks(a, b) >= STIRRED).mean()) >= EVERYWHERE


def back(frames: np.ndarray, i: int) -> bool:
    """Whether the picture of frame `i` is soon seen again, or that of `i + 1` was just seen: a flash, on or off."""
    jump = change(frames[i], frames[i + 1])
    later = [change(frames[i], frame) for frame in frames[i + 2 : i + 2 + FLASH]]
    before = [change(frame, frames[i + 1]) for frame in frames[max(0, i - FLASH) : i]]
    return min(later + before, default=jump) < jump / 3


def stretches(frames: np.ndarray) -> list[tuple[int, int]]:
    """(first frame, frame after the last) of each stretch of two frames or more in which nothing moves."""
    moves = np.array([largest(a, b) >= STANDS for a, b in pairwise(frames)], bool)
    ends = np.flatnonzero(np.diff(np.concatenate([[True], moves, [True]]).astype(int)))
    return [(int(start), int(end) + 1) for start, end in zip(ends[::2], ends[1::2])]


def largest(a: np.ndarray, b: np.ndarray) -> float:
    """Largest mean absolute difference of any block of two frames, grey levels."""
    return float(blocks(a, b).max())


def blocks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each block of two frames, grey levels."""
    import cv2

    size = (max(1, a.shape[1] // BLOCK), max(1, a.shape[0] // BLOCK))
    return np.asarray(cv2.resize(cv2.absdiff(a, b), size, interpolation=cv2.INTER_AREA))


def slides(still: list[tuple[int, int]], frames: np.ndarray) -> list[tuple[int, int]]:
    """The stretches that are slides: long ones, of which two that follow each other show different pictures."""
    long = [(start, end) for start, end in still if end - start >= SLIDE]
    differ = any(change(frames[a[1] - 1], frames[b[0]]) >= JUMP for a, b in pairwise(long))
    return long if differ else []


STAGE = Edits
