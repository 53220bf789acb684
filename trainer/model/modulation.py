"""How the noise level speaks to the tokens: an embedding of sigma and AdaLN (DiT; SD3), all in fp32."""

import math

import torch
from torch import nn
from torch.nn import functional

FREQUENCIES = 256


class SigmaEmbedding(nn.Module):
    """sigma -> a vector: 256 sinusoids of 1,000 sigma, then Linear, SiLU, Linear (as in DiT and SD3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(FREQUENCIES, width)
        self.outer = nn.Linear(width, width)

    def forward(self, sigmas: torch.Tensor) -> torch.Tensor:
        """(G,) in [0, 1] -> (G, width), already through the SiLU that every AdaLN applies first."""
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

    def forward(self, condition: torch.Tensor, members: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Condition (G, width) and members (R, G), one-hot float32 -> `parts` tensors (R, width), float32.

        The matrix works on the few groups; rows only look their result up, by a product with `members`, whose
        backward is a product too (a scatter would be several times slower on a CPU, and not deterministic on a GPU).
        """
        per_group = self.up(self.down(condition)).float().chunk(self.parts, dim=-1)
        return tuple(members @ part for part in per_group)


def modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x * (1 + scale) + shift, all (R, width) float32."""
    return torch.addcmul(shift, x, 1 + scale)
