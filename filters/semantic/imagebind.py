"""ImageBind (Girdhar 2023): does the sound belong to the picture. CC-BY-NC-SA 4.0: not for commercial use.

Paper of klear, section 4: semantic alignment is judged by ImageBind, without a number; MOVA takes a cosine of at least
0.2. The weights (4.5 GB) are not shipped with any package.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters import device
from filters.weights_at import Published
from media import grid
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, VideoView, View, Views

STRETCHES = (5, 2)
"""Of the picture: five of 2 s, two frames and three crops each. Of the sound: three of 2 s (the authors' `data.py`)."""
PAIRS = VideoView("rgb_pairs", pixels="rgb24", stretches=STRETCHES)
URL = "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth"
WEIGHTS = Published("semantic.imagebind", "imagebind", "imagebind_huge.pth", URL, "CC-BY-NC-SA 4.0, non-commercial")


class ImageBind:
    """`cosine` of the embeddings of the sound and of the picture, in [-1, 1].

    weights: path of `imagebind_huge.pth`; default: $KLEAR_WEIGHTS/imagebind/imagebind_huge.pth.
    precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda". at_once: pairs of frames that run together.
    """

    NAME = "semantic.imagebind"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"cosine": pa.float64()}
    RANGES: ClassVar[Mapping[str, Bounds]] = {"cosine": (-1.0001, 1.0001)}
    VIEWS: tuple[View, ...] = (AUDIO_16K, PAIRS)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "imagebind_huge"
    LICENCE = "CC-BY-NC-SA-4.0 (weights, facebookresearch/ImageBind): non-commercial"
    COST = 10.0

    def __init__(
        self, weights: str | None = None, precision: str = "float32", on: str = "auto", at_once: int = 5
    ) -> None:
        self.weights, self.precision, self.on, self.at_once = weights, precision, on, at_once
        self._model: Any = None

    def digest(self) -> str:
        """Raises BackendAbsent without the checkpoint, and ConfigError model:… when the file is another."""
        found = WEIGHTS.digest(self.weights)
        _model(WEIGHTS.path(self.weights), "float32", "cpu")  # mapped, not read: before any clip would suffer from it
        return found

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz audio and its full-size frames."""
        with device.computing():
            self._model = self._model or _model(WEIGHTS.path(self.weights), self.precision, self.on)
            sound = self._sound(views[AUDIO_16K])
            picture = self._picture(views[PAIRS], grid.stretches(clip.frames, clip.fps, *STRETCHES))
        return {"cosine": float(sound @ picture / np.linalg.norm(sound) / np.linalg.norm(picture))}

    def _sound(self, samples: np.ndarray) -> np.ndarray:
        from filters.semantic import imagebind_input as prepare

        return self._mean("audio", prepare.mel_clips(samples))

    def _picture(self, frames: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
        """frames: those of the pairs, each once, in order."""
        import torch

        from filters.semantic import imagebind_input as prepare

        kept = sorted({frame for pair in pairs for frame in pair})
        crops = prepare.crops(frames)
        two = [crops[:, :, [kept.index(first), kept.index(last)]] for first, last in pairs]
        return self._mean("vision", torch.cat(two))

    def _mean(self, name: str, inputs: Any) -> np.ndarray:
        """Mean of the embeddings of these inputs, float64."""
        like = next(self._model.parameters())
        groups = [inputs[start : start + self.at_once] for start in range(0, len(inputs), self.at_once)]
        found = [self._model.embed(name, group.to(like)).double().cpu().numpy() for group in groups]
        return np.concatenate(found).mean(0)


def _model(path: Any, precision: str, on: str) -> Any:
    from filters import checkpoint
    from filters.semantic.imagebind_model import load

    return load(checkpoint.read(path), dtype=device.dtype_of(precision)).to(device.device_of(on))


STAGE = ImageBind
