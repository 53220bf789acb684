"""Run by `test_sharding.py` in several processes: gradients of every way to split the work, against one process."""

import json
import sys
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from tests.trainer.conftest import _document
from trainer.context import split_rows
from trainer.gradients import clipping, global_norm, gradients
from trainer.model.config import BytesConfig, ModelConfig, RopeConfig
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.optim import Optimizer, OptimSettings
from trainer.packing import pack
from trainer.parallel import (
    ParallelSettings,
    begin_pass,
    join_world,
    leave_world,
    materialise,
    parallelize,
    precision_context,
)

CONFIG = ModelConfig(
    width=32,
    layers=2,
    heads=4,
    ffn=48,
    video_channels=6,
    audio_channels=5,
    text_dim=7,
    bytes=BytesConfig(width=8, layers=1, kernel=3),
    rope=RopeConfig(axes=(4, 2, 2)),
)
TASKS = ("T2V", "T2A", "T2AV", "TI2V", "T2A", "TI2AV", "T2V", "T2A")
READINGS = {m: Reading("x", True, torch.ones(c), torch.ones(c)) for m, c in (("video", 6), ("audio", 5))}
WAYS = {
    "fsdp": {},
    "gather": {"modulation": "gather"},
    "full": {"recompute": "full"},
    "selective": {"recompute": "selective"},
    "attention": {"recompute": "attention"},
    "hsdp": {"shard": 2},
    "hsdp gather": {"shard": 2, "modulation": "gather"},
    "context 2": {"context": 2},
    "context all": {"context": 0},
    "context 2, shard 2, full": {"context": 2, "shard": 2, "recompute": "full"},
}
INTERPRETED = {
    "triton": {"elementwise": "triton"},
    "triton, context all": {"elementwise": "triton", "context": 0},
    "triton, grouped": {"elementwise": "triton", "products": "grouped", "recompute": "selective"},
}
"""Ways that Triton's interpreter makes slow on a CPU: run when named, on few documents."""
FLOAT8 = ("tensorwise", "rowwise")


def start(model: MMDiT) -> None:
    """Weights and gates that are not zero, so that every parameter matters. By name, whatever the sharding."""
    init_weights(model, 0)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            g = torch.Generator().manual_seed(len(name) * 1000 + sum(name.encode()))
            full = torch.randn(p.shape, generator=g) * 0.1
            if isinstance(p, DTensor):
                from torch.distributed.tensor import distribute_tensor

                p.to_local().copy_(distribute_tensor(full, p.device_mesh, p.placements, src_data_rank=None).to_local())
            else:
                p.copy_(full)


def losses_of(model: MMDiT, batch, counts: torch.Tensor) -> torch.Tensor:
    return global_loss(media_losses(model(batch.packed), batch, READINGS), counts, ObjectiveSettings())


def reference(tasks: Sequence[str]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Gradients of all documents in one process, and the weights after a step."""
    model = MMDiT(CONFIG)
    start(model)
    batch = pack([_document(i, task, 0.1 + 0.1 * i) for i, task in enumerate(tasks)], CONFIG)
    losses_of(model, batch, loss_counts(batch)).backward()
    found = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    _step(model)
    return found, {n: p.detach().clone() for n, p in model.named_parameters()}


def differences(way: dict, tasks: Sequence[str], precision: str = "fp32") -> tuple[float, float]:
    """Largest difference of a gradient, and of a weight after a step, from one process."""
    size = dist.get_world_size()
    settings = ParallelSettings(**(way | {"context": way.get("context", 1) or size}))
    world = join_world("cpu", settings.context)
    with torch.device("meta"):
        model = MMDiT(CONFIG)
    materialise(parallelize(model, world, settings, precision), world.device, 0)
    start(model)
    documents = [_document(i, task, 0.1 + 0.1 * i) for i, task in enumerate(tasks)]
    mine = documents[world.data_rank :: world.data_size]
    # Two micro-batches, of unlike sizes; the last process has nothing in its second.
    cut = len(mine) - 1 if world.data_rank < world.data_size - 1 else len(mine)
    multiple = settings.context * settings.row_align
    batches = [
        split_rows(pack(part, CONFIG, multiple=multiple, room=len(documents)), world.context_rank, settings.context)
        for part in (mine[:cut], mine[cut:])
    ]
    counts = world.sum(torch.stack([loss_counts(batch) for batch in batches]).sum(0))
    for turn, batch in enumerate(batches):
        begin_pass(model, turn == 1)
        with precision_context(precision, world.device):
            loss = losses_of(model, batch, counts)
        loss.backward()
    expected, weights = reference(tasks)
    model.finish_gradients()
    gradient = max(_difference(p.grad, expected[n]) for n, p in model.named_parameters())
    _step(model)
    return gradient, max(_difference(p, weights[n]) for n, p in model.named_parameters())


def _step(model: MMDiT) -> None:
    """Clip to a norm of 1 and update as the loop does."""
    grads = gradients(model.parameters())
    Optimizer(model, OptimSettings()).step(1e-2, torch.zeros(()), clipping(global_norm(grads), 1.0))


def _difference(found: torch.Tensor | None, expected: torch.Tensor) -> float:
    if found is None:
        return expected.abs().max().item()
    full = found.detach().full_tensor() if isinstance(found, DTensor) else found.detach()
    return (full - expected).abs().max().item()


def initial_difference() -> float:
    """Of the initial weights of a sharded model of the meta device from those of a whole one."""
    with torch.device("meta"):
        model = MMDiT(CONFIG)
    world = join_world("cpu")
    materialise(parallelize(model, world, ParallelSettings()), world.device, 7)
    whole = MMDiT(CONFIG)
    init_weights(whole, 7)
    return max(_difference(p, q.detach()) for p, q in zip(model.parameters(), whole.parameters(), strict=True))


def main() -> None:
    torch.set_num_threads(1)
    join_world("cpu")
    names = sys.argv[1:] or list(WAYS)
    found = {"initial": [initial_difference()], "bf16": differences({}, TASKS, "bf16")}
    found |= {kind: differences({"float8": kind, "float8_rows": 1}, TASKS, "bf16") for kind in FLOAT8}
    found |= {
        name: differences(INTERPRETED[name], TASKS[:3]) if name in INTERPRETED else differences(WAYS[name], TASKS)
        for name in names
    }
    if dist.get_rank() == 0:
        print(json.dumps(found))
    leave_world()


if __name__ == "__main__":
    sys.exit(main())
