"""The size that both models have, and one packed document of made-up latents for them."""

from dataclasses import dataclass

import torch

from trainer.data.sample import Sample, SampleInfo
from trainer.documents import Conditions, Document
from trainer.model.config import BytesConfig, ModelConfig, RopeConfig
from trainer.model.layout import STREAMS
from trainer.packing import PackedBatch, pack
from trainer.tasks import TASKS, Task

GRIDS = {9_152: (16, 16, 32), 32_192: (16, 32, 61)}
"""Video latents (T, H, W) that fill the rest of these many tokens: about 480p and 832p at 5 s, two by two patches."""

GIVEN = Task("given", frozenset(STREAMS), {"video": 1, "audio": 43})
"""The first latent of the video and the first second of the sound are clean: both media have two noise levels."""

SIGMAS = (0.6, 0.4)
"""Noise levels of the rest of the video and of the sound."""


@dataclass(frozen=True)
class Sizes:
    """width, layers, head: of both models. ffn: of the peer's SwiGLU; ours has two matrices of 1.5 times that."""

    width: int = 3072
    layers: int = 8
    head: int = 128
    ffn: int = 8192

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.width // self.head

    def ours(self, shared: bool = True) -> ModelConfig:
        """Our model of that size; AdaLN of a rank that gives it about the peer's AdaLN parameters."""
        third = self.head // 3 // 2 * 2
        return ModelConfig(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            ffn=self.ffn * 3 // 2,
            modulation_rank=self.width // 3,
            shared=shared,
            video_channels=96,
            audio_channels=40,
            text_dim=1024,
            bytes=BytesConfig(width=128),
            rope=RopeConfig(axes=(third, third, third)),
        )


SMALL = Sizes(96, 1, 32, 64)
"""For `--small`: that everything runs, on a CPU. No figure of it means anything."""


def clip_of(grid: tuple[int, int, int]) -> SampleInfo:
    """What is known of a clip with a video of this grid and 5 s of sound; 232 rows of audio text with the end mark."""
    return SampleInfo("0" * 32, "sound", tuple(TASKS), video=grid, audio=216, video_text=512, audio_text=231)


def made_up_batch(config: ModelConfig, info: SampleInfo, task: Task = GIVEN) -> PackedBatch:
    """One document of these shapes: random latents and captions."""
    g = torch.Generator().manual_seed(0)
    video = torch.randn(*info.video, config.video_channels, generator=g)
    audio = torch.randn(info.audio, config.audio_channels, generator=g)
    texts = [torch.randn(n, config.text_dim, generator=g) for n in (info.video_text, info.audio_text)]
    speech = torch.randint(0, 256, (info.speech,), dtype=torch.uint8, generator=g)
    sample = Sample(info.key, "train", info.audio_class, info.tasks, video, audio, *texts, speech)
    noise = [torch.randn(x.shape, generator=g) for x in (video, audio)]
    return pack([Document(sample, task, Conditions(*SIGMAS, *noise))], config, multiple=16)  # as float8 needs
