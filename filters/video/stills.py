"""What single frames look like: sharpness, exposure, colourfulness and the names of the main colours."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.video.colours import main_colours
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import FRAMES, View, Views

SHORT_SIDE = 360


class Stills:
    """Medians over up to 8 frames, measured at a short side of at most 360 px so that sizes compare.

    sharpness: variance of the Laplacian of luma (grey levels squared); luma_mean, luma_std: grey levels 0-255;
    dark_ratio, bright_ratio: shares of pixels below 16 and above 239; colourfulness: Hasler and Suesstrunk 2003
    (0 grey, 15 slight, 45 quite, 109 extreme); colours: up to three colour names, most frequent first.
    """

    NAME = "video.stills"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "sharpness": pa.float64(),
        "luma_mean": pa.float64(),
        "luma_std": pa.float64(),
        "dark_ratio": pa.float64(),
        "bright_ratio": pa.float64(),
        "colourfulness": pa.float64(),
        "colours": pa.list_(pa.string()),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "sharpness": (0, None),
        "luma_mean": (0, 255),
        "luma_std": (0, 128),
        "colourfulness": (0, None),
    }
    VIEWS: tuple[View, ...] = (FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (OpenCV)"
    COST = 0.009

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames (T, H, W, 3) uint8 RGB."""
        frames = [shrink(frame) for frame in views[FRAMES]]
        if not frames:
            return {}
        rows = [numbers(frame) for frame in frames]
        medians = {key: float(np.median([row[key] for row in rows])) for key in rows[0]}
        return medians | {"colours": main_colours(frames)}


def shrink(frame: np.ndarray) -> np.ndarray:
    """The frame (H, W, 3) scaled down to a short side of 360 px; never scaled up."""
    import cv2

    height, width = frame.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    if scale >= 1:
        return np.ascontiguousarray(frame)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)


def numbers(frame: np.ndarray) -> dict[str, float]:
    """The numeric columns of one frame (H, W, 3) uint8 RGB."""
    import cv2

    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return {
        "sharpness": float(cv2.Laplacian(luma, cv2.CV_64F).var()),
        "luma_mean": float(luma.mean()),
        "luma_std": float(luma.std()),
        "dark_ratio": float(np.mean(luma < 16)),
        "bright_ratio": float(np.mean(luma > 239)),
        "colourfulness": colourfulness(frame),
    }


def colourfulness(frame: np.ndarray) -> float:
    """Hasler and Suesstrunk's M3 = sigma_rgyb + 0.3 mu_rgyb of (H, W, 3) uint8 RGB."""
    red, green, blue = np.moveaxis(frame.astype(np.float32), -1, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


STAGE = Stills
