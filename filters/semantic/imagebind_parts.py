"""The parts of an ImageBind tower, one class for all modalities: stem and positions, trunk, head, scale."""

from typing import Any

import torch
from torch import Tensor, nn

from filters.mlp import Mlp

EPS = 1e-6
CONTEXT = 77
"""Tokens of a text."""


class _Positions(nn.Module):
    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))


class _Stem(nn.Module):
    """A projection to patches, without bias, and a norm where there is one."""

    def __init__(self, proj: nn.Module, norm_dim: int | None) -> None:
        super().__init__()
        self.proj = proj
        if norm_dim is not None:
            self.norm_layer = nn.LayerNorm(norm_dim)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.proj(x).flatten(2).transpose(1, 2)
        return self.norm_layer(patches) if hasattr(self, "norm_layer") else patches


class Patches(nn.Module):
    """Media to tokens: the patches of a convolution after CLS, positions added. stem: its name in the checkpoint."""

    def __init__(self, stem: str, proj: nn.Module, dim: int, patches: int, norm: bool) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.stem = stem
        self.add_module(stem, _Stem(proj, dim if norm else None))
        self.pos_embedding_helper = _Positions(1 + patches, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, ...) -> (b, 1 + patches, dim)."""
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), getattr(self, self.stem)(x)], 1)
        return tokens + self.pos_embedding_helper.pos_embed


class Words(nn.Module):
    """Token ids to vectors, positions added. The mask (0 up to the own place, then -inf) is part of the checkpoint."""

    mask: Tensor

    def __init__(self, words: int, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, CONTEXT, dim))
        self.token_embedding = nn.Embedding(words, dim)
        self.register_buffer("mask", torch.zeros(CONTEXT, CONTEXT))

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, 77) int64 -> (b, 77, dim)."""
        return self.token_embedding(tokens) + self.pos_embed


class Motion(nn.Module):
    """The stem of inertial sensors, declared only."""

    def __init__(self, values: int, dim: int, tokens: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.imu_stem = _Stem(nn.Linear(values, dim, bias=False), dim)


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, extra_key: bool) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, add_bias_kv=extra_key, batch_first=True)
        self.norm_1, self.norm_2 = nn.LayerNorm(dim, eps=EPS), nn.LayerNorm(dim, eps=EPS)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        seen = self.norm_1(x)
        x = x + self.attn(seen, seen, seen, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.norm_2(x))


class Trunk(nn.Module):
    """Pre-norm blocks. extra_key: one learned key and value more in attention. norm_first: a norm before the blocks."""

    def __init__(self, dim: int, depth: int, heads: int, extra_key: bool, norm_first: bool = False) -> None:
        super().__init__()
        if norm_first:
            self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(dim, eps=EPS))
        self.blocks = nn.ModuleList(_Block(dim, heads, extra_key) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(b, tokens, dim) -> the same shape."""
        x = self.pre_transformer_layer(x) if hasattr(self, "pre_transformer_layer") else x
        for block in self.blocks:
            x = block(x, mask)
        return x


def head(dim: int, out: int, gap: int = 1) -> nn.Sequential:
    """Norm and projection of one token. gap: modules without weights between the two, in the checkpoint's numbering."""
    between = [nn.Identity() for _ in range(gap)]
    return nn.Sequential(nn.LayerNorm(dim, eps=EPS), *between, nn.Linear(dim, out, bias=False))


class Scale(nn.Module):
    """Multiplies by exp(`log_logit_scale`), at most 100."""

    log_logit_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_logit_scale", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> the same shape."""
        return self.log_logit_scale.exp().clamp(max=100) * x


class TextHead(nn.Module):
    """The head of texts, which the checkpoint keeps a level deeper."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.proj = head(dim, out, gap=0)

    def forward(self, x: Tensor) -> Tensor:
        """(b, dim) -> (b, out)."""
        return self.proj(x)


def scaled(modules: dict[str, Any]) -> nn.ModuleDict:
    """For each modality of `modules` but vision: unit length (no weights), then `Scale`."""
    return nn.ModuleDict({name: nn.Sequential(nn.Identity(), Scale()) for name in modules if name != "vision"})
