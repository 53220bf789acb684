"""The samples to plan for: by default the largest that the settings encode, in every class of sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.errors import ConfigError
from trainer.clocks import VIDEO_FPS, audio_latents_for, video_frames, video_latents_for
from trainer.data.sample import SampleInfo
from trainer.patches import CELL
from trainer.settings import TrainSettings
from trainer.tasks import TASKS

SAID_PER_SECOND = 15
"""Bytes of a transcript a second: fast speech."""


@dataclass(frozen=True)
class Clip:
    """The sample to plan for. size: pixels. text: tokens of each caption."""

    width: int
    height: int
    seconds: float
    text: int = 512

    def info(self) -> SampleInfo:
        """Its latents and tokens. The picture is cut to whole cells, the duration to the video's frames."""
        latents = video_latents_for(self.seconds)
        duration = video_frames(latents) / VIDEO_FPS
        return SampleInfo(
            "clip",
            "single_speech",
            tuple(TASKS),
            video=(latents, self.height // CELL, self.width // CELL),
            audio=audio_latents_for(duration),
            video_text=self.text,
            audio_text=self.text,
            speech=round(SAID_PER_SECOND * duration),
            seconds=duration,
        )


def clips_of(settings: TrainSettings, texts: Sequence[str] = (), duration: float | None = None) -> list[Clip]:
    """Clips of these sizes and this duration; what is not given: every class that the settings encode, the longest."""
    encode = settings.encode
    pairs = [_size(text) for text in texts] or encode.classes
    return [Clip(width, height, duration or encode.max_s) for width, height in pairs]


def _size(text: str) -> tuple[int, int]:
    """`848x480` to (848, 480). Raises ConfigError for anything else."""
    parts: Sequence[str] = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) >= CELL for part in parts):
        raise ConfigError("config:size", f"--size {text!r}: write WIDTHxHEIGHT in pixels, e.g. 848x480")
    return int(parts[0]), int(parts[1])
