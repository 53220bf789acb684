"""One joint block: four streams, each with weights of its own, that meet in one attention."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from trainer.model.attention import Heads, Meeting, omni_attention
from trainer.model.config import ModelConfig
from trainer.model.layout import STREAMS
from trainer.model.modulation import PARTS, BlockModulation, lookup, modulate
from trainer.model.norms import QKNorm, layer_norm
from trainer.model.rope import rotate

SHARED = ("shared",)
"""The one buffer and weight set of a model whose streams share their block weights."""


class Rows(NamedTuple):
    """What a block knows of a buffer's rows. rope: (R, 2, head_dim) float32. group: (R,) int64, row of the table.

    chunks: (C, 3) int32, runs of a group (`trainer.model.chunks`).
    """

    rope: torch.Tensor
    group: torch.Tensor
    chunks: torch.Tensor


class StreamBlock(nn.Module):
    """The weights of one stream in one block, without its AdaLN: 6 d^2 + 6 d + 2 head_dim parameters when ffn = d."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.qkv = nn.Linear(width, 3 * width)
        self.norm_qk = QKNorm(config.head_dim)
        self.out = nn.Linear(width, width)
        self.ffn_in = nn.Linear(width, config.ffn)
        self.ffn_out = nn.Linear(config.ffn, width)

    def before(self, x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, rope: torch.Tensor) -> Heads:
        """Tokens (R, width) -> q and k, (R, 2, heads, head_dim), normed, then rotated, in fp32; v has no 2."""
        tokens = modulate(layer_norm(x), shift, scale).to(x.dtype)
        width = x.shape[-1]
        qk, v = self.qkv(tokens).split([2 * width, width], dim=-1)
        normed = self.norm_qk(qk.unflatten(-1, (2, self.heads, -1)))
        return rotate(normed, rope).to(v.dtype), v.unflatten(-1, (self.heads, -1))

    def after(self, x: torch.Tensor, attended: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Both residual branches, behind their gates; parts: gate of attention, then shift, scale, gate of the FFN."""
        gate_attention, shift, scale, gate_ffn = parts
        x = x + (gate_attention * self.out(attended)).to(x.dtype)
        tokens = modulate(layer_norm(x), shift, scale).to(x.dtype)
        return x + (gate_ffn * self.ffn_out(functional.gelu(self.ffn_in(tokens), approximate="tanh"))).to(x.dtype)


class JointBlock(nn.Module):
    """Scale and norm per stream, one attention over all, then residual and FFN per stream (paper figure 2).

    `modulation` belongs to the block and runs outside of it (see there). runner: `run` as it was wrapped from outside:
    compiled, or without keeping its activations (`trainer/parallel.py`).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.modulation = BlockModulation(config.width, config.modulation_rank)
        names = SHARED if config.shared else STREAMS
        self.streams = nn.ModuleDict({name: StreamBlock(config) for name in names})
        self.runner: Callable[..., list[torch.Tensor]] | None = None

    def forward(
        self,
        tokens: Sequence[torch.Tensor],
        tables: Sequence[torch.Tensor],
        rows: Sequence[Rows],
        meeting: Meeting,
    ) -> list[torch.Tensor]:
        """tokens: per buffer (R_s, width); tables: per buffer (G, 6 * width) float32. Returns buffers like `tokens`.

        The buffers are the four streams, or all of them as one (`ModelConfig.shared`). The identity at the start,
        because the gates are zero.
        """
        return (self.runner or self.run)(tokens, tables, rows, meeting)

    def run(
        self,
        tokens: Sequence[torch.Tensor],
        tables: Sequence[torch.Tensor],
        rows: Sequence[Rows],
        meeting: Meeting,
    ) -> list[torch.Tensor]:
        """What `forward` does, free of the hooks of a module."""
        blocks: list[StreamBlock] = list(self.streams.values())  # type: ignore[arg-type]
        parts = [lookup(table, row.group, PARTS) for table, row in zip(tables, rows)]
        heads = [
            block.before(x, part[0], part[1], row.rope) for block, x, part, row in zip(blocks, tokens, parts, rows)
        ]
        attended = omni_attention(heads, meeting)
        return [block.after(x, a, part[2:]) for block, x, a, part in zip(blocks, tokens, attended, parts)]
