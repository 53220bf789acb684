"""Omni-Full Attention (paper equations 3-6): one softmax over a document's tokens of all four streams."""

from collections.abc import Sequence

import torch
from torch.nn import functional


def omni_attention(
    heads: Sequence[tuple[torch.Tensor, torch.Tensor]],
    order: torch.Tensor,
    document_lengths: tuple[int, ...],
) -> list[torch.Tensor]:
    """Attend within each document. heads: per stream q and k, (R_s, 2, heads, head_dim), and v, (R_s, heads, head_dim).

    Returns 4 x (R_s, width).

    order, document_lengths: see `Packed`. Rows in no document (pads) get zeros and no gradient.
    """
    rows = [v.shape[0] for _, v in heads]
    qk, v = (torch.cat([stream[i] for stream in heads]).index_select(0, order) for i in range(2))
    q, k = qk.unbind(1)
    out = attend_documents(q, k, v, document_lengths).flatten(1)
    spread = out.new_zeros(sum(rows), out.shape[1]).index_copy(0, order, out)
    return list(spread.split(rows))


def attend_documents(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
    """Full softmax attention inside each segment. (N, heads, head_dim) -> same; `lengths` are host integers.

    One dense call a document: the fastest kernels (cuDNN on H100, flash on CPU) take no packed batches.
    """
    if not lengths:
        return q + k + v  # no rows, but still a function of every weight, as FSDP2 needs
    segments = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
    return torch.cat([_attend(*segment) for segment in segments])


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1)
