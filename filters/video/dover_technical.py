"""DOVER's technical branch: a Swin transformer over 32 frames made of fragments (Wu 2022, FAST-VQA; Liu 2022, Swin-3D).

Neighbouring pixels of a mosaic of fragments need not be neighbours in the picture, so attention has two tables of
position biases: one for pairs of tokens of the same fragment, one for others. The authors blend them by how many
fragments the two are apart, not by whether they are; the weights were trained so, and so it is done here.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.checkpoint import numbered

Size = tuple[int, int, int]
"""Frames, rows, columns, of tokens."""
WINDOW: Size = (8, 7, 7)
PATCH: Size = (2, 4, 4)
FRAGMENTS = 7
"""A side of the mosaic."""
MASKED = -100.0


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int, fragments: bool) -> None:
        super().__init__()
        self.heads = heads
        places = prod(2 * side - 1 for side in WINDOW)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(places, heads))
        if fragments:
            self.fragment_position_bias_table = nn.Parameter(torch.zeros(places, heads))
        tokens = prod(WINDOW)
        self.relative_position_index: Tensor
        self.register_buffer("relative_position_index", torch.zeros(tokens, tokens, dtype=torch.long))
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, windows: Tensor, apart: Tensor, hidden: Tensor | None) -> Tensor:
        """windows: (w, n, dim) of one clip; apart, hidden: as of `layout` -> the same shape."""
        bias = self._bias(apart.to(windows.dtype))
        if hidden is not None:
            bias = bias + MASKED * hidden[:, None].to(windows.dtype)
        query, key, value = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2).flatten(2))

    def _bias(self, apart: Tensor) -> Tensor:
        """apart: (w, n, n) -> (w or 1, heads, n, n)."""
        index = self.relative_position_index[: apart.shape[1], : apart.shape[1]]
        inside = self.relative_position_bias_table[index].permute(2, 0, 1)[None]
        if not hasattr(self, "fragment_position_bias_table"):
            return inside.expand(len(apart), -1, -1, -1)
        across = self.fragment_position_bias_table[index].permute(2, 0, 1)[None]
        return inside * apart[:, None] + across * (1 - apart[:, None])


class _Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, fragments: bool, shifted: bool) -> None:
        super().__init__()
        self.shifted = shifted
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = _Attention(dim, heads, fragments), _Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (b, frames, rows, columns, dim) of tokens -> the same shape."""
        x = x + torch.stack([self._attend(clip) for clip in self.norm1(x)])
        return x + self.mlp(self.norm2(x))

    def _attend(self, clip: Tensor) -> Tensor:
        size = (clip.shape[0], clip.shape[1], clip.shape[2])
        window, shift = fitted(size, self.shifted)
        apart, hidden = (part if part is None else part.to(clip.device) for part in layout(size, self.shifted))
        back = [-by for by in shift]
        attended = self.attn(split(clip.roll(back, (0, 1, 2)), window), apart, hidden)
        return joined(attended, window, size).roll(shift, (0, 1, 2))


class _Merge(nn.Module):
    """Four neighbouring tokens of a frame to one of twice the width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * dim), nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class _Layer(nn.Module):
    def __init__(self, dim: int, depth: int, heads: int, fragments: bool, last: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(dim, heads, fragments, bool(i % 2)) for i in range(depth))
        self.downsample = None if last else _Merge(dim)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _Patches(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv3d(3, dim, PATCH, PATCH), nn.LayerNorm(dim)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.proj(pixels).movedim(1, -1))


class TechnicalBranch(nn.Module):
    """Sizes are read from a state dict whose names begin where this module's do. Raises KeyError when they are not."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        dim = state["patch_embed.proj.weight"].shape[0]
        self.patch_embed = _Patches(dim)
        count = numbered(state, "layers")
        layers = []
        for i in range(count):
            first = f"layers.{i}.blocks.0.attn"
            heads = state[f"{first}.relative_position_bias_table"].shape[1]
            fragments = f"{first}.fragment_position_bias_table" in state
            layers.append(_Layer(dim << i, numbered(state, f"layers.{i}.blocks"), heads, fragments, i == count - 1))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(dim << (count - 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (b, 3, 32, 224, 224), normalised -> features (b, dim, 16, 7, 7)."""
        x = self.patch_embed(pixels)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).movedim(-1, 1)


def fitted(size: Size, shifted: bool) -> tuple[Size, Size]:
    """Window and shift for so many tokens: where a window holds the whole of an axis, nothing is shifted along it."""
    window = tuple(min(have, side) for have, side in zip(size, WINDOW))
    shift = tuple(side // 2 if shifted and have > side else 0 for have, side in zip(size, WINDOW))
    return window, shift  # type: ignore[return-value]


@lru_cache(maxsize=16)
def layout(size: Size, shifted: bool) -> tuple[Tensor, Tensor | None]:
    """Of each pair of tokens of each window, (w, n, n): how many fragments they are apart, rows plus columns (uint8);
    whether they must not see each other, since the shift brought them together (bool, None without a shift)."""
    window, shift = fitted(size, shifted)
    rows, columns = (torch.arange(have) * FRAGMENTS // have for have in size[1:])
    fragment = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).expand(*size, 2)
    there = split(fragment.roll([-by for by in shift], (0, 1, 2)), window).to(torch.int8)
    apart = (there[:, :, None] - there[:, None]).abs().sum(-1, dtype=torch.uint8)
    if not any(shift):
        return apart, None
    regions = [_regions(*axis) for axis in zip(size, window, shift)]
    region = regions[0][:, None, None] * 9 + regions[1][:, None] * 3 + regions[2]
    parts = split(region[..., None], window)[..., 0]
    return apart, parts[:, :, None] != parts[:, None]


def _regions(have: int, side: int, shift: int) -> Tensor:
    """What was neighbours before the shift has one number: 0, the last window's first part 1, what came around 2."""
    places = torch.arange(have)
    return (places >= have - side).long() + (places >= have - shift).long() if shift else torch.zeros(have).long()


def split(x: Tensor, window: Size) -> Tensor:
    """(frames, rows, columns, c) -> windows (w, n, c); every axis must hold whole windows."""
    frames, rows, columns, _ = x.shape
    counts = frames // window[0], rows // window[1], columns // window[2]
    cut = x.reshape(counts[0], window[0], counts[1], window[1], counts[2], window[2], -1)
    return cut.permute(0, 2, 4, 1, 3, 5, 6).reshape(prod(counts), prod(window), -1)


def joined(windows: Tensor, window: Size, size: Size) -> Tensor:
    """The inverse of `split`."""
    counts = [have // side for have, side in zip(size, window)]
    cut = windows.reshape(*counts, *window, -1)
    return cut.permute(0, 3, 1, 4, 2, 5, 6).reshape(*size, -1)
