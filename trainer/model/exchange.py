"""Context parallelism after Ulysses (Jacobs et al. 2023): rows are split among processes, heads while they attend."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed._functional_collectives import all_to_all_single_autograd


@dataclass(frozen=True)
class Context:
    """The processes that share the rows of the same documents. size: how many; heads must be a multiple of it."""

    group: dist.ProcessGroup
    size: int
    rank: int


def rows_to_heads(x: torch.Tensor, context: Context) -> torch.Tensor:
    """(R, k, heads, head_dim) of these rows -> (size * R, k, heads / size, head_dim): all rows, a share of the heads.

    Rows come process by process, so R must be equal everywhere.
    """
    shares = x.unflatten(2, (context.size, -1)).movedim(2, 0).contiguous()
    return _swap(shares, context).flatten(0, 1)


def heads_to_rows(x: torch.Tensor, context: Context) -> torch.Tensor:
    """The way back: (size * R, heads / size, head_dim) -> (R, heads, head_dim)."""
    mine = _swap(x.unflatten(0, (context.size, -1)).contiguous(), context)
    return mine.movedim(0, 1).flatten(1, 2)


def _swap(x: torch.Tensor, context: Context) -> torch.Tensor:
    """Slice i of the first axis goes to process i of the group; slice i of the result came from it."""
    return all_to_all_single_autograd(x, None, None, context.group).reshape(x.shape)
