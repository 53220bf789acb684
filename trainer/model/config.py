"""The shape of the model, as settings."""

from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.settings import Settings


class RopeConfig(Settings):
    """MixD-RoPE (paper section 3.2). axes: rotated channels of a head for (t, h, w), each even; the rest stay still.

    audio: `append` puts audio ids after the last video t-id (the paper's words and figure 2d); `aligned` puts both
    on one clock in audio ticks. text: 1-D positions on the t axis, or all zero.
    """

    audio: Literal["append", "aligned"] = "aligned"
    text: Literal["1d", "zero"] = "1d"
    axes: tuple[int, int, int] = (24, 20, 20)
    theta: float = Field(default=10_000.0, gt=1)


class BytesConfig(Settings):
    """The learned encoder of transcripts: an embedding of UTF-8 bytes and residual 1-D convolutions."""

    width: int = Field(default=128, ge=8)
    layers: int = Field(default=2, ge=0)
    kernel: int = Field(default=5, ge=1, description="odd: bytes seen by one convolution")

    @model_validator(mode="after")
    def _odd(self) -> "BytesConfig":
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it is centred on its byte; {self.kernel} is even")
        return self


class ModelConfig(Settings):
    """Sizes of the four-stream MM-DiT.

    width: d, channels of a token. ffn: hidden channels of the GELU feed-forward. modulation_rank: None for a full
    6d x d AdaLN matrix per stream and block, else the rank of its factorisation.
    shared: one set of QKV, FFN and norms for all four streams of a block; AdaLN stays each stream's own.
    *_channels: channels of one latent cell. patch: a video token covers patch x patch cells. text_dim: channels of the
    caption features. length: a document's tokens are a multiple of it, by registers (learned rows without a meaning of
    their own) at the end of a text: cuDNN's attention builds a plan for every new length, so there should be few.
    """

    width: int = Field(default=256, ge=8)
    layers: int = Field(default=6, ge=1)
    heads: int = Field(default=4, ge=1)
    ffn: int = Field(default=512, ge=8)
    modulation_rank: int | None = Field(default=None, ge=1)
    shared: bool = False
    video_channels: int = Field(default=128, ge=1)
    audio_channels: int = Field(default=320, ge=1)
    text_dim: int = Field(default=384, ge=1)
    patch: int = Field(default=1, ge=1)
    length: int = Field(default=1, ge=1)
    bytes: BytesConfig = BytesConfig()
    rope: RopeConfig = RopeConfig()

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    @property
    def patch_channels(self) -> int:
        """Channels of one video token: those of its latent cells, side by side."""
        return self.video_channels * self.patch**2

    def to_dict(self) -> dict[str, Any]:
        """Plain values: libraries (peft) ask a model's config for them by this name."""
        return self.model_dump(mode="json")

    @model_validator(mode="after")
    def _fits(self) -> "ModelConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if any(axis % 2 for axis in self.rope.axes) or sum(self.rope.axes) > self.head_dim:
            raise ValueError(
                f"rope.axes {self.rope.axes} must be even and sum to at most width / heads = {self.head_dim}"
            )
        return self
