"""Documents: a sample in a task with the outcome of its random draws, which are all stateless."""

from dataclasses import dataclass, field

import torch

from trainer.data.draws import draw_normal, draw_uniform
from trainer.data.sample import Sample
from trainer.sigmas import Coupling, MediaSigmas, draw_sigmas
from trainer.tasks import Task


@dataclass(frozen=True)
class Conditions:
    """What a document is noised and captioned with: the outcome of its draws.

    sigma: noise level of each medium in [0, 1]; its text takes the same. noise: unit normals like the latents.
    """

    sigma_video: float
    sigma_audio: float
    noise_video: torch.Tensor
    noise_audio: torch.Tensor
    drop_video_text: bool = False
    drop_audio_caption: bool = False
    drop_transcript: bool = False


@dataclass(frozen=True)
class Document:
    """One sample in one task, ready to be packed. position: its turn in the stream, -1 for one that has none."""

    sample: Sample
    task: Task
    conditions: Conditions
    position: int = -1


@dataclass(frozen=True)
class DrawSettings:
    """What the draws depend on besides the position. drop: chance that a caption is replaced by its null, each.

    sigma, coupling, independent: as `draw_sigmas` takes them.
    """

    seed: int
    drop: float = 0.1
    coupling: Coupling = "shared"
    independent: float = 0.5
    sigma: MediaSigmas = field(default_factory=MediaSigmas)


def draw_conditions(sample: Sample, position: int, settings: DrawSettings) -> Conditions:
    """The draws of the sample at this position of the stream: a function of (seed, position, purpose) alone."""

    def uniform(purpose: str) -> float:
        return draw_uniform(settings.seed, position, purpose)

    cells = (sample.video.shape[:3].numel(), len(sample.audio))
    sigma_video, sigma_audio = draw_sigmas(
        settings.seed, position, settings.sigma, cells, settings.coupling, settings.independent
    )
    return Conditions(
        sigma_video=sigma_video,
        sigma_audio=sigma_audio,
        noise_video=draw_normal(settings.seed, position, "noise_v", tuple(sample.video.shape)),
        noise_audio=draw_normal(settings.seed, position, "noise_a", tuple(sample.audio.shape)),
        drop_video_text=uniform("drop_video_text") < settings.drop,
        drop_audio_caption=uniform("drop_audio_caption") < settings.drop,
        drop_transcript=uniform("drop_transcript") < settings.drop,
    )
