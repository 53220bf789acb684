"""How much moves: dense inverse search optical flow (Kroeger 2016, OpenCV's DIS, ultrafast) on small grey frames."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.stage import Facts
from media.views import LUMA_25, View, Views

CHANGE = 0.5
"""Mean absolute difference, in grey levels, below which two frames count as the same: above coding noise of a still."""


class Motion:
    """`motion_px`, `motion_peak_px`: mean and 95th percentile over frame pairs of the mean flow, px/frame at 25 fps.

    Pixels are those of the 256-wide grey view. `static_ratio`: share of frame pairs without change, in [0, 1]
    (a 12 fps animation shown at 25 fps has about 0.5, a still picture 1.0). A clip of one frame has motion 0, static 1.
    """

    NAME = "video.motion"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "motion_px": pa.float64(),
        "motion_peak_px": pa.float64(),
        "static_ratio": pa.float64(),
    }
    VIEWS: tuple[View, ...] = (LUMA_25,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "OpenCV DIS flow"
    LICENCE = "Apache-2.0 (OpenCV)"
    COST = 0.015

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its grey view (T, H, W) uint8."""
        frames = views[LUMA_25]
        if len(frames) < 2:
            return {"motion_px": 0.0, "motion_peak_px": 0.0, "static_ratio": 1.0}
        change = np.array([difference(a, b) for a, b in pairwise(frames)])
        flow = flow_magnitudes(frames, change >= CHANGE)
        return {
            "motion_px": float(flow.mean()),
            "motion_peak_px": float(np.percentile(flow, 95)),
            "static_ratio": float(np.mean(change < CHANGE)),
        }


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two uint8 frames, in grey levels."""
    import cv2

    return float(cv2.absdiff(np.ascontiguousarray(a), np.ascontiguousarray(b)).mean())


def flow_magnitudes(frames: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Mean flow magnitude of each of the T - 1 pairs, px/frame; 0 without computing it where `moving` is false."""
    import cv2

    cv2.setNumThreads(1)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    out = np.zeros(len(frames) - 1)
    for i in np.flatnonzero(moving):
        start = np.zeros((*frames.shape[1:], 2), np.float32)
        flow = dis.calc(np.ascontiguousarray(frames[i]), np.ascontiguousarray(frames[i + 1]), start)
        out[i] = np.hypot(flow[..., 0], flow[..., 1]).mean()
    return out


STAGE = Motion
