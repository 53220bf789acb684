"""Attention written out, in float32: what every other kernel is compared with. Deterministic everywhere."""

import torch

from trainer.model.kernels.dense import PerDocument, Three


def _one(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scores = _scores(q, k)
    logs = scores.logsumexp(-1)
    return ((scores - logs[..., None]).exp() @ v.float()).to(v.dtype), logs


def _one_backward(
    gradient: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, logs: torch.Tensor
) -> Three:
    """With P = softmax(S): dV = P' dO, dS = P (dO V' - sum(dO O)), dQ = dS K / sqrt(d), dK = dS' Q / sqrt(d)."""
    weights, g = (_scores(q, k) - logs[..., None]).exp(), gradient.float()
    inner = g @ v.float().mT - (g * out.float()).sum(-1, keepdim=True)
    scores = weights * inner * q.shape[-1] ** -0.5
    return (scores @ k.float()).to(q.dtype), (scores.mT @ q.float()).to(k.dtype), (weights.mT @ g).to(v.dtype)


def _scores(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return q.float() @ k.float().mT * q.shape[-1] ** -0.5


KERNEL = PerDocument(_one, _one_backward)
