"""One training sample in latent space, as the model eats it."""

from dataclasses import dataclass

import torch

from trainer.model.config import ModelConfig


@dataclass(frozen=True)
class Sample:
    """A triplet, encoded, companded and normalised (`trainer/codecs/stats.py`). Float32 unless said.

    key: hex clip_id. split: train, val or test.
    video: (T_v, H, W, C_v): T_v latent frames at 3 Hz (latent 0 is frame 0 alone), H x W cells of 16 x 16 pixels.
    audio: (T_a, C_a): audio latents at 44,100 / 1,024 Hz.
    video_text, audio_text: (n, D) caption features of the frozen text encoder, trimmed to their true length.
    speech: (n,) uint8: UTF-8 bytes of the transcript or lyrics, empty when there is none.
    audio_class: single_speech, multi_speech, singing, music or sound. tasks: what the sample may be used for,
    among T2AV, TI2AV, TI2V, T2V, T2A.
    """

    key: str
    split: str
    audio_class: str
    tasks: tuple[str, ...]
    video: torch.Tensor
    audio: torch.Tensor
    video_text: torch.Tensor
    audio_text: torch.Tensor
    speech: torch.Tensor


@dataclass(frozen=True)
class SampleInfo:
    """What is known of a sample without loading it: enough to order, weigh and batch the stream.

    video: (T_v, H, W) latent cells. audio: T_a latents. video_text, audio_text: caption tokens. speech: bytes.
    seconds: of the encoded range. The other fields are those of `Sample`.
    """

    key: str
    audio_class: str
    tasks: tuple[str, ...]
    split: str = "train"
    video: tuple[int, int, int] = (0, 0, 0)
    audio: int = 0
    video_text: int = 0
    audio_text: int = 0
    speech: int = 0
    seconds: float = 0.0


def blank(info: SampleInfo, config: ModelConfig) -> Sample:
    """A sample of the shapes that the index tells, all zeros: for one that cannot be read."""
    return Sample(
        key=info.key,
        split=info.split,
        audio_class=info.audio_class,
        tasks=info.tasks,
        video=torch.zeros(*info.video, config.video_channels),
        audio=torch.zeros(info.audio, config.audio_channels),
        video_text=torch.zeros(info.video_text, config.text_dim),
        audio_text=torch.zeros(info.audio_text, config.text_dim),
        speech=torch.zeros(info.speech, dtype=torch.uint8),
    )
