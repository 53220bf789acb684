"""Black bars that are left in a clip: letterbox, pillarbox, and both."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.video.stills import shrink
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import FRAMES, View, Views

BLACK = 32
"""Luma (0-255, full range) up to which a pixel counts as black: 16 levels of coding noise above it."""
LEAST_BLACK = 0.9
"""Share of a bar's row that is black on every frame: a logo may stand in it."""
LEAST_LIT = 0.5
EDGE = 4
"""Rows, at a short side of 360 px, within which half of a row is lit: bars end at a straight edge, nights do not."""


class Borders:
    """`bar_top`, `bar_bottom`: shares of the height, `bar_left`, `bar_right`: of the width; `border_ratio`: of all.

    A bar is black on each of up to 8 frames, and what it ends at is lit over half of its length on some of them: bars
    beside a picture that is itself dark there all the time are missed, a night sky is none. NULL where nothing but
    black is seen. Bars of other colours or of a blurred copy are not measured.
    """

    NAME = "video.borders"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "bar_top": pa.float64(),
        "bar_bottom": pa.float64(),
        "bar_left": pa.float64(),
        "bar_right": pa.float64(),
        "border_ratio": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = dict.fromkeys(("bar_top", "bar_bottom", "bar_left", "bar_right"), (0, 1))
    VIEWS: tuple[View, ...] = (FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.001

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames (T, H, W, 3) uint8 RGB."""
        frames = views[FRAMES]
        if not len(frames):
            return {}
        lit = brightest(frames) > BLACK
        if not lit.any():
            return {}
        top, bottom = bar(lit), bar(lit[::-1])
        left, right = bar(lit.T), bar(lit.T[::-1])
        area = 1 - (1 - top - bottom) * (1 - left - right)
        return {"bar_top": top, "bar_bottom": bottom, "bar_left": left, "bar_right": right, "border_ratio": area}


def brightest(frames: np.ndarray) -> np.ndarray:
    """The largest luma of each pixel over the frames, (h, w) uint8, at a short side of at most 360 px."""
    import cv2

    return np.asarray(np.max([cv2.cvtColor(shrink(frame), cv2.COLOR_RGB2GRAY) for frame in frames], 0))


def bar(lit: np.ndarray) -> float:
    """Share of the rows of `lit` (h, w) bool that are a black bar at its top."""
    shares = lit.mean(1)
    rows = int(np.argmax(shares > 1 - LEAST_BLACK))
    return rows / len(lit) if rows and shares[rows : rows + EDGE].max() >= LEAST_LIT else 0.0


STAGE = Borders
