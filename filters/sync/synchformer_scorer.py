"""What the two stages of Synchformer share: its views, its checkpoint, and windows of several clips at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from filters.sync import synchformer_windows as windows
from manifests.errors import ConfigError
from media import device
from media.views import AUDIO_16K, VideoView, View, Views
from media.weights_at import Published

RGB_25 = VideoView("rgb_25_256", fps=25, box=(256, 256), fit="cover", pixels="rgb24")
"""The authors scale the short side to 256 and cut 224 x 224 out of the middle."""
VIEWS: tuple[View, ...] = (AUDIO_16K, RGB_25)
URL = "https://a3s.fi/swift/v1/AUTH_a235c0f452d648828f745589cde1219a/sync/sync_models"
Media = tuple[np.ndarray, np.ndarray]
"""Frames (T, H, W, 3) uint8 at 25 fps; float32 samples (n,) at 16 kHz."""


class Scorer:
    """A checkpoint of Synchformer, loaded when it is first needed.

    weights: its path; default: where `published` belongs. window_step: segments (0.32 s) from one window to the next;
    the last that fits is always judged. precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda".
    at_once: segments that run together, whichever clips they are of.
    """

    def __init__(
        self,
        published: Published,
        head: str,
        weights: str | None,
        window_step: int,
        precision: str,
        on: str,
        at_once: int,
    ) -> None:
        self.published, self.head, self.weights, self.window_step = published, head, weights, window_step
        self.precision, self.on, self.at_once = precision, on, at_once
        self._model: Any = None

    def digest(self) -> str:
        """Of the file. Raises BackendAbsent when there is none, ConfigError model:… when it is another."""
        found = self.published.digest(self.weights)
        self._load("float32", "cpu")  # mapped, not read: before any clip would suffer from it
        return found

    def windows(self, clips: Sequence[Media]) -> list[tuple[list[int], np.ndarray]]:
        """Of each clip: first segments of its windows, and their probabilities (windows, classes); none: too short."""
        from filters.sync.synchformer_features import features_of

        with device.computing():
            self._model = self._model or self._load(self.precision, device.device_of(self.on))
            return [self._judged(found) for found in features_of(self._model, clips, self.at_once)]

    def _judged(self, features: Any) -> tuple[list[int], np.ndarray]:
        first = windows.starts(len(features[0]), self._model.segments, self.window_step)
        return first, windows.judge(self._model, features, first) if first else np.zeros((0, 0))

    def _load(self, precision: str, on: str) -> Any:
        from filters import checkpoint
        from filters.sync.synchformer_model import load

        path: Path = self.published.path(self.weights)
        model = load(checkpoint.read(path, under="model"), dtype=device.dtype_of(precision))
        if model.transformer.head != self.head:
            raise ConfigError(
                "model:state",
                f"{path} is Synchformer with a {model.transformer.head}; {self.published.name} has a {self.head}",
            )
        return model.to(on)


def media_of(views: Views) -> Media:
    """What a clip's views hold for `Scorer.windows`."""
    return views[RGB_25], views[AUDIO_16K]
