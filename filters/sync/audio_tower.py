"""Synchformer's audio tower: 0.64 s of mel spectrogram to 6 features (an AST of transformers' parameter names)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.sync.aggregation import Aggregation

PATCH, STRIDE = 16, 10
BANDS, STEPS = 12, 6
_EPS = 1e-12


class _Module(nn.Module):
    """A name in the checkpoint's tree: its parts are its attributes."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)


class _Embeddings(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + BANDS * STEPS, dim))
        self.patch_embeddings = _Module(projection=nn.Conv2d(1, dim, PATCH, STRIDE))

    def forward(self, mel: Tensor) -> Tensor:
        patches = self.patch_embeddings.projection(mel).flatten(2).transpose(1, 2)
        two = torch.cat([self.cls_token, self.distillation_token], 1).expand(len(mel), -1, -1)
        return torch.cat([two, patches], 1) + self.position_embeddings


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        three = {name: nn.Linear(dim, dim) for name in ("query", "key", "value")}
        self.attention = _Module(attention=_Module(**three), output=_Module(dense=nn.Linear(dim, dim)))
        self.intermediate = _Module(dense=nn.Linear(dim, hidden))
        self.output = _Module(dense=nn.Linear(hidden, dim))
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(dim, eps=_EPS), nn.LayerNorm(dim, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        seen, three = self.layernorm_before(x), self.attention.attention
        split = [part(seen).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in three.children()]
        found = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        x = x + self.attention.output.dense(found)
        return x + self.output.dense(F.gelu(self.intermediate.dense(self.layernorm_after(x))))


class AudioTower(nn.Module):
    """Patches of 16 x 16 of the spectrogram, stride 10, through a transformer, then one feature a step of time."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        layers = nn.ModuleList(_Layer(dim, heads, 4 * dim) for _ in range(depth))
        self.ast = _Module(
            embeddings=_Embeddings(dim), encoder=_Module(layer=layers), layernorm=nn.LayerNorm(dim, eps=_EPS)
        )
        self.freq_attn_agg = Aggregation(dim, heads, 4 * dim)

    def embed(self, mel: Tensor) -> Tensor:
        """mel: (b, 1, 128, 66), normalised -> tokens (b, 74, dim): CLS, distillation, bands slowest."""
        return self.ast.embeddings(mel)

    def trunk(self, tokens: Tensor) -> Tensor:
        """All layers and the last norm: (b, 74, dim) -> the same shape."""
        for layer in self.ast.encoder.layer:
            tokens = layer(tokens)
        return self.ast.layernorm(tokens)

    def forward(self, mel: Tensor) -> Tensor:
        """mel: (b, 1, 128, 66), normalised -> (b, 6, dim)."""
        patches = self.trunk(self.embed(mel))[:, 2:].unflatten(1, (BANDS, STEPS)).transpose(1, 2)
        return self.freq_attn_agg(patches.flatten(0, 1)).unflatten(0, (-1, STEPS))
