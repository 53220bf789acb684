"""ImageBind (Girdhar 2023): does the sound belong to the picture. CC-BY-NC-SA 4.0: not for commercial use.

Paper of klear, section 4: semantic alignment is judged by ImageBind, without a number; MOVA takes a cosine of at least
0.2. The weights (4.5 GB) are not shipped with any package.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media import device, grid
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import AUDIO_16K, VideoView, View, Views
from media.weights_at import Published

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
        return self.many([(clip, views, facts)])[0]

    def many(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """Columns of several clips, whose pairs of frames run together."""
        from filters.semantic import imagebind_input as prepare

        with device.computing():
            self._model = self._model or _model(WEIGHTS.path(self.weights), self.precision, self.on)
            sounds = self._means("audio", (prepare.mel_clips(views[AUDIO_16K]) for _, views, _ in given))
            pictures = self._means("vision", (_pairs(clip, views[PAIRS]) for clip, views, _ in given))
        return [{"cosine": _cosine(*both)} for both in zip(sounds, pictures)]

    def _means(self, name: str, inputs: Iterable[Any]) -> list[np.ndarray]:
        """Mean embedding, float64, of each of these inputs (n, ...)."""
        import torch

        like = next(self._model.parameters())
        each = list(inputs)
        groups = torch.cat(each).split(self.at_once)
        found = [self._model.embed(name, group.to(like)).double().cpu() for group in groups]
        return [part.mean(0).numpy() for part in torch.cat(found).split([len(one) for one in each])]


def _pairs(clip: Clip, frames: np.ndarray) -> Any:
    """Three crops of each pair of frames, (15, 3, 2, 224, 224). frames: those of the pairs, each once, in order."""
    import torch

    from filters.semantic import imagebind_input as prepare

    pairs = grid.stretches(clip.frames, clip.fps, *STRETCHES)
    kept = sorted({frame for pair in pairs for frame in pair})
    crops = prepare.crops(frames)
    return torch.cat([crops[:, :, [kept.index(first), kept.index(last)]] for first, last in pairs])


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _model(path: Any, precision: str, on: str) -> Any:
    from filters import checkpoint
    from filters.semantic.imagebind_model import load

    return load(checkpoint.read(path), dtype=device.dtype_of(precision)).to(device.device_of(on))


STAGE = ImageBind
