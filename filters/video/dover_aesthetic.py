"""DOVER's aesthetic branch: a ConvNeXt over 32 frames shrunk to 224 x 224 (Liu 2022, inflated along time; Wu 2023)."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.checkpoint import numbered

EPS = 1e-6


class _Norm(nn.LayerNorm):
    """Over the channels of (b, c, frames, rows, columns)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Block(nn.Module):
    def __init__(self, dim: int, frames: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.dwconv = nn.Conv3d(dim, dim, (frames, 7, 7), padding=(frames // 2, 3, 3), groups=dim)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.pwconv2(F.gelu(self.pwconv1(self.norm(self.dwconv(x).movedim(1, -1)))))
        return x + (self.gamma * inside).movedim(-1, 1)


class AestheticBranch(nn.Module):
    """Sizes are read from a state dict whose names begin where this module's do. Raises KeyError when they are not."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        stages = range(numbered(state, "stages"))
        dims = [state["downsample_layers.0.0.weight"].shape[0]]
        dims += [state[f"downsample_layers.{i}.1.weight"].shape[0] for i in stages[1:]]
        first = nn.Sequential(nn.Conv3d(3, dims[0], (2, 4, 4), (2, 4, 4)), _Norm(dims[0], eps=EPS))
        halves = [nn.Sequential(_Norm(a, eps=EPS), nn.Conv3d(a, b, (1, 2, 2), (1, 2, 2))) for a, b in pairwise(dims)]
        self.downsample_layers = nn.ModuleList([first, *halves])
        depths = [numbered(state, f"stages.{i}") for i in stages]
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(dims[i], state[f"stages.{i}.{j}.dwconv.weight"].shape[2]) for j in range(depths[i])))
            for i in stages
        )
        self.norm = _Norm(dims[-1], eps=EPS)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (b, 3, 32, 224, 224), normalised -> features (b, dim, 16, 7, 7)."""
        x = pixels
        for smaller, stage in zip(self.downsample_layers, self.stages):
            x = stage(smaller(x))
        return self.norm(x)
