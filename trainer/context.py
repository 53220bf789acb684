"""One process's rows of a micro-batch that several processes share (context parallelism)."""

from dataclasses import replace

import torch

from trainer.model.chunks import buffer_chunks
from trainer.packing import PackedBatch, Targets


def split_rows(batch: PackedBatch, rank: int, size: int) -> PackedBatch:
    """The rows of process `rank` of `size`: of every stream an equal, contiguous share, never of the concatenation.

    lengths stay those of whole documents; `order` points into the rows of all processes, process by process, as
    `trainer.model.exchange.rows_to_heads` lays them out. Raises ValueError when a stream's rows do not divide
    (`pack(..., multiple=size)` pads them).
    """
    if size == 1:
        return batch
    packed = batch.packed
    rows = [len(ids) for ids in packed.positions]
    if any(count % size for count in rows):
        raise ValueError(f"streams of {rows} rows do not divide among {size} processes: pack with multiple={size}")

    def mine(x: torch.Tensor) -> torch.Tensor:
        return x.chunk(size)[rank]

    group = tuple(mine(x) for x in packed.group)
    return PackedBatch(
        replace(
            packed,
            order=_gathered(packed.order, rows, size),
            transcript_row=_local(packed.transcript_row, rows[2] // size, rank),
            positions=tuple(mine(x) for x in packed.positions),
            group=group,
            chunks=buffer_chunks(group, len(packed.sigmas), None),
            video=mine(packed.video),
            audio=mine(packed.audio),
            video_text=mine(packed.video_text),
            audio_text=mine(packed.audio_text),
            video_text_kind=mine(packed.video_text_kind),
            audio_text_kind=mine(packed.audio_text_kind),
        ),
        _mine(batch.video, rank, size),
        _mine(batch.audio, rank, size),
        batch.documents,
    )


def _mine(targets: Targets, rank: int, size: int) -> Targets:
    return Targets(**{name: value.chunk(size)[rank] for name, value in vars(targets).items()})


def _gathered(order: torch.Tensor, rows: list[int], size: int) -> torch.Tensor:
    """Rows of the concatenated whole buffers, as rows of the processes' concatenated shares."""
    share = [count // size for count in rows]
    whole = torch.cat([torch.arange(count) for count in rows])
    local = torch.cat([torch.arange(count) % part if part else torch.arange(0) for count, part in zip(rows, share)])
    per_row = torch.repeat_interleave(torch.tensor(share), torch.tensor(rows))
    starts = torch.tensor([sum(share[:stream]) for stream in range(len(share))])
    base = torch.repeat_interleave(starts, torch.tensor(rows))
    return (whole // per_row * sum(share) + base + local)[order]


def _local(rows: torch.Tensor, share: int, rank: int) -> torch.Tensor:
    """Rows as rows of this process's share; -1 for those of others."""
    here = rows - rank * share
    return torch.where((here >= 0) & (here < share), here, -1)
