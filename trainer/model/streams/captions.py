"""Captions and transcripts to tokens of the two text streams."""

import torch
from torch import nn

from trainer.model.config import ModelConfig
from trainer.model.layout import CAPTION, NULL_TRANSCRIPT
from trainer.model.norms import rms_norm
from trainer.model.streams.transcript import ByteEncoder


class CaptionEmbed(nn.Module):
    """Caption features -> tokens. A row's kind adds a learned vector; for a null row that vector is all there is."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.text_dim, config.width)
        self.kinds = nn.Embedding(NULL_TRANSCRIPT + 1, config.width)

    def forward(self, features: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        """Features (R, text_dim) and kinds (R,) -> (R, width).

        Features are RMS-normed first: hidden states of language models have a few channels of huge size.
        """
        tokens = self.project(rms_norm(features).to(self.project.weight.dtype))
        return tokens * (kind == CAPTION)[:, None] + self.kinds(kind)


class AudioTextEmbed(nn.Module):
    """The audio-text stream: [audio caption ; transcript or lyrics], told apart by their kind."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.captions = CaptionEmbed(config)
        self.bytes = ByteEncoder(config)

    def forward(
        self, features: torch.Tensor, kind: torch.Tensor, transcript: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """Features (R, text_dim), kinds (R,), bytes (B,) and the row of each byte (B,) -> (R, width).

        A byte whose row is -1 has its row in another process (context parallelism) and is only read by its neighbours.
        """
        tokens = self.captions(features, kind)
        encoded = self.bytes(transcript) * (rows >= 0)[:, None]
        return tokens.index_add(0, rows.clamp_min(0), encoded.to(tokens.dtype))
