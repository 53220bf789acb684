"""Synchformer (Iashin 2024, MIT): temporal offset of sound and picture. Its weights are not shipped with any package.

Paper of klear, section 4: temporal alignment is judged by Synchformer, without a number; MOVA takes a DeSync of at most
0.5 s. Synchformer calls audio that is early positive; here `av_offset_s` > 0 means that the sound comes after the
picture, so its sign is turned once, in `synchformer_windows`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters import device
from filters.sync import synchformer_windows as windows
from filters.weights_at import Published
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, VideoView, View, Views

RGB_25 = VideoView("rgb_25_256", fps=25, box=(256, 256), fit="cover", pixels="rgb24")
"""The authors scale the short side to 256 and cut 224 x 224 out of the middle."""
_FOLDER = "https://a3s.fi/swift/v1/AUTH_a235c0f452d648828f745589cde1219a/sync/sync_models/24-01-04T16-39-21/"
WEIGHTS = Published("sync.synchformer", "synchformer", "24-01-04T16-39-21.pt", _FOLDER + "24-01-04T16-39-21.pt", "MIT")


class Synchformer:
    """What 21 offsets from -2 to 2 s are worth, over windows of 4.8 s: `synchformer_windows.Answer`, and each window.

    judged: "measured", or "too short" below 4.8 s, where every other column is NULL. window_starts_s,
    window_offsets_s: of each window.
    weights: path of the AudioSet checkpoint `24-01-04T16-39-21.pt`; default: $KLEAR_WEIGHTS/synchformer/<that name>.
    window_step: segments (0.32 s) from one window to the next; the last that fits is always judged.
    precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda". at_once: segments that run together.
    """

    NAME = "sync.synchformer"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "judged": pa.string(),
        "av_offset_s": pa.float64(),
        "expected_offset_s": pa.float64(),
        "p_in_sync": pa.float64(),
        "entropy": pa.float64(),
        "desync_s": pa.float64(),
        "window_starts_s": pa.list_(pa.float64()),
        "window_offsets_s": pa.list_(pa.float64()),
    }
    VIEWS: tuple[View, ...] = (AUDIO_16K, RGB_25)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "Synchformer 24-01-04T16-39-21"
    LICENCE = "MIT (weights, v-iashin/Synchformer)"
    COST = 15.0

    def __init__(
        self,
        weights: str | None = None,
        window_step: int = 5,
        precision: str = "float32",
        on: str = "auto",
        at_once: int = 4,
    ) -> None:
        self.weights, self.window_step, self.at_once = weights, window_step, at_once
        self.precision, self.on = precision, on
        self._model: Any = None

    def digest(self) -> str:
        """Raises BackendAbsent without the checkpoint, and ConfigError model:… when the file is another."""
        found = WEIGHTS.digest(self.weights)
        _model(WEIGHTS.path(self.weights), "float32", "cpu")  # mapped, not read: before any clip would suffer from it
        return found

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz audio and its frames at 25 fps."""
        return self.many([(views[RGB_25], views[AUDIO_16K])])[0]

    def many(self, clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
        """Columns of several clips, whose segments run together: frames (T, H, W, 3) and samples (n,) of each."""
        from filters.sync.synchformer_features import features_of

        with device.computing():
            self._model = self._model or _model(WEIGHTS.path(self.weights), self.precision, self.on)
            return [self._row(found) for found in features_of(self._model, clips, self.at_once)]

    def _row(self, features: Any) -> dict[str, Any]:
        first = windows.starts(len(features[0]), self._model.segments, self.window_step)
        if not first:
            return {"judged": "too short"}
        found = windows.judge(self._model, features, first)
        said = windows.answer(found)
        return {
            "judged": "measured",
            "av_offset_s": said.offset_s,
            "expected_offset_s": said.expected_offset_s,
            "p_in_sync": said.p_in_sync,
            "entropy": said.entropy,
            "desync_s": said.desync_s,
            "window_starts_s": windows.seconds(first),
            "window_offsets_s": windows.window_offsets(found),
        }


def _model(path: Any, precision: str, on: str) -> Any:
    from filters import checkpoint
    from filters.sync.synchformer_model import load

    return load(checkpoint.read(path, under="model"), dtype=device.dtype_of(precision)).to(device.device_of(on))


STAGE = Synchformer
