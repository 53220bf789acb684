"""How the outputs are read, from the settings and the channel statistics of the latents."""

import torch

from trainer.objective import ObjectiveSettings, Reading
from trainer.space import Space


def readings_of(latents: Space, settings: ObjectiveSettings, device: torch.device) -> dict[str, Reading]:
    """The reading of `video` and of `audio`, on the device."""
    stats = {"video": latents.video_stats, "audio": latents.audio_stats}
    return {
        medium: Reading(
            settings.prediction,
            settings.precondition and settings.prediction == "x",
            stat.loss_weights.to(device),
            stat.variance.float().to(device),
        )
        for medium, stat in stats.items()
    }
