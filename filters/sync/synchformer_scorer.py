"""What the two stages of Synchformer share: its views, its checkpoint, and windows of several clips at once.

Pictures come in two ways. `synchformer`: the authors' own, the short side scaled to 256 and the middle 224 x 224 of it.
`av_benchmark`: that of av-benchmark's DeSync, the short side scaled to 224 (`synchformer_input.squares`), so that an
eighth more is seen each way. Both for one clip would cost nearly twice as much: of the 4.0 CPU-seconds of a segment,
the tower that sees takes 3.8.
"""

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
RGB_25_448 = VideoView("rgb_25_448", fps=25, box=(448, 448), fit="shrink", pixels="rgb24")
"""av-benchmark scales the frame itself; up to twice the size that is wanted, so does `squares`, exactly. What is larger
is shrunk at first: of a 720p film 6 in 10,000 values then differ by more than a grey level, none by more than 6.
1.07 MB a frame of 16:9, 267 MB for 10 s."""
PREPROCESS = {"synchformer": RGB_25, "av_benchmark": RGB_25_448}
URL = "https://a3s.fi/swift/v1/AUTH_a235c0f452d648828f745589cde1219a/sync/sync_models"
Media = tuple[np.ndarray, np.ndarray]
"""Frames (T, H, W, 3) uint8 at 25 fps; float32 samples (n,) at 16 kHz."""


class Scorer:
    """A checkpoint of Synchformer, loaded when it is first needed.

    weights: its path; default: where `published` belongs. window_step: segments (0.32 s) from one window to the next;
    the last that fits is always judged. precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda".
    at_once: segments that run together, whichever clips they are of. preprocess: one of `PREPROCESS`, whose pictures
    are looked at; ConfigError config:preprocess for another name.
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
        preprocess: str = "synchformer",
    ) -> None:
        if preprocess not in PREPROCESS:
            raise ConfigError("config:preprocess", f"preprocess {preprocess!r}; there are {list(PREPROCESS)}")
        self.published, self.head, self.weights, self.window_step = published, head, weights, window_step
        self.precision, self.on, self.at_once = precision, on, at_once
        self.pictures = PREPROCESS[preprocess]
        self.views: tuple[View, ...] = (AUDIO_16K, self.pictures)
        self._model: Any = None

    def digest(self) -> str:
        """Of the file. Raises BackendAbsent when there is none, ConfigError model:… when it is another."""
        found = self.published.digest(self.weights)
        self._load("float32", "cpu")  # mapped, not read: before any clip would suffer from it
        return found

    def windows(self, clips: Sequence[Views]) -> list[tuple[list[int], np.ndarray]]:
        """Of each clip: first segments of its windows, and their probabilities (windows, classes); none: too short."""
        from filters.sync.synchformer_features import features_of

        with device.computing():
            self._model = self._model or self._load(self.precision, device.device_of(self.on))
            seen = [self._media(views) for views in clips]
            return [self._judged(found) for found in features_of(self._model, seen, self.at_once)]

    def _media(self, views: Views) -> Media:
        from filters.sync import synchformer_input as prepare

        frames = views[self.pictures]
        return (prepare.squares(frames) if self.pictures is RGB_25_448 else frames), views[AUDIO_16K]

    def _judged(self, features: Any) -> tuple[list[int], np.ndarray]:
        from filters.sync.synchformer_features import judge

        first = windows.starts(len(features[0]), self._model.segments, self.window_step)
        return first, judge(self._model, features, first) if first else np.zeros((0, 0))

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
