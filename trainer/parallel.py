"""Processes and devices: who runs where, and how the model is sharded. The model itself knows none of this."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from pydantic import Field
from torch import nn

from manifests.errors import ConfigError
from pipeline.settings import Settings
from trainer.divides import ALIGN, Float8, check_context, check_float8, keeps_rows, shards_of
from trainer.elementwise import runner
from trainer.float8 import use_float8
from trainer.model.block import JointBlock
from trainer.model.exchange import Context
from trainer.model.mmdit import MMDiT
from trainer.recompute import Recompute, recomputing


class ParallelSettings(Settings):
    """How the work is split and what it costs in memory.

    shard: processes that share one copy of the weights (HSDP: each further group holds a copy; null: all of them).
    context: processes that share the tokens of the same documents (Ulysses; heads must be a multiple of it).
    modulation: `rows` never gathers AdaLN weights, `gather` gives each block's a unit of FSDP, `auto` is rows where
    they divide. recompute: activations made again in the backward pass. compile: blocks by torch.compile.
    attention: a kernel, see `trainer.model.kernels.KERNELS`. elementwise: whether what stands between the products of a
    block is torch's (compiled or not), or kernels in Triton (`trainer/model/fused`), which need a GPU and no compiler.
    products: with `triton`, whether streams multiply with their own weights one by one, or text and sound, which have
    few rows, in one launch.
    float8: products of the video's linears (or of the shared ones) in float8, with one scale a tensor and gradients in
    e5m2, or one a row and column and all in e4m3. float8_rows: a buffer of fewer rows takes the bf16 product; the
    default is an estimate (the casts of the weights cost what about 1,000 rows gain at an H100's rates), to be settled
    by a benchmark on a GPU.
    """

    shard: int | None = Field(default=None, ge=1)
    context: int = Field(default=1, ge=1)
    modulation: Literal["auto", "rows", "gather"] = "auto"
    recompute: Recompute = "none"
    compile: bool = False
    attention: str = "auto"
    elementwise: Literal["torch", "triton"] = "torch"
    products: Literal["each", "grouped"] = "each"
    float8: Float8 = "none"
    float8_rows: int = Field(default=2048, ge=1)

    @property
    def row_align(self) -> int:
        """What each process's rows of a stream must be a multiple of: float8 contracts rows, for dW."""
        return 1 if self.float8 == "none" else ALIGN


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
    def context_rank(self) -> int:
        """Which share of a micro-batch's rows this process works on, of `context`."""
        return self.rank % self.context

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


def join_world(device: str, context: int = 1) -> World:
    """Find this process's device, and under torchrun (WORLD_SIZE > 1) join its process group: NCCL or gloo.

    Raises ConfigError for `cuda` on a machine without one, and when `context` does not divide the processes.
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
    check_context(context, size)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
    return World(dist.get_rank() if size > 1 else 0, size, place, context)


def leave_world() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def parallelize(model: MMDiT, world: World, settings: ParallelSettings, precision: str = "fp32") -> MMDiT:
    """Wrap the model's blocks, then shard it: FSDP2, a unit per block and one for the rest. In place; returns it.

    The model may be on the meta device (`materialise` follows). Gradients are summed, not averaged: the loss is already
    divided by global counts. Raises ConfigError when the numbers of processes do not divide, or float8 cannot be.
    """
    run_of = runner(model, settings, world.device)
    check_float8(settings.float8, model.config, precision)
    use_float8(model, settings.float8, settings.float8_rows, world.device)
    model.kernel = settings.attention
    model.context = _context(world, model.config.heads)
    for block in model.blocks:
        assert isinstance(block, JointBlock)
        run = recomputing(run_of(block), settings.recompute, _draws(block))
        block.runner = torch.compile(run, dynamic=True, fullgraph=True) if settings.compile else run
    if world.size > 1:
        _shard(model, world, settings, precision)
    return model


def _draws(block: nn.Module) -> bool:
    """Whether a block draws random numbers: only LoRA's dropout does."""
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in block.modules())


def _context(world: World, heads: int) -> Context | None:
    if world.context == 1:
        return None
    check_context(world.context, world.size, heads)
    groups = [list(range(i, i + world.context)) for i in range(0, world.size, world.context)]
    group, _ = dist.new_subgroups_by_enumeration(groups)
    return Context(group, world.context, world.context_rank)


def _shard(model: MMDiT, world: World, settings: ParallelSettings, precision: str) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    from trainer.modulation_rows import KeptRows

    shards = shards_of(settings.shard, world.size)
    whole = shards == world.size
    shape, names = ((shards,), ("shard",)) if whole else ((world.size // shards, shards), ("replicate", "shard"))
    mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=names)
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    left: set[nn.Parameter] = set()
    if keeps_rows(model.config, settings.modulation, shards):
        kept = KeptRows(model, mesh)
        model.tables_of, model.finish_gradients, left = kept, kept.finish_gradients, set(kept.parameters())
    exact: list[Any] = [model.sigma, *(head.modulation for head in model.heads.values())]
    exact += [] if left else [block.modulation for block in model.blocks]
    for unit in exact:  # modulation is computed in float32
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    for unit in (*model.blocks, model):
        # The root too: weights read or written between steps (EMA, checkpoints) must be the shards.
        fully_shard(unit, mesh=mesh, mp_policy=policy, reshard_after_forward=True, ignored_params=left)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo can only sum


def materialise(model: MMDiT, device: torch.device, seed: int) -> MMDiT:
    """Give a model of the meta device storage, each process its shards, and its initial weights. In place."""
    from trainer.model.init import init_weights

    model.to_empty(device=device)
    init_weights(model, seed)
    return model


@contextmanager
def whole_documents(model: MMDiT) -> Iterator[None]:
    """Inside the block every process works on whole documents, also where a context group shares those of training."""
    context, model.context = model.context, None
    try:
        yield
    finally:
        model.context = context


def begin_pass(model: MMDiT, last: bool) -> None:
    """Before each forward pass of a step: only after the `last` are gradients added up over the copies of HSDP."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.set_requires_all_reduce(last)


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """What the forward pass runs under: bf16 matrix products with float32 weights and statistics, or plain float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
