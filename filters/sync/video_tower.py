"""Synchformer's video tower: 16 frames of 224 x 224 to 8 features, one for two frames (Iashin 2024, section 3)."""

import torch
from torch import Tensor, nn

from filters.sync.aggregation import Aggregation
from filters.sync.divided_attention import EPS, DividedBlock

PATCH, FRAMES_A_STEP = 16, 2
STEPS, PLACES = 8, 14 * 14


class _Patches(nn.Module):
    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.proj = conv


class VideoTower(nn.Module):
    """Tokens of 2 x 16 x 16 pixels through divided attention, then one feature a step."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + PLACES, dim))
        self.temp_embed = nn.Parameter(torch.zeros(1, STEPS, dim))
        self.patch_embed = _Patches(nn.Conv2d(3, dim, PATCH, PATCH))  # in the checkpoint; used by nothing
        size = (FRAMES_A_STEP, PATCH, PATCH)
        self.patch_embed_3d = _Patches(nn.Conv3d(3, dim, size, size))
        self.blocks = nn.ModuleList(DividedBlock(dim, heads, 4 * dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.spatial_attn_agg = Aggregation(dim, heads, 4 * dim)

    def embed(self, pixels: Tensor) -> Tensor:
        """pixels: (b, 16, 3, 224, 224) in [-1, 1] -> tokens (b, 1569, dim), CLS first, positions added."""
        patches = self.patch_embed_3d.proj(pixels.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)
        placed = patches + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(pixels), -1, -1)
        return torch.cat([first, placed.flatten(1, 2)], 1)

    def trunk(self, tokens: Tensor) -> Tensor:
        """All blocks: (b, 1569, dim) -> the same shape."""
        for block in self.blocks:
            tokens = block(tokens, STEPS)
        return tokens

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (b, 16, 3, 224, 224) in [-1, 1] -> (b, 8, dim)."""
        patches = self.norm(self.trunk(self.embed(pixels))[:, 1:])
        steps = self.spatial_attn_agg(patches.unflatten(1, (STEPS, -1)).flatten(0, 1))
        return steps.unflatten(0, (-1, STEPS))
