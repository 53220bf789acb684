"""A small learned encoder of transcripts, byte by byte: it needs no vocabulary and no frozen model."""

import torch
from torch import nn
from torch.nn import functional

from trainer.model.config import ModelConfig
from trainer.model.layout import END_BYTE
from trainer.model.norms import rms_norm


class ByteEncoder(nn.Module):
    """Embedding of 257 symbols, residual convolutions along the text, projection to the model's width."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = config.bytes
        self.embed = nn.Embedding(END_BYTE + 1, sizes.width)
        self.layers = nn.ModuleList(
            nn.Conv1d(sizes.width, sizes.width, sizes.kernel, padding=sizes.kernel // 2) for _ in range(sizes.layers)
        )
        self.project = nn.Linear(sizes.width, config.width)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """Symbols (B,), -1 in the gaps between documents -> (B, width), exactly zero in the gaps.

        Gaps are held at zero after every layer, so the packed result equals each transcript's own.
        """
        real = (symbols >= 0)[:, None]
        x = self.embed(symbols.clamp_min(0)) * real
        for layer in self.layers:
            mixed = layer(rms_norm(x).to(x.dtype).T[None])[0].T
            x = x + functional.gelu(mixed) * real
        return self.project(rms_norm(x).to(x.dtype)) * real
