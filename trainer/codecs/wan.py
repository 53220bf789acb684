"""`wan`: diffusers' AutoencoderKLWan by its folder, 4 frames x 16 x 16 pixels a latent (Wan2.2-TI2V-5B's).

It codes 12 of the 24 frames a second, so that its 4 frames a latent are the 8 of every codec here: 3 latents a second.
Latents are those of the posterior's mean, brought to the scale that the model was trained with: (z - mean) / std.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch

from manifests.errors import ConfigError
from media.device import device_of, dtype_of
from trainer.codecs.dct import FRAMES, SIDE, to_uint8
from trainer.codecs.folders import config_of, digest_of
from trainer.codecs.stats import Scaling

_GROUP = 4


class Wan:
    """The `wan` codec. folder: as `save_pretrained` leaves it. precision: of weights and activations.

    Raises ConfigError `config:weights` for a folder that is absent, of another class, or of another compression.
    """

    NAME = "wan"
    VERSION = 1
    STRIDE = 2
    LICENCE = "of the weights given (Wan2.2: Apache-2.0); AutoencoderKLWan of diffusers: Apache-2.0"
    SCALING = Scaling(bend=0.0, power=1.0)

    def __init__(self, folder: str | None, precision: str = "bfloat16", device: str = "auto") -> None:
        config = config_of("encode.video_weights", folder, ("AutoencoderKLWan",))
        shape = (config.get("scale_factor_temporal", 4), config.get("scale_factor_spatial", 8))
        if shape != (_GROUP, SIDE):
            raise ConfigError(
                "config:weights",
                f"encode.video_weights = {folder!r} compresses {shape[0]} frames x {shape[1]} pixels: 4 x 16 are needed"
                " (scale_factor_temporal, scale_factor_spatial), as Wan2.2-TI2V-5B's has",
            )
        self.folder, self.precision, self.device = str(folder), precision, device
        self.CHANNELS = int(config["z_dim"])
        self._mean = torch.tensor(config["latents_mean"], dtype=torch.float32)
        self._std = torch.tensor(config["latents_std"], dtype=torch.float32)

    def digest(self) -> str:
        """Of the weights."""
        return digest_of(self.folder)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> torch.Tensor:
        """Uint8 (F, H, W, 3) RGB at 24 fps, F = 8k + 1, to float32 (k + 1, H/16, W/16, CHANNELS)."""
        if (len(frames) - 1) % FRAMES:
            raise ConfigError("codec:shape", f"{len(frames)} frames: the wan codec takes 8k + 1")
        pixels = torch.from_numpy(np.ascontiguousarray(frames[:: self.STRIDE])).float() / 127.5 - 1
        moved = pixels.permute(3, 0, 1, 2)[None]
        z = self._model.encode(moved.to(self._model.device, self._model.dtype)).latent_dist.mode()
        return (z[0].float().cpu().permute(1, 2, 3, 0) - self._mean) / self._std

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Float32 (T, h, w, CHANNELS) to uint8 (8T - 7, 16h, 16w, 3) RGB at 24 fps: each of 12 is shown twice."""
        z = (latents.float().cpu() * self._std + self._mean).permute(3, 0, 1, 2)[None]
        pixels = self._model.decode(z.to(self._model.device, self._model.dtype)).sample[0]
        frames = to_uint8(pixels.float().cpu().permute(1, 2, 3, 0))
        return frames.repeat(self.STRIDE, axis=0)[: FRAMES * len(latents) - FRAMES + 1]

    @cached_property
    def _model(self) -> Any:
        from media.cpu_torch import install

        install()
        from diffusers import AutoencoderKLWan

        model: Any = AutoencoderKLWan.from_pretrained(self.folder, local_files_only=True)
        return model.eval().requires_grad_(False).to(device_of(self.device), dtype_of(self.precision))
