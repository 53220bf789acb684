"""A joint block with its elementwise work in Triton kernels: the same function of the same weights as `JointBlock.run`.

A product's bias is added by the kernel that reads the product, whose backward pass then sums the bias's gradient on its
way. AdaLN's rows are read where they are used, never laid out per token.
"""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.model.attention import Meeting, in_order, spread
from trainer.model.block import JointBlock, Rows, StreamBlock
from trainer.model.exchange import heads_to_rows, rows_to_heads
from trainer.model.fused.columns import add, gelu
from trainer.model.fused.grouped import times_each
from trainer.model.fused.heads import Source, to_heads
from trainer.model.fused.norm import add_norm_modulate, norm_modulate
from trainer.model.fused.product import Input, casts
from trainer.model.kernels import attend
from trainer.model.modulation import PARTS


def run_fused(
    block: JointBlock,
    together: bool,
    tokens: Sequence[torch.Tensor],
    tables: Sequence[torch.Tensor],
    rows: Sequence[Rows],
    meeting: Meeting,
) -> list[torch.Tensor]:
    """See `JointBlock.forward`. together: products of the three streams beside the video in one launch."""
    streams: list[StreamBlock] = list(block.streams.values())  # type: ignore[arg-type]
    parts = [table.split(table.shape[1] // PARTS, dim=1) for table in tables]
    entered = [
        norm_modulate(x, part[0], part[1], row, casts(stream.qkv, len(x)))
        for stream, x, part, row in zip(streams, tokens, parts, rows)
    ]
    made = times_each([stream.qkv for stream in streams], [y for _, y in entered], together)
    sources = [
        Source(*product, stream.norm_qk.weight, row.rope, place, row.chunks)
        for stream, product, row, place in zip(streams, made, rows, meeting.place)
    ]
    attended = _attend(sources, streams[0].heads, [len(x) for x in tokens], meeting)
    return _after(streams, [x for x, _ in entered], attended, [part[2:] for part in parts], rows, together)


def _after(
    streams: Sequence[StreamBlock],
    tokens: Sequence[torch.Tensor],
    attended: Sequence[torch.Tensor],
    parts: Sequence[Sequence[torch.Tensor]],
    rows: Sequence[Rows],
    together: bool,
) -> list[torch.Tensor]:
    """Both residual branches. parts: gate of attention, then shift, scale, gate of the FFN."""
    given = [Input(a, None, len(x)) for a, x in zip(attended, tokens)]
    branches = times_each([stream.out for stream in streams], given, together)
    joined = [
        add_norm_modulate(x, branch, part[0], part[1], part[2], row, casts(stream.ffn_in, len(x)))
        for stream, x, branch, part, row in zip(streams, tokens, branches, parts, rows)
    ]
    wide = times_each([stream.ffn_in for stream in streams], [y for _, y in joined], together)
    bent = [gelu(made, row, casts(stream.ffn_out, len(x))) for stream, x, made, row in zip(streams, tokens, wide, rows)]
    made = times_each([stream.ffn_out for stream in streams], bent, together)
    return [add(x, product, part[3], row) for (x, _), product, part, row in zip(joined, made, parts, rows)]


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
