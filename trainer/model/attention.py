"""Omni-Full Attention (paper equations 3-6): one softmax over a document's tokens of all four streams."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from trainer.model.exchange import Context, heads_to_rows, rows_to_heads
from trainer.model.kernels import attend

Heads = tuple[torch.Tensor, torch.Tensor]
"""q and k of a buffer, (R, 2, heads, head_dim), and its v, (R, heads, head_dim)."""


class Meeting(NamedTuple):
    """Who attends to whom. rows: N, tokens of all documents together.

    order: (N,) int64, those rows of the concatenated buffers (of all processes of a context), document by document;
    None where the one buffer has them in this order already, pads last. segments: (D,) int64 on the CPU, tokens of each
    document: the host needs them, and reading them never waits for the device. kernel: one of
    `trainer.model.kernels.KERNELS`. context: the processes that share the rows, if any. place: per buffer, for
    `trainer/model/fused` only: (R_s,) int32, where its rows go, -1 for pads; None: where they lie.
    """

    rows: int
    order: torch.Tensor | None
    segments: torch.Tensor
    kernel: str
    context: Context | None = None
    place: tuple[torch.Tensor | None, ...] = (None,)


def omni_attention(heads: Sequence[Heads], meeting: Meeting) -> list[torch.Tensor]:
    """Attend within each document. Returns, per buffer of `heads`, (R_s, width).

    Rows in no document (pads) get zeros and no gradient.
    """
    counts = [v.shape[0] for _, v in heads]
    qk, v = (torch.cat([stream[i] for stream in heads]) for i in range(2))
    if meeting.context is not None:
        both = rows_to_heads(torch.cat([qk, v[:, None]], dim=1), meeting.context)
        qk, v = both[:, :2], both[:, 2]
    q, k = in_order(qk, meeting).unbind(1)
    out = attend(q, k, in_order(v, meeting), meeting.segments, meeting.kernel)
    whole = spread(out, v.shape[0], meeting)
    if meeting.context is not None:
        whole = heads_to_rows(whole, meeting.context)
    return list(whole.flatten(1).split(counts))


def in_order(x: torch.Tensor, meeting: Meeting) -> torch.Tensor:
    """The documents' rows (N, ...) of the buffers' rows (R, ...)."""
    return x[: meeting.rows] if meeting.order is None else gather_rows(x, meeting.order)


def spread(x: torch.Tensor, total: int, meeting: Meeting) -> torch.Tensor:
    """The way back: (N, ...) to (total, ...), zeros in the pads."""
    if meeting.order is None:
        return torch.cat([x, x.new_zeros(total - meeting.rows, *x.shape[1:])])
    return x.new_zeros(total, *x.shape[1:]).index_copy(0, meeting.order, x)


def gather_rows(x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """x[order] for an `order` (N,) without repeats. x: (R, ...)."""
    return _Gather.apply(x, order)  # type: ignore[no-any-return]


class _Gather(torch.autograd.Function):
    """Without repeats, the gradient is a plain copy to the rows: no adding, and the same bits on every run."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(order)
        ctx.rows = x.shape[0]
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (order,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.rows, *gradient.shape[1:]).index_copy(0, order, gradient), None
