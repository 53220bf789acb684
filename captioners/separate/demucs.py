"""Voice and background by Hybrid Transformer Demucs (Rouard, Massa and Défossez 2023), trained to take songs apart.

The voice is the model's `vocals`; the background is the mix without it, not the sum of the other stems: so nothing of
the mix is lost or made up between the two, and of a bag of models only those that vote on vocals need to run (one of
the four of htdemucs_ft). What the model hears wrongly as voice is therefore missing from the background.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from captioners.separate import demucs_folder, overlapped
from manifests.errors import BackendAbsent
from manifests.settings import Settings
from media import device, weights_at
from media.weights import sha256_of

CHANNELS, RATE = demucs_folder.SHAPE


class Demucs(Settings):
    """model: folder of the checkpoints, by default $KLEAR_WEIGHTS/demucs. name: of a bag or a model in it.

    on: "auto", "cpu", "cuda". at_once: windows (of 7.8 s, half a GB each) that run together, of one clip or
    several. overlap: share of a window that the next one hears again. There are no random shifts: the same mix gives
    the same stems.
    """

    model: str | None = None
    name: str = "htdemucs"
    on: str = "auto"
    at_once: int = Field(default=4, gt=0)
    overlap: float = Field(default=0.25, ge=0, lt=1)

    LICENCE: ClassVar[str] = "MIT (demucs; its weights as their author labels them on the hub)"
    COST: ClassVar[float] = 0.9
    CHANNELS: ClassVar[int] = CHANNELS

    @property
    def BACKEND(self) -> str:
        """Package and model."""
        return f"{self.name} (demucs 4.1.0)"

    def digest(self) -> str:
        """Of the files and the package. Raises BackendAbsent without them, and ConfigError model:… for other models."""
        if importlib.util.find_spec("demucs") is None:
            raise BackendAbsent("separate:demucs", "separator demucs needs the package demucs: run `make setup`")
        bag = demucs_folder.find(self._folder(), self.name)
        demucs_folder.load(bag)  # a wrong file stops the job before any clip would suffer from it
        said = [importlib.metadata.version("demucs"), repr((bag.weights, bag.segment)), *map(sha256_of, bag.files)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def split(self, audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
        """Float32 samples (n,) or (n, 2) at `rate` Hz -> (voice, background), of its shape, which add up to it.

        The model hears 44.1 kHz in stereo: other rates are resampled there and back (soxr), one channel is heard twice.
        """
        return self.split_many([audio], rate)[0]

    def split_many(self, mixes: Sequence[np.ndarray], rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """`split` of several mixes, whose windows run together."""
        voices = self._voices([_to_model(mix, rate) for mix in mixes])
        stems = [_from_model(voice, mix, rate) for voice, mix in zip(voices, mixes)]
        return [(voice, mix - voice) for voice, mix in zip(stems, mixes)]

    def _voices(self, sounds: list[np.ndarray]) -> list[np.ndarray]:
        """Vocals of sounds (2, n) at 44.1 kHz, each brought to one level first, as demucs's own command does."""
        with device.computing():
            voters = _voters(self._folder(), self.name, device.device_of(self.on))
            size = int(voters[0][0].segment * RATE)
            levels = [_level(sound) for sound in sounds]
            even = [(sound - mean) / spread for sound, (mean, spread) in zip(sounds, levels)]
            found = overlapped.run(lambda windows: _vocals(voters, windows), even, size, self.overlap, self.at_once)
        return [voice * spread + mean for voice, (mean, spread) in zip(found, levels)]

    def _folder(self) -> Path:
        return Path(self.model) if self.model else weights_at.below("demucs")


@lru_cache(maxsize=1)
def _voters(folder: Path, name: str, on: str) -> list[tuple[Any, float]]:
    return [(model.to(on), share) for model, share in demucs_folder.load(demucs_folder.find(folder, name))]


def _vocals(voters: list[tuple[Any, float]], windows: np.ndarray) -> np.ndarray:
    """Vocals of windows (n, 2, size), of that shape."""
    import torch

    given = torch.from_numpy(windows).to(next(voters[0][0].parameters()).device)
    heard = [share * model(given)[:, model.sources.index(demucs_folder.VOICE)] for model, share in voters]
    return torch.stack(heard).sum(0).cpu().numpy()


def _level(sound: np.ndarray) -> tuple[np.float32, np.float32]:
    """Mean and spread of the mean of the channels."""
    mono = sound.mean(0)
    return (mono.mean(), mono.std(ddof=1) + np.float32(1e-8)) if len(mono) > 1 else (np.float32(0), np.float32(1))


def _to_model(mix: np.ndarray, rate: int) -> np.ndarray:
    """(n,) or (n, 2) at `rate` -> (2, m) at 44.1 kHz, float32."""
    import soxr

    sound = mix if rate == RATE else soxr.resample(mix, rate, RATE)
    return np.ascontiguousarray(np.broadcast_to(sound.T, (CHANNELS, len(sound))), np.float32)


def _from_model(voice: np.ndarray, mix: np.ndarray, rate: int) -> np.ndarray:
    """(2, m) at 44.1 kHz -> the shape and rate of the mix."""
    import soxr

    sound = voice.mean(0) if mix.ndim == 1 else voice.T
    sound = sound if rate == RATE else soxr.resample(sound, RATE, rate)
    found = np.zeros(mix.shape, np.float32)
    found[: len(sound)] = sound[: len(mix)]
    return found
