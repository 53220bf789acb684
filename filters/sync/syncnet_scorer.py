"""A track of a face and its sound, to SyncNet's answer: distances at 31 lags, the best of them, and what stands out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filters.sync.mfcc import RATE, mfcc, sixteen_bits
from filters.sync.syncnet_crop import crops
from media import device
from media.weights_at import Published

FPS = 25
VSHIFT = 15
"""Lags to both sides, in frames."""
SAMPLES_A_FRAME = RATE // FPS


@dataclass(frozen=True)
class Answer:
    """offset_frames: how many frames the sound comes after the picture (the authors' own sign is the other way round:
    theirs is the picture after the sound). lse_d: least mean distance; lse_c: median of the 31 less the least."""

    offset_frames: int
    lse_c: float
    lse_d: float


def answer(means: np.ndarray) -> Answer:
    """From the mean distances (31,) of lips to sound that is -15 .. 15 frames later."""
    best = int(np.argmin(means))
    return Answer(best - VSHIFT, float(np.median(means) - means[best]), float(means[best]))


class Scorer:
    """SyncNet, loaded when it is first needed. weights: path of its state dict; default: where `published` belongs.

    precision: float32, bfloat16 or float16. on: "auto", "cpu", "cuda". at_once: windows that run together.
    """

    def __init__(self, published: Published, weights: str | None, precision: str, on: str, at_once: int) -> None:
        self.published, self.weights = published, weights
        self.precision, self.on, self.at_once = precision, on, at_once
        self._model: Any = None

    def digest(self) -> str:
        """Of the file. Raises BackendAbsent when there is none, ConfigError model:… when it is another."""
        found = self.published.digest(self.weights)
        self._load("float32", "cpu")
        return found

    def track(self, frames: np.ndarray, boxes: np.ndarray, audio: np.ndarray) -> Answer | None:
        """Of a track of n frames at 25 fps, (n, H, W, 3) uint8 RGB, its boxes (n, 4) px, and its own sound at 16 kHz.

        None where fewer than two windows fit.
        """
        with device.computing():
            self._model = self._model or self._load(self.precision, device.device_of(self.on))
            count = min(len(frames), len(audio) // SAMPLES_A_FRAME) - 5
            if count < 2:
                return None
            lips = self._lips(crops(frames, boxes)[..., ::-1], count)
            sound = self._sound(mfcc(sixteen_bits(audio)), count)
            return answer(mean_distances(lips, sound))

    def _lips(self, faces: np.ndarray, count: int) -> Any:
        """Faces (n, 224, 224, 3), blue first -> (count, 1024) float32 on the CPU."""
        import torch

        like = next(self._model.parameters())
        parts = []
        for start in range(0, count, self.at_once):
            part = faces[start : min(count, start + self.at_once) + 4]
            pixels = torch.from_numpy(np.ascontiguousarray(part.transpose(3, 0, 1, 2)))
            parts.append(self._model.lips(pixels.to(like)).float().cpu())
        return torch.cat(parts)

    def _sound(self, cepstra: np.ndarray, count: int) -> Any:
        """Cepstra (m, 13) -> (count, 1024) float32 on the CPU."""
        import torch

        like = next(self._model.parameters())
        windows = np.lib.stride_tricks.sliding_window_view(cepstra, 20, axis=0)[: 4 * count : 4]
        parts = np.array_split(windows, -(-count // (8 * self.at_once)))
        return torch.cat([self._model.sound(torch.from_numpy(part.copy()).to(like)).float().cpu() for part in parts])

    def _load(self, precision: str, on: str) -> Any:
        from filters import checkpoint
        from filters.sync.syncnet_model import load

        path: Path = self.published.path(self.weights)
        return load(checkpoint.read(path), dtype=device.dtype_of(precision)).to(on)


def mean_distances(lips: Any, sound: Any) -> np.ndarray:
    """Mean distance (31,) of places (n, 1024) of lips to those of sound 15 frames earlier .. 15 later.

    Beyond the ends the sound is at the origin, as in the authors' code, which counts those distances too.
    """
    import torch
    from torch.nn.functional import pad, pairwise_distance

    padded = pad(sound, (0, 0, VSHIFT, VSHIFT))
    each = [pairwise_distance(lips, padded[shift : shift + len(lips)]).mean() for shift in range(2 * VSHIFT + 1)]
    return np.asarray(torch.stack(each).numpy())
