"""How shards become latents: everything in the recipe of a set of latents."""

from typing import Literal

from pydantic import Field

from pipeline.settings import Settings


class EncodeSettings(Settings):
    """Settings of `klear-train encode`."""

    generation: str | None = Field(default=None, description="generation of shards, e.g. g0001; null: the newest")
    width: int = Field(default=128, gt=0, multiple_of=16, description="picture width, pixels")
    height: int = Field(default=80, gt=0, multiple_of=16, description="picture height, pixels")
    fps: Literal[24] = Field(default=24, description="frames per second: latents are 8 frames, at 3 Hz")
    max_s: float = Field(default=3.0, ge=0.375, description="longest sample, seconds, cut to 8k + 1 frames")
    video_codec: Literal["dct"] = Field(default="dct", description="video codec")
    audio_codec: Literal["logmel4", "mdct"] = Field(default="logmel4", description="audio codec")
    text_encoder: Literal["minilm"] = Field(default="minilm", description="caption encoder")
    p: float = Field(default=0.5, ge=0, le=1, description="power of video AC scaling; 1 whitens, 0 keeps proportions")
    lufs: float = Field(default=-23.0, ge=-40, le=-5, description="loudness that sound is brought to, LUFS")
    stats_samples: int = Field(default=2048, gt=0, description="most training samples the statistics are fitted on")
    fidelity_share: float = Field(default=0.25, ge=0, le=1, description="share of samples whose sound is decoded too")
    max_error_rate: float = Field(default=0.05, ge=0, le=1, description="share of damaged samples that fails the job")
