"""MUSIQ (Ke 2021) through pyiqa: technical quality of pictures of any size, as people rated them (KonIQ-10k).

pyiqa (PolyForm Noncommercial 1.0.0) is no dependency of klear: it is asked for when a preset names this stage. Its
weights are read from a file, never fetched. Verse-Bench's aesthetic score takes a third of this one, divided by 100.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from manifests.errors import BackendAbsent, ConfigError
from media import device
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import FRAMES, View, Views
from media.weights_at import Published

WEIGHTS = Published(
    "video.musiq",
    "musiq",
    "musiq_koniq_ckpt-e95806b9.pth",
    "https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/musiq_koniq_ckpt-e95806b9.pth",
    "Apache-2.0 (google-research), converted by pyiqa",
)


class Musiq:
    """`score`: mean over up to 8 frames at full size, about 0 to 100; `score_min`: of the worst frame.

    weights: path of the checkpoint; default: $KLEAR_WEIGHTS/musiq/... precision: float32, bfloat16 or float16.
    on: "auto", "cpu", "cuda".
    """

    NAME = "video.musiq"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"score": pa.float64(), "score_min": pa.float64()}
    RANGES: ClassVar[Mapping[str, Bounds]] = {}
    VIEWS: tuple[View, ...] = (FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "MUSIQ (KonIQ-10k) by pyiqa"
    LICENCE = "PolyForm-Noncommercial-1.0.0 (pyiqa), Apache-2.0 (weights, google-research)"
    COST = 2.0

    def __init__(self, weights: str | None = None, precision: str = "float32", on: str = "auto") -> None:
        self.weights, self.precision, self.on = weights, precision, on
        self._model: Any = None

    def digest(self) -> str:
        """Raises BackendAbsent without pyiqa or the checkpoint, ConfigError model:... when the file is another."""
        if importlib.util.find_spec("pyiqa") is None:
            raise BackendAbsent(
                "backend:package",
                f"{self.NAME} needs pyiqa (PolyForm Noncommercial 1.0.0), which is not installed: pip install "
                f"pyiqa==0.1.16, or remove {self.NAME} from the preset's stages: its gates stay unmeasured",
            )
        found = WEIGHTS.digest(self.weights)
        self._load("float32", "cpu")
        return found

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames (T, H, W, 3) uint8 RGB."""
        if not len(views[FRAMES]):
            return {}
        with device.computing():
            self._model = self._model or self._load(self.precision, device.device_of(self.on))
            scores = [self._score(frame) for frame in views[FRAMES]]
        return {"score": float(np.mean(scores)), "score_min": float(np.min(scores))}

    def _score(self, frame: np.ndarray) -> float:
        """frame: (H, W, 3) uint8."""
        import torch

        pixels = torch.from_numpy(frame.astype(np.float32) / 255).permute(2, 0, 1)[None]
        return float(self._model(pixels.to(next(self._model.parameters()))))

    def _load(self, precision: str, on: str) -> Any:
        """pyiqa's network, which would fetch its weights itself, filled from the file."""
        from pyiqa.archs.musiq_arch import MUSIQ

        from filters import checkpoint

        path = WEIGHTS.path(self.weights)
        state = {name.removeprefix("module."): value for name, value in checkpoint.read(path).items()}
        model = MUSIQ(pretrained=False, num_class=1)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise ConfigError("model:state", f"{path} does not fit MUSIQ of KonIQ-10k: {error}") from None
        return model.eval().to(on, device.dtype_of(precision))


STAGE = Musiq
