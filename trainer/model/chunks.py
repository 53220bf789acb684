"""Rows cut into short runs of one noise level: what a kernel sums up alone when AdaLN's gradients are made."""

from collections.abc import Sequence

import torch

CHUNK = 32
"""Most rows of a chunk: enough chunks to fill a GPU at 9,000 rows, few enough that their sums are little traffic."""


def chunks_of(group: torch.Tensor) -> torch.Tensor:
    """(R,) int64 groups on the CPU -> (C, 3) int32 of (first row, row after the last, group), in order.

    Every row is in one chunk; the rows of a chunk share their group.
    """
    values, counts = torch.unique_consecutive(group, return_counts=True)
    pieces = (counts + CHUNK - 1) // CHUNK
    run = torch.repeat_interleave(torch.arange(len(values)), pieces)
    ends = counts.cumsum(0)
    within = torch.arange(len(run)) - torch.repeat_interleave(pieces.cumsum(0) - pieces, pieces)
    first = (ends - counts)[run] + within * CHUNK
    last = torch.minimum(first + CHUNK, ends[run])
    return torch.stack([first, last, values[run]], dim=1).int()


def buffer_chunks(groups: Sequence[torch.Tensor], levels: int, order: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    """`Packed.chunks` of these groups of the four streams' rows, of `levels` noise levels.

    order: of the rows where all streams are one buffer; None where they lie stream by stream.
    """
    one = torch.cat(shifted(groups, levels))
    return *(chunks_of(group) for group in groups), chunks_of(one if order is None else one[order])


def shifted(groups: Sequence[torch.Tensor], levels: int) -> list[torch.Tensor]:
    """Groups of the streams' rows as rows of all their tables, which are laid one after the other."""
    return [group + levels * stream for stream, group in enumerate(groups)]
