"""How the noise level speaks to the tokens: an embedding of sigma and AdaLN (DiT; SD3), all in fp32."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from trainer.model.layout import STREAMS

FREQUENCIES = 256
PARTS = 6
"""Vectors of one stream in one block: shift, scale, gate of attention, then of the feed-forward."""


class SigmaEmbedding(nn.Module):
    """sigma -> a vector: 256 sinusoids of 1,000 sigma, then Linear, SiLU, Linear (as in DiT and SD3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(FREQUENCIES, width)
        self.outer = nn.Linear(width, width)

    def forward(self, sigmas: torch.Tensor) -> torch.Tensor:
        """(G,) in [0, 1] -> (G, width), already through the SiLU that every AdaLN applies first."""
        with _exact(sigmas):
            return self._embed(sigmas)

    def _embed(self, sigmas: torch.Tensor) -> torch.Tensor:
        half = FREQUENCIES // 2
        scale = torch.exp(torch.arange(half, device=sigmas.device) * (-math.log(10_000) / half))
        angles = 1000.0 * sigmas.float()[:, None] * scale
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.inner.weight.dtype)
        return functional.silu(self.outer(functional.silu(self.inner(waves))))


class Modulation(nn.Module):
    """AdaLN: `parts` vectors of `width` per sigma group, zero at the start. rank: None for one full matrix."""

    def __init__(self, width: int, parts: int, rank: int | None) -> None:
        super().__init__()
        self.parts = parts
        self.down = nn.Identity() if rank is None else nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(width if rank is None else rank, parts * width)

    def forward(self, condition: torch.Tensor) -> torch.Tensor:
        """Condition (G, width) -> table (G, parts * width), float32: the matrix works on the few groups only."""
        with _exact(condition):
            return self.up(self.down(condition.to(self.up.weight.dtype))).float()


class BlockModulation(nn.ModuleDict):
    """The AdaLN of one block, a `Modulation` of its own for each stream.

    It runs before the blocks, not in them: its weights are half of the 26 billion and serve a few vectors a document,
    so they can stay where they are (`trainer/modulation_rows.py`) and are not computed again with the activations.
    """

    def __init__(self, width: int, rank: int | None) -> None:
        super().__init__({name: Modulation(width, PARTS, rank) for name in STREAMS})

    def forward(self, condition: torch.Tensor) -> list[torch.Tensor]:
        """Condition (G, width) -> 4 x (G, 6 * width), float32."""
        return [self[name](condition) for name in STREAMS]


def lookup(table: torch.Tensor, group: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
    """Rows of a table (G, parts * width) by group (R,) int64: `parts` tensors (R, width), float32."""
    return tuple(_Lookup.apply(part, group) for part in table.chunk(parts, dim=-1))


class _Lookup(torch.autograd.Function):
    """table[group], whose gradient is a product with the one-hot matrix of the groups.

    The scatter-add that indexing has for a gradient is several times slower on a CPU and not deterministic on a GPU.
    """

    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(group)
        ctx.groups = table.shape[0]
        return table.index_select(0, group)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (group,) = ctx.saved_tensors
        members = torch.arange(ctx.groups, device=group.device)[:, None] == group
        with _exact(gradient):
            return members.to(gradient.dtype) @ gradient, None


def _exact(x: torch.Tensor) -> torch.autocast:
    """No autocast: modulation is computed in the dtype of its weights, float32 in training."""
    return torch.autocast(x.device.type, enabled=False)


def modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x * (1 + scale) + shift, all (R, width) float32."""
    return torch.addcmul(shift, x, 1 + scale)
