"""DOVER (Wu 2023, S-Lab licence 1.0: not for commercial use): technical and aesthetic quality of a clip as one judge.

Its weights are not shipped with any package. MOVA takes a technical quality above 0.05 to 0.15 by stage and an
aesthetic one above 0.85, UniVerse-1 an overall one of at least 0.6 (as the authors' script prints them, in [0, 1]).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media import device
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import VideoView, View, Views
from media.weights_at import Published

FRAGMENTS = VideoView("fragments_7x32", pixels="rgb24", fragments=(7, 32))
"""49 pieces of 32 x 32 px of each frame, unscaled: what compression, noise and blur look like."""
SHRUNK = VideoView("stretched_224", box=(224, 224), pixels="rgb24", fit="stretch")
"""Each frame in 224 x 224: what is seen, and how it is arranged."""
WEIGHTS = Published(
    "video.dover",
    "dover",
    "DOVER.pth",
    "https://github.com/QualityAssessment/DOVER/releases/download/v0.1.0/DOVER.pth",
    "S-Lab 1.0, non-commercial",
)


class Dover:
    """`technical`, `aesthetic`, `overall` quality in [0, 1], 0.5 for an average video of the authors' training set;
    `technical_raw`, `aesthetic_raw`: what the networks say, before the authors' curves.

    weights: path of `DOVER.pth`; default: $KLEAR_WEIGHTS/dover/DOVER.pth. precision: float32, bfloat16 or float16.
    on: "auto", "cpu", "cuda". Frames are taken as the authors do, but where they draw by chance, from the middle.
    A clip costs 17 CPU-s, whatever its length.
    """

    NAME = "video.dover"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = dict.fromkeys(
        ("technical", "aesthetic", "overall", "technical_raw", "aesthetic_raw"), pa.float64()
    )
    RANGES: ClassVar[Mapping[str, Bounds]] = dict.fromkeys(("technical", "aesthetic", "overall"), (0, 1))
    VIEWS: tuple[View, ...] = (FRAGMENTS, SHRUNK)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "DOVER"
    LICENCE = "S-Lab-1.0 (weights, VQAssessment/DOVER): non-commercial"
    COST = 1.7

    def __init__(self, weights: str | None = None, precision: str = "float32", on: str = "auto") -> None:
        self.weights, self.precision, self.on = weights, precision, on
        self._model: Any = None

    def digest(self) -> str:
        """Raises BackendAbsent without the checkpoint, and ConfigError model:... when the file is another."""
        found = WEIGHTS.digest(self.weights)
        self._load("float32", "cpu")  # mapped, not read: before any clip would suffer from it
        return found

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from all of its frames, in both forms, (T, 224, 224, 3) uint8 RGB."""
        if not len(views[FRAGMENTS]):
            return {}
        from filters.video import dover_input, dover_model

        with device.computing():
            self._model = self._model or self._load(self.precision, device.device_of(self.on))
            runs = [views[FRAGMENTS][run] for run in dover_input.runs(len(views[FRAGMENTS]))]
            technical = float(np.mean([self._score("technical", run) for run in runs]))
            aesthetic = self._score("aesthetic", views[SHRUNK][dover_input.spread(len(views[SHRUNK]))])
        units = zip(("technical", "aesthetic", "overall"), dover_model.in_unit(technical, aesthetic))
        return {**dict(units), "technical_raw": technical, "aesthetic_raw": aesthetic}

    def _score(self, branch: str, frames: np.ndarray) -> float:
        from filters.video.dover_input import pixels

        like = next(self._model.parameters())
        return float(getattr(self._model, branch)(pixels(frames).to(like)))

    def _load(self, precision: str, on: str) -> Any:
        from filters import checkpoint
        from filters.video.dover_model import load

        state = checkpoint.read(WEIGHTS.path(self.weights), under="state_dict")
        return load(state, device.dtype_of(precision)).to(on)


STAGE = Dover
