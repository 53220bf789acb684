"""How shards become latents: everything in the recipe of a set of latents."""

from typing import Literal

from pydantic import Field, field_validator

from pipeline.settings import Settings

OUTSIDE = {"generation", "max_error_rate", "gpus", "video_weights", "audio_weights", "text_weights", "device"}
"""What the recipe does not know: weights are in it by their content, not by their place."""


class EncodeSettings(Settings):
    """Settings of `klear-train encode`."""

    generation: str | None = Field(default=None, description="generation of shards, e.g. g0001; null: the newest")
    width: int = Field(default=128, gt=0, multiple_of=16, description="picture width, pixels, where there is one size")
    height: int = Field(default=80, gt=0, multiple_of=16, description="picture height, pixels")
    sizes: tuple[tuple[int, int], ...] = Field(
        default=(), description="[width, height] of each class; a clip goes to the nearest in shape; []: width, height"
    )
    max_upscale: float | None = Field(
        default=None, ge=1, description="most that a clip is scaled up; a clip too small for every class is left out"
    )
    fps: Literal[24] = Field(default=24, description="frames per second: latents are 8 frames, at 3 Hz")
    max_s: float = Field(default=3.0, ge=0.375, description="longest sample, seconds, cut to 8k + 1 frames")
    video_codec: Literal["dct", "wan"] = Field(default="dct", description="video codec; wan: AutoencoderKLWan")
    video_weights: str | None = Field(default=None, description="folder of wan's weights")
    audio_codec: Literal["logmel4", "mdct", "oobleck"] = Field(default="logmel4", description="audio codec")
    audio_weights: str | None = Field(default=None, description="folder of oobleck's weights")
    text_encoder: Literal["minilm", "qwen"] = Field(default="minilm", description="caption encoder")
    text_weights: str | None = Field(default=None, description="folder of qwen's weights and tokenizer")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="bfloat16", description="numbers that wan, oobleck and qwen compute in"
    )
    device: str = Field(default="auto", description="where they run: auto, cpu, cuda")
    gpus: float | None = Field(default=None, ge=0, description="GPUs a worker takes; null: 1 where a model can use it")
    p: float = Field(default=0.5, ge=0, le=1, description="power of dct's AC scaling; 1 whitens, 0 keeps proportions")
    lufs: float = Field(default=-23.0, ge=-40, le=-5, description="loudness that sound is brought to, LUFS")
    stats_samples: int = Field(default=2048, gt=0, description="most training samples the statistics are fitted on")
    fidelity_share: float = Field(default=0.25, ge=0, le=1, description="share of samples whose sound is decoded too")
    max_error_rate: float = Field(default=0.05, ge=0, le=1, description="share of damaged samples that fails the job")

    @field_validator("sizes")
    @classmethod
    def _whole_cells(cls, sizes: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for size in sizes:
            if min(size) < 16 or size[0] % 16 or size[1] % 16:
                raise ValueError(f"{list(size)}: width and height are multiples of 16")
        return sizes

    @property
    def classes(self) -> tuple[tuple[int, int], ...]:
        """The sizes that clips are encoded in, (width, height)."""
        return self.sizes or ((self.width, self.height),)
