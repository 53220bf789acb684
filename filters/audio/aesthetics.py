"""How good sound is to people's ears: audiobox-aesthetics (Meta; Tjandra 2025, arXiv 2502.05139).

Four ratings from 1 to 10, learned from raters of speech, music and sound. As its authors feed it: 16 kHz mono, no
loudness normalisation, windows of 10 s, the last one padded with zeros and masked; a clip's rating is the mean of its
windows, weighted by how much sound each holds. A window costs 1.6 CPU-s, however little of it is sound. Code and
weights are CC-BY 4.0 (WavLM, inside, MIT). MOVA (arXiv 2602.08794) keeps PQ > 5.0, CU > 4.5 and CE > 2.5.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media import device
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views
from media.weights_at import Published

RATE = 16_000
WINDOW = 10 * RATE
URL = "https://dl.fbaipublicfiles.com/audiobox-aesthetics/checkpoint.pt"
WEIGHTS = Published("audio.aesthetics", "audiobox", "checkpoint.pt", URL, "CC-BY 4.0")


class Aesthetics:
    """`pq`: production quality, `pc`: production complexity, `ce`: content enjoyment, `cu`: content usefulness, about
    1 to 10 (a regression: nothing holds it there). NULL for a clip without samples.

    weights: path of the official checkpoint; default: $KLEAR_WEIGHTS/audiobox/checkpoint.pt.
    precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda". at_once: windows that run together.
    """

    NAME = "audio.aesthetics"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {name: pa.float64() for name in ("pq", "pc", "ce", "cu")}
    RANGES: ClassVar[Mapping[str, Bounds]] = {}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "audiobox-aesthetics (WavLM-base+)"
    LICENCE = "CC-BY-4.0 (weights, facebookresearch/audiobox-aesthetics), MIT (WavLM)"
    COST = 0.3

    def __init__(
        self, weights: str | None = None, precision: str = "float32", on: str = "auto", at_once: int = 4
    ) -> None:
        self.weights, self.precision, self.on, self.at_once = weights, precision, on, at_once
        self._model: Any = None

    def digest(self) -> str:
        """Raises BackendAbsent without the checkpoint, and ConfigError model:… when the file is another."""
        found = WEIGHTS.digest(self.weights)
        _model(WEIGHTS.path(self.weights), "float32", "cpu")  # before any clip would suffer from it
        return found

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio."""
        sound = views[AUDIO_16K]
        if len(sound) == 0:
            return {}
        with device.computing():
            self._model = self._model or _model(WEIGHTS.path(self.weights), self.precision, self.on)
            samples, heard = windows(sound)
            starts = range(0, len(samples), self.at_once)
            rated = np.concatenate(
                [self._rate(samples[i : i + self.at_once], heard[i : i + self.at_once]) for i in starts]
            )
        mean = np.average(rated, axis=0, weights=heard.sum(1))
        return dict(zip(self.COLUMNS, map(float, mean)))

    def _rate(self, samples: np.ndarray, heard: np.ndarray) -> np.ndarray:
        import torch

        like = next(self._model.parameters())
        found = self._model(torch.from_numpy(samples).to(like), torch.from_numpy(heard).to(like.device))
        return np.asarray(found.cpu().numpy(), np.float64)


def windows(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(samples (n, 160000) float32, heard (n, 160000) bool) of `sound` (samples,) at 16 kHz; the rest is zeros."""
    count = -(-len(sound) // WINDOW)
    samples = np.pad(sound, (0, count * WINDOW - len(sound))).astype(np.float32).reshape(count, WINDOW)
    return samples, (np.arange(count * WINDOW) < len(sound)).reshape(count, WINDOW)


def _model(path: Any, precision: str, on: str) -> Any:
    from filters import checkpoint
    from filters.audio.aesthetics_model import load

    return load(checkpoint.contents(path)).to(device=device.device_of(on), dtype=device.dtype_of(precision))


STAGE = Aesthetics
