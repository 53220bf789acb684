"""Gradients of sharded parameters: their global norm and what clips it, on local shards, without a wait."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's shard, sharing its memory; the tensor itself where it is not sharded. Call it under no_grad."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gradients(parameters: Iterable[nn.Parameter]) -> list[torch.Tensor]:
    """The gradients of all parameters that train, in their order.

    Parameters that got none (the text rows of the last block reach no loss) get zeros, so that the optimizer treats
    every parameter alike, on every rank and after every resume.
    """
    found = []
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            found.append(parameter.grad)
    return found


@torch.no_grad()
def global_norm(grads: Sequence[torch.Tensor]) -> torch.Tensor:
    """The 2-norm of all of them over all shards, a scalar on the device; the same on every rank.

    Tensors are added up by how they are sharded: squares over the ranks that hold different rows, once over replicas.
    """
    kinds: dict[tuple[dist.ProcessGroup, ...], list[torch.Tensor]] = defaultdict(list)
    for grad in grads:
        kinds[shard_groups(grad)].append(local(grad))
    total = torch.zeros((), device=grads[0].device)
    for groups, pieces in kinds.items():
        square = nn.utils.get_total_norm(pieces).float().square()
        for group in groups:
            dist.all_reduce(square, group=group)
        total += square
    return total.sqrt()


def clipping(norm: torch.Tensor, most: float) -> torch.Tensor:
    """What gradients of the global norm `norm` are multiplied by for one of at most `most`; a scalar on their device.

    The optimizer does it as it reads them: our AdamW writes them no more, torch's writes them and Muon copies them.
    """
    return (most / (norm + 1e-6)).clamp(max=1.0)


def shard_groups(tensor: torch.Tensor) -> tuple[dist.ProcessGroup, ...]:
    """The process groups over which a tensor's shards lie; none for a tensor that every rank has whole."""
    if not isinstance(tensor, DTensor):
        return ()
    mesh = tensor.device_mesh
    return tuple(mesh.get_group(i) for i, placement in enumerate(tensor.placements) if placement.is_shard())
