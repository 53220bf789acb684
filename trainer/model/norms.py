"""Normalisations with their statistics in fp32, whatever the dtype of the tokens."""

import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-6


def rms_norm(x: torch.Tensor) -> torch.Tensor:
    """x / rms(x) over the last axis: any float dtype in, float32 out."""
    return functional.rms_norm(x.float(), (x.shape[-1],), eps=EPSILON)


def layer_norm(x: torch.Tensor) -> torch.Tensor:
    """LayerNorm without affine parameters over the last axis (AdaLN supplies them): any float dtype in, float32 out."""
    return functional.layer_norm(x.float(), (x.shape[-1],), eps=EPSILON)


class QKNorm(nn.Module):
    """Affine RMSNorm of queries and of keys, each with weights of its own; returns float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, channels))

    def forward(self, qk: torch.Tensor) -> torch.Tensor:
        """(R, 2, heads, channels), queries first -> same shape, float32."""
        return rms_norm(qk) * self.weight.float()[:, None]
