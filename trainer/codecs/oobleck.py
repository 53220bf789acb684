"""`oobleck`: diffusers' AutoencoderOobleck by its folder, 44,100 Hz stereo, 1,024 samples a latent.

Latents are the posterior's mean. Mono sound is put on both channels, and what is decoded is their mean.
"""

from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import torch

from manifests.errors import ConfigError
from media.device import device_of, dtype_of
from trainer.codecs.folders import config_of, digest_of
from trainer.codecs.mdct import HOP
from trainer.codecs.stats import Scaling

_RATE = 44_100


class Oobleck:
    """The `oobleck` codec. folder: as `save_pretrained` leaves it. precision: of weights and activations.

    Raises ConfigError `config:weights` for a folder that is absent, of another class, rate or hop.
    """

    NAME = "oobleck"
    VERSION = 1
    LICENCE = "of the weights given (Stable Audio Open's: Stability AI Community); diffusers: Apache-2.0"
    SCALING = Scaling(bend=0.0, power=1.0)

    def __init__(self, folder: str | None, precision: str = "bfloat16", device: str = "auto") -> None:
        config = config_of("encode.audio_weights", folder, ("AutoencoderOobleck",))
        hop, rate = prod(config["downsampling_ratios"]), config["sampling_rate"]
        if (hop, rate) != (HOP, _RATE):
            raise ConfigError(
                "config:weights",
                f"encode.audio_weights = {folder!r} takes {hop} samples a latent at {rate} Hz: {HOP} at {_RATE} Hz are "
                "needed (downsampling_ratios [2, 4, 4, 4, 8])",
            )
        self.folder, self.precision, self.device = str(folder), precision, device
        self.CHANNELS = int(config["decoder_input_channels"])
        self._sides = int(config["audio_channels"])

    def digest(self) -> str:
        """Of the weights."""
        return digest_of(self.folder)

    @torch.inference_mode()
    def encode(self, samples: np.ndarray) -> torch.Tensor:
        """Float32 (n,) mono or (n, 2) stereo at 44,100 Hz to float32 (ceil(n / 1024), CHANNELS)."""
        sound = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
        sides = sound.T if sound.ndim == 2 else sound.expand(self._sides, -1)
        padded = torch.nn.functional.pad(sides, (0, -len(sound) % HOP))[None]
        z = self._model.encode(padded.to(self._model.device, self._model.dtype)).latent_dist.mode()
        return z[0].float().cpu().T.contiguous()

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, length: int) -> np.ndarray:
        """Float32 (T, CHANNELS) to float32 (length,), length <= 1024 T."""
        sound = self._model.decode(latents.T[None].to(self._model.device, self._model.dtype)).sample[0]
        return np.asarray(sound.float().cpu().mean(0)[:length].numpy())

    @cached_property
    def _model(self) -> Any:
        from media.cpu_torch import install

        install()
        from diffusers import AutoencoderOobleck

        model: Any = AutoencoderOobleck.from_pretrained(self.folder, local_files_only=True)
        return model.eval().requires_grad_(False).to(device_of(self.device), dtype_of(self.precision))
