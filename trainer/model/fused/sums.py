"""What the backward kernels leave per chunk, added up: by noise level for AdaLN, over everything for a bias."""

import torch


def by_group(sums: torch.Tensor, chunks: torch.Tensor, groups: int) -> torch.Tensor:
    """Sums of chunks (C, ..., W) float32 -> of groups (groups, ..., W): a product, with the same bits on every run."""
    members = (torch.arange(groups, device=chunks.device)[:, None] == chunks[:, 2]).float()
    with torch.autocast(sums.device.type, enabled=False):
        return (members @ sums.flatten(1)).unflatten(1, sums.shape[1:])


def over_all(sums: torch.Tensor, like: torch.Tensor | None) -> torch.Tensor | None:
    """Sums of chunks (C, W) -> (W,) in the dtype of `like`, None where there is no such parameter."""
    return None if like is None else sums.sum(0).to(like.dtype)
