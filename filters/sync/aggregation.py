"""A row of tokens made one: the transformer layer with a CLS of its own that ends both towers of Synchformer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Aggregation(nn.Module):
    """A pre-norm transformer encoder layer, of which only the CLS row is computed. Names as of torch's own layer."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """x: (b, tokens, dim) -> (b, dim)."""
        first = self.cls_token.expand(len(x), -1, -1)
        seen = self.norm1(torch.cat([first, x], 1))
        row = first + self.self_attn(seen[:, :1], seen, seen, need_weights=False)[0]
        row = row + self.linear2(F.gelu(self.linear1(self.norm2(row))))
        return row[:, 0]
