"""How much moves, and whether it is the camera: dense inverse search optical flow on small grey frames.

Kroeger 2016, OpenCV's DIS, ultrafast. The camera's part is a turn, zoom and shift fitted to the flow (`camera.py`).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.video import camera
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import LUMA_25, View, Views

LEAST = 32
"""Side of the smallest picture that DIS takes: below it OpenCV 5.0.0 raises, answers NaN or crashes (measured)."""
CHANGE = 0.5
"""Mean absolute difference, in grey levels, below which two frames count as the same: above coding noise of a still."""


class Motion:
    """`motion_px`, `motion_peak_px`: mean and 95th percentile over frame pairs of the mean flow, px/frame at 25 fps.

    Pixels are those of the 256-wide grey view. Over the pairs that change: `camera_px`, mean flow of the camera's
    motion; `subject_px`, mean of what is left beside it; `subject_area`, share of the picture that moves by itself
    (of squares of 2 to 17%, 0.6 to 0.9 times the truth before strong texture, 1.4 to 2.5 times before faint texture,
    where flow bleeds over edges; below 1% mostly missed); `shake_px`, mean change of the camera's shift from pair to
    pair (0: still, or evenly moving). `static_ratio`: share of frame pairs without change, in [0, 1]
    (a 12 fps animation shown at 25 fps has about 0.5, a still picture 1.0). A clip of one frame has motion 0, static 1.
    """

    NAME = "video.motion"
    VERSION = 3
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "motion_px": pa.float64(),
        "motion_peak_px": pa.float64(),
        "static_ratio": pa.float64(),
        "camera_px": pa.float64(),
        "subject_px": pa.float64(),
        "subject_area": pa.float64(),
        "shake_px": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"subject_area": (0, 1)}
    VIEWS: tuple[View, ...] = (LUMA_25,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "OpenCV DIS flow"
    LICENCE = "Apache-2.0 (OpenCV)"
    COST = 0.02

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its grey view (T, H, W) uint8."""
        frames = views[LUMA_25]
        if len(frames) < 2:
            return {"motion_px": 0.0, "motion_peak_px": 0.0, "static_ratio": 1.0, **_beside(None)}
        change = np.array([difference(a, b) for a, b in pairwise(frames)])
        lengths, sampled = flows(frames, change >= CHANGE)
        return {
            "motion_px": float(lengths.mean()),
            "motion_peak_px": float(np.percentile(lengths, 95)),
            "static_ratio": float(np.mean(change < CHANGE)),
            **_beside(camera.fit(sampled) if len(sampled) else None),
        }


def _beside(found: camera.Camera | None) -> dict[str, float]:
    """The columns of the camera and of the subject; zeros where nothing changes."""
    if found is None:
        return {"camera_px": 0.0, "subject_px": 0.0, "subject_area": 0.0, "shake_px": 0.0}
    return {
        "camera_px": float(found.global_px.mean()),
        "subject_px": float(found.residual.mean()),
        "subject_area": found.subject_area,
        "shake_px": found.shake_px,
    }


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two uint8 frames, in grey levels."""
    import cv2

    return float(cv2.absdiff(np.ascontiguousarray(a), np.ascontiguousarray(b)).mean())


def flows(frames: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean flow magnitude of each of the T - 1 pairs, px/frame, 0 without computing it where `moving` is false; and the
    flow of those that move, sampled every `camera.GRID` pixels, float32 (moving pairs, h, w, 2). A side below 32
    pixels is continued by its edge, and the continued picture is what is sampled."""
    import cv2

    cv2.setNumThreads(1)
    height, width = frames.shape[1:]
    more = [(0, 0), (0, max(0, LEAST - height)), (0, max(0, LEAST - width))]
    frames = np.pad(frames, more, mode="edge") if np.any(more) else frames
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    out, sampled = np.zeros(len(frames) - 1), []
    for i in np.flatnonzero(moving):
        start = np.zeros((*frames.shape[1:], 2), np.float32)
        flow = dis.calc(np.ascontiguousarray(frames[i]), np.ascontiguousarray(frames[i + 1]), start)
        out[i] = np.hypot(*np.moveaxis(flow[:height, :width], 2, 0)).mean()
        sampled.append(flow[camera.GRID // 2 :: camera.GRID, camera.GRID // 2 :: camera.GRID].copy())
    return out, np.array(sampled)


STAGE = Motion
