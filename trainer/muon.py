"""Muon (Jordan et al. 2024): momentum whose singular values are made equal, for matrices that lie in shards.

Newton-Schulz needs whole matrices. Each process gets one matrix of a batch whole, works on it, and sends the rows back
(two all-to-alls): the work is shared out, not repeated on every process.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from manifests.errors import ConfigError
from trainer.gradients import local, shard_groups

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration in the authors' code: the steepest at zero; singular values end at about 0.7 .. 1.2."""
ITERATIONS = 5
RMS = 0.2
"""Of an update, as AdamW's (Liu et al. 2025, Muon is scalable for LLM training), so that it shares AdamW's rate."""

MATRICES = {".qkv.weight": 3, ".out.weight": 1, ".ffn_in.weight": 1, ".ffn_out.weight": 1}
"""By the end of their names, the matrices inside the blocks that every token passes, and the maps stacked in each.

AdaLN is not among them: a step gives it one row per noise level, and equal singular values would blow up the noise in
all other directions.
"""


class Piece(NamedTuple):
    """A parameter (gradient included), its momentum (sharded alike), and the maps stacked in its rows."""

    parameter: nn.Parameter
    momentum: torch.Tensor
    parts: int


def muon_parts(names: Iterable[str]) -> dict[str, int]:
    """The names that Muon moves, with their `Piece.parts`."""
    blocks = [name for name in names if name.startswith("blocks.")]
    return {name: parts for name in blocks for end, parts in MATRICES.items() if name.endswith(end)}


@torch.no_grad()
def momentum_step(
    pieces: Sequence[Piece], lr: float, decay: float, momentum: float, skip: torch.Tensor, factor: torch.Tensor
) -> None:
    """Move every piece by its orthogonal momentum (Nesterov), of gradients times `factor`; where `skip` is 1 nothing
    changes. Both are scalars on the device."""
    stay = skip > 0
    for batch in _batches(pieces):
        directions = []
        for piece in batch:
            grad, old = local(piece.parameter.grad) * factor, local(piece.momentum)  # type: ignore[arg-type]
            new = old.lerp(grad, 1 - momentum)
            directions.append(grad.lerp(new, momentum))
            old.copy_(torch.where(stay, old, new))
        for piece, update in zip(batch, _orthogonal(directions, batch[0]), strict=True):
            weights = local(piece.parameter)
            weights.mul_(1 - lr * decay * (1 - skip))
            weights.add_(torch.where(stay, 0.0, update.to(weights.dtype)), alpha=-lr)


def newton_schulz(matrix: torch.Tensor, parts: int) -> torch.Tensor:
    """U V^T of each of the `parts` maps stacked in a matrix (parts x R, C), roughly, times RMS sqrt(max(R, C)).

    An orthogonal matrix has entries of RMS 1 / sqrt(max(R, C)), so the result's is RMS whatever the shape.
    """
    a, b, c = COEFFICIENTS
    maps = matrix.unflatten(0, (parts, -1))
    rows, columns = maps.shape[1:]
    x = maps.mT if rows > columns else maps
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.mT if rows > columns else x
    return x.flatten(0, 1) * (RMS * math.sqrt(max(rows, columns)))


def _batches(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces of one shape, as many together as processes hold their rows."""
    shapes: dict[tuple[torch.Size, int], list[Piece]] = defaultdict(list)
    for piece in pieces:
        shapes[piece.parameter.shape, piece.parts].append(piece)
    for alike in shapes.values():
        size = dist.get_world_size(group) if (group := _rows_group(alike[0].parameter)) else 1
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _rows_group(parameter: torch.Tensor) -> dist.ProcessGroup | None:
    """The processes over which a parameter's rows lie; None for one that is whole here."""
    groups = shard_groups(parameter)
    if not groups:
        return None
    assert isinstance(parameter, DTensor)
    if len(groups) > 1 or not any(placement.is_shard(0) for placement in parameter.placements):
        raise ConfigError("optim:muon", f"Muon needs rows sharded over one mesh dimension, not {parameter.placements}")
    return groups[0]


def _orthogonal(shards: list[torch.Tensor], like: Piece) -> list[torch.Tensor]:
    """The `newton_schulz` of matrices of one shape from this process's rows of each: its rows of the results."""
    compute = torch.bfloat16 if shards[0].is_cuda else torch.float32
    shards = [shard.to(compute) for shard in shards]
    group = _rows_group(like.parameter)
    if group is None:
        return [newton_schulz(shard, like.parts) for shard in shards]
    size, whole = dist.get_world_size(group), like.parameter.shape
    mine = dist.get_rank(group) < len(shards)
    step = math.ceil(whole[0] / size)
    held = [max(0, min(step, whole[0] - rank * step)) * whole[1] for rank in range(size)]
    out, back = [s.numel() for s in shards] + [0] * (size - len(shards)), held if mine else [0] * size
    matrix = shards[0].new_empty(sum(back))
    dist.all_to_all_single(matrix, torch.cat([s.flatten() for s in shards]), back, out, group=group)
    if mine:
        matrix = newton_schulz(matrix.view(whole), like.parts).flatten()
    rows = shards[0].new_empty(sum(out))
    dist.all_to_all_single(rows, matrix, out, back, group=group)
    return [piece.view_as(s) for piece, s in zip(rows.split(out[: len(shards)]), shards, strict=True)]
