"""One joint block: four streams, each with weights of its own, that meet in one attention."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from trainer.model.attention import omni_attention
from trainer.model.config import ModelConfig
from trainer.model.layout import STREAMS, Packed
from trainer.model.modulation import Modulation, modulate
from trainer.model.norms import QKNorm, layer_norm
from trainer.model.rope import rotate

Heads = tuple[torch.Tensor, torch.Tensor]


class StreamBlock(nn.Module):
    """The weights of one stream in one block: 12 d^2 + 12 d + 2 head_dim parameters when ffn = d and AdaLN is full."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.modulation = Modulation(width, 6, config.modulation_rank)
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
    """Scale and norm per stream, one attention over all, then residual and FFN per stream (paper figure 2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({name: StreamBlock(config) for name in STREAMS})

    def forward(
        self,
        tokens: Sequence[torch.Tensor],
        condition: torch.Tensor,
        members: Sequence[torch.Tensor],
        rope: Sequence[torch.Tensor],
        packed: Packed,
    ) -> list[torch.Tensor]:
        """tokens: 4 x (R_s, width); condition: (G, width); members: 4 x (R_s, G); rope: 4 x (R_s, 2, head_dim).

        Returns 4 x (R_s, width).

        The identity at the start, because the gates are zero.
        """
        blocks: Mapping[str, StreamBlock] = dict(self.streams.items())  # type: ignore[arg-type]
        parts = [blocks[name].modulation(condition, members[i]) for i, name in enumerate(STREAMS)]
        heads = [blocks[name].before(tokens[i], parts[i][0], parts[i][1], rope[i]) for i, name in enumerate(STREAMS)]
        attended = omni_attention(heads, packed.order, packed.document_lengths)
        return [blocks[name].after(tokens[i], attended[i], parts[i][2:]) for i, name in enumerate(STREAMS)]
