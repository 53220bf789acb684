"""Divided space-time attention, the blocks of Synchformer's video tower (MotionFormer; Bertasius 2021)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.mlp import Mlp

EPS = 1e-6


class DividedAttention(nn.Module):
    """Attention in which a patch sees CLS and the patches of its place (over time) or of its frame (over space).

    CLS sees every token.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, times: int, over_time: bool) -> Tensor:
        """x: (b, 1 + times * places, dim), time slowest -> the same shape."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        first = F.scaled_dot_product_attention(query[:, :, :1], key, value)
        groups = [_grouped(part[:, :, 1:], times, over_time) for part in (query, key, value)]
        keys, values = (_after(part[:, :, :1], group) for part, group in zip((key, value), groups[1:]))
        rest = F.scaled_dot_product_attention(groups[0], keys, values)
        rest = rest.transpose(2, 3).flatten(2, 3) if over_time else rest.flatten(2, 3)
        return self.proj(torch.cat([first, rest], 2).transpose(1, 2).flatten(2))


def _grouped(patches: Tensor, times: int, over_time: bool) -> Tensor:
    """(b, heads, times * places, d) -> (b, heads, groups, members, d): a group is one place or one time."""
    grid = patches.unflatten(2, (times, -1))
    return grid.transpose(2, 3) if over_time else grid


def _after(first: Tensor, groups: Tensor) -> Tensor:
    """CLS before the members of every group."""
    return torch.cat([first.unsqueeze(2).expand(-1, -1, groups.shape[2], -1, -1), groups], 3)


class DividedBlock(nn.Module):
    """Attention over time, attention over space, MLP: each pre-norm and residual."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim, eps=EPS) for _ in range(3))
        self.attn, self.timeattn = DividedAttention(dim, heads), DividedAttention(dim, heads)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Tensor, times: int) -> Tensor:
        """x: (b, 1 + times * places, dim) -> the same shape."""
        x = x + self.timeattn(self.norm3(x), times, over_time=True)
        x = x + self.attn(self.norm1(x), times, over_time=False)
        return x + self.mlp(self.norm2(x))
