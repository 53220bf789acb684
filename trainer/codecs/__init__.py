"""Codecs: between media and latents. Media are numpy arrays, latents are torch tensors of raw (unscaled) coefficients.

`trainer/codecs/stats.py` scales the raw latents for the model and back. The embedded codecs here have no weights.
"""

from typing import TYPE_CHECKING, Protocol

from manifests.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from trainer.codecs.stats import Scaling


class VideoCodec(Protocol):
    """Frames at 24 fps to 3 latents a second on a grid of 16 x 16 pixel cells. Causal: latent 0 is frame 0 alone."""

    NAME: str
    VERSION: int
    CHANNELS: int
    LICENCE: str
    SCALING: "Scaling"

    def encode(self, frames: "np.ndarray") -> "torch.Tensor":
        """Uint8 (F, H, W, 3) RGB, F = 8k + 1, H and W multiples of 16, to float32 (k + 1, H/16, W/16, CHANNELS)."""
        ...

    def decode(self, latents: "torch.Tensor") -> "np.ndarray":
        """Float32 (T, h, w, CHANNELS) to uint8 (8T - 7, 16h, 16w, 3) RGB."""
        ...


class AudioCodec(Protocol):
    """Mono audio at 44,100 Hz to 44,100 / 1,024 latents a second."""

    NAME: str
    VERSION: int
    CHANNELS: int
    LICENCE: str
    SCALING: "Scaling"

    def encode(self, samples: "np.ndarray") -> "torch.Tensor":
        """Float32 (n,) to float32 (ceil(n / 1024), CHANNELS); latent i covers samples 1024 i to 1024 (i + 1)."""
        ...

    def decode(self, latents: "torch.Tensor", length: int) -> "np.ndarray":
        """Float32 (T, CHANNELS) to float32 (length,), length <= 1024 T."""
        ...


def video_codec(name: str, weights: str | None = None, precision: str = "bfloat16", device: str = "auto") -> VideoCodec:
    """The video codec called `name`; weights: its folder, where it needs one; precision, device: of its model.

    Raises ConfigError for an unknown name, and for a folder that is absent or of another model.
    """
    match name:
        case "dct":
            from trainer.codecs.dct import CausalDct

            return CausalDct()
        case "wan":
            from trainer.codecs.wan import Wan

            return Wan(weights, precision, device)
        case _:
            raise ConfigError("config:codec", f"no video codec {name!r}; there are 'dct' and 'wan'")


def audio_codec(name: str, weights: str | None = None, precision: str = "bfloat16", device: str = "auto") -> AudioCodec:
    """The audio codec called `name`; weights: its folder, where it needs one; precision, device: of its model.

    Raises ConfigError for an unknown name, and for a folder that is absent or of another model.
    """
    match name:
        case "logmel4":
            from trainer.codecs.logmel4 import LogMel4

            return LogMel4()
        case "mdct":
            from trainer.codecs.mdct import Mdct

            return Mdct()
        case "oobleck":
            from trainer.codecs.oobleck import Oobleck

            return Oobleck(weights, precision, device)
        case _:
            raise ConfigError("config:codec", f"no audio codec {name!r}; there are 'logmel4', 'mdct' and 'oobleck'")
