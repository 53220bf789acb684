"""Processes and devices: who runs where, and how the model is sharded. The model itself knows none of this."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist

from manifests.errors import ConfigError
from trainer.model.mmdit import MMDiT


@dataclass(frozen=True)
class World:
    """This process among its peers. size is 1 when not launched by torchrun.

    context: processes that share the tokens of the same documents (context parallelism); ranks of one such group
    are neighbours and read the same samples.
    """

    rank: int
    size: int
    device: torch.device
    context: int = 1

    @property
    def data_rank(self) -> int:
        """Which share of a window's documents this process reads, of `data_size`."""
        return self.rank // self.context

    @property
    def data_size(self) -> int:
        """Shares that a window's documents are split into."""
        return self.size // self.context

    @property
    def first(self) -> bool:
        """Whether this process writes the files and draws the progress bar."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            dist.barrier()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks, on every rank, still on the device."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values


def join_world(device: str) -> World:
    """Find this process's device, and under torchrun (WORLD_SIZE > 1) join its process group: NCCL or gloo.

    Raises ConfigError for `cuda` on a machine without one.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("config:device", "device = 'cuda', but torch sees no CUDA device: set device=cpu or auto")
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu and dist.is_initialized():
        place = torch.device("cuda", torch.cuda.current_device())  # whoever made the group (Ray Train) chose it
    elif on_gpu:
        torch.cuda.set_device(place)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
    return World(dist.get_rank() if size > 1 else 0, size, place)


def leave_world() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def parallelize(model: MMDiT, world: World) -> MMDiT:
    """Shard with FSDP2 (`fully_shard`), a unit per block and one for the rest; nothing to do for one process.

    Gradients are summed, not averaged: the loss is already divided by global counts.
    """
    if world.size == 1:
        return model
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    for unit in (*model.blocks, model):
        # The root too: weights read or written between steps (EMA, checkpoints) must be the shards.
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo can only sum
    return model


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """What the forward pass runs under: bf16 matrix products with float32 weights and statistics, or plain float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
