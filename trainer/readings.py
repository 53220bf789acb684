"""How the outputs are read, from the settings and the channel statistics of the latents."""

import torch

from trainer.data.latents import LatentSet
from trainer.objective import ObjectiveSettings, Reading


def readings_of(
    latents: LatentSet, settings: ObjectiveSettings, device: torch.device, patch: int = 1
) -> dict[str, Reading]:
    """The reading of `video` and of `audio`, on the device. patch: of the model; a video row has p x p cells."""
    stats = {"video": (latents.video_stats, patch**2), "audio": (latents.audio_stats, 1)}
    return {
        medium: Reading(
            settings.prediction,
            settings.precondition and settings.prediction == "x",
            stat.loss_weights.to(device).repeat(cells),
            stat.variance.float().to(device).repeat(cells),
        )
        for medium, (stat, cells) in stats.items()
    }
