"""A joint block with its elementwise work in Triton kernels: the same function of the same weights as `JointBlock.run`.

A product's bias is added by the kernel that reads the product, whose backward pass then sums the bias's gradient on its
way. AdaLN's rows are read where they are used, never laid out per token.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from trainer.model.attention import Meeting, in_order, spread
from trainer.model.block import JointBlock, Rows, StreamBlock
from trainer.model.exchange import heads_to_rows, rows_to_heads
from trainer.model.fused.columns import add, gelu
from trainer.model.fused.heads import Source, to_heads
from trainer.model.fused.norm import add_norm_modulate, norm_modulate
from trainer.model.fused.product import Input, casts, times
from trainer.model.kernels import attend
from trainer.model.modulation import PARTS


def run_fused(
    block: JointBlock,
    tokens: Sequence[torch.Tensor],
    tables: Sequence[torch.Tensor],
    rows: Sequence[Rows],
    meeting: Meeting,
) -> list[torch.Tensor]:
    """See `JointBlock.forward`."""
    streams: list[StreamBlock] = list(block.streams.values())  # type: ignore[arg-type]
    parts = [table.split(table.shape[1] // PARTS, dim=1) for table in tables]
    entered = [
        norm_modulate(x, part[0], part[1], row, casts(stream.qkv, len(x)))
        for stream, x, part, row in zip(streams, tokens, parts, rows)
    ]
    sources = [
        Source(*times(stream.qkv, y), stream.norm_qk.weight, row.rope, place, row.chunks)
        for stream, (_, y), row, place in zip(streams, entered, rows, meeting.place)
    ]
    attended = _attend(sources, streams[0].heads, [len(x) for x in tokens], meeting)
    return [
        _after(stream, x, a, part[2:], row)
        for stream, (x, _), a, part, row in zip(streams, entered, attended, parts, rows)
    ]


def _after(
    stream: StreamBlock, x: torch.Tensor, attended: torch.Tensor, parts: Sequence[torch.Tensor], row: Rows
) -> torch.Tensor:
    gate_attention, shift, scale, gate_ffn = parts
    if type(stream.out) is not nn.Linear:  # float8 contracts rows, of which all together are a multiple of 16
        attended = functional.pad(attended, (0, 0, 0, len(x) - len(attended)))
    branch, count = times(stream.out, Input(attended)), len(x)
    x, y = add_norm_modulate(x, branch, gate_attention, shift, scale, row, casts(stream.ffn_in, count))
    bent = gelu(times(stream.ffn_in, y), row, casts(stream.ffn_out, count))
    return add(x, times(stream.ffn_out, bent), gate_ffn, row)


def _attend(sources: Sequence[Source], heads: int, counts: Sequence[int], meeting: Meeting) -> list[torch.Tensor]:
    """Per buffer (M_s, width): of all its rows, or of the documents' where they come first."""
    if meeting.context is not None:
        return _attend_together(sources, heads, counts, meeting)
    q, k, v = to_heads(sources, meeting.rows, heads)
    out = attend(q, k, v, meeting.segments, meeting.kernel).flatten(1)
    if meeting.order is None:
        return [out]
    places = torch.cat([source.place for source in sources])  # type: ignore[misc]
    return list(_Spread.apply(out, places, meeting.order).split(counts))


def _attend_together(
    sources: Sequence[Source], heads: int, counts: Sequence[int], meeting: Meeting
) -> list[torch.Tensor]:
    """The same where several processes share the rows."""
    assert meeting.context is not None
    mine = torch.stack(to_heads(sources, sum(counts), heads), dim=1)
    q, k, v = in_order(rows_to_heads(mine, meeting.context), meeting).unbind(1)
    out = attend(q, k, v, meeting.segments, meeting.kernel)
    whole = spread(out, sum(counts) * meeting.context.size, meeting)
    return list(heads_to_rows(whole, meeting.context).flatten(1).split(counts))


class _Spread(torch.autograd.Function):
    """Rows (N, W) of the documents to the rows of the buffers, by their places (R,); in a pad stands what nobody reads.

    order: (N,) int64, the rows that have a place; so the gradient needs no adding.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, places: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(order)
        return x.index_select(0, places.clamp_min(0)) if len(x) else x.new_zeros(len(places), x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        (order,) = ctx.saved_tensors
        return gradient.index_select(0, order), None, None
