"""What a step moves between GPUs, and how long it takes: FLOPs and bytes over the rates of `trainer/gpus.py`."""

from dataclasses import dataclass

from trainer.flops import Flops
from trainer.gpus import GPUS_PER_NODE, Gpu
from trainer.model.config import ModelConfig
from trainer.plan.casts import cast_bytes
from trainer.plan.layout import Layout
from trainer.plan.trained import counted, linears, newton_schulz_flops

ELEMENTWISE = {False: 400, True: 165}
"""Bytes of a GPU's memory that elementwise work of one row in one block reads and writes, forward and backward, per
channel of the width, by whether blocks are compiled. Not: counted from the operators of `StreamBlock` in bf16, an
estimate. Compiled: of a bare block of one stream (norms, SwiGLU, RoPE, residuals; no AdaLN), from 12.2 ms at 9,152 rows
and 44 ms at 32,192 measured on an H100 in 8 blocks of width 3,072, times 3.0 TB/s. `StreamBlock` itself: not yet."""

UPDATE = 28
"""Bytes that the end of a step reads and writes for a parameter, without AdamW's moments: the norm its gradient (4),
the update both and the weight again (12), the average the weight, and itself twice (12)."""

CLIPPED = 4
"""What torch's AdamW writes besides: the clipped gradient. Muon reads it again."""

MOMENTS = {4: 16, 2: 40}
"""Bytes of reading and writing both moments of a parameter by torch's kernel, by their size: half-size ones pass
through float32. Our kernel (`trainer/adamw.py`) takes them as they lie."""


def moment_traffic(layout: Layout) -> int:
    """Bytes of reading and writing both moments of a parameter."""
    return 4 * layout.moment_bytes if layout.own_adamw else MOMENTS[layout.moment_bytes]


@dataclass(frozen=True)
class Step:
    """One optimizer step, all means over GPUs. rows: that a GPU works on. turns: micro-batches one after another.

    flops: of training, by part, on one GPU. waiting: how much longer it takes than in perfect balance (`Partition`).
    groups: noise levels of a micro-batch. float8: those of the flops that are in float8.
    """

    rows: float
    turns: int
    flops: Flops
    waiting: float
    groups: float
    float8: int = 0


def traffic(config: ModelConfig, layout: Layout, step: Step) -> dict[str, float]:
    """Bytes that a GPU receives in a step, by exchange. AdaLN's weights and vectors travel in float32, whatever the
    precision. Copies add up their gradients once, after the last pass."""
    counts = counted(config)
    modulation = sum(n for name, n in counts.items() if name.startswith("blocks/modulation/"))
    kept = modulation if layout.rows else 0
    travel, size = sum(counts.values()) + layout.adapters - kept, 2 if layout.bf16 else 4
    reduced = layout.trained if layout.adapters else travel
    others = (layout.shard - 1) / layout.shard
    copies = 2 * (layout.replicas - 1) / layout.replicas
    passes = 2 if layout.recompute in {"none", "selective"} else 3
    outside = (layout.context - 1) / layout.context
    tables = step.groups * config.width * (1 + 24 * config.layers) * 4
    return {
        "all-gather of weights": 2 * (size * travel + (4 - size) * (modulation - kept)) * others * step.turns,
        "reduce-scatter of gradients": 4 * reduced * others * step.turns,
        "all-reduce between copies": 4 * copies * layout.trained / layout.shard,
        "all-to-all of context": passes * 4 * config.width * size * config.layers * outside * step.rows,
        "AdaLN vectors": 2 * tables * step.turns if layout.rows else 0.0,
        "Muon's matrices": 2 * 2 * layout.momenta / layout.shard * others,
    }


def seconds(config: ModelConfig, layout: Layout, step: Step, gpu: Gpu) -> dict[str, float]:
    """Seconds of a step by what it does, and `step`: the longer of computing and FSDP's traffic, which overlap, and
    what overlaps with nothing. Casts to float8 are elementwise work, by the bytes of our kernels."""
    moved = traffic(config, layout, step)
    products = sum(step.flops.values()) - step.flops["attention"] - step.float8
    producing = products / gpu.gemm + (step.float8 / gpu.float8 if step.float8 else 0.0)
    # A forward pass again; of attention 4 S^2 d on top of 14, since its backward pass makes the scores again anyway.
    attending = (18 / 14 if layout.recompute == "full" else 1.0) * step.flops["attention"]
    again = 4 / 3 if layout.recompute in {"attention", "full"} else 1.0
    context, vectors = _rate(layout.context, layout.gpus, gpu), _rate(layout.shard, layout.gpus, gpu)
    found = {
        "attention": attending / gpu.attention * step.waiting,
        "products": again * producing * step.waiting,
        "elementwise": _elementwise(config, layout, step) / gpu.copy * step.waiting,
        "weights and gradients": _fsdp(moved, layout, gpu),
        "context and AdaLN": moved["all-to-all of context"] / context + moved["AdaLN vectors"] / vectors,
        "optimizer": _optimizer(config, layout, gpu) + moved["Muon's matrices"] / vectors,
    }
    computing = found["attention"] + found["products"] + found["elementwise"]
    overlapped = max(computing, found["weights and gradients"])
    return found | {"step": overlapped + found["context and AdaLN"] + found["optimizer"]}


def _elementwise(config: ModelConfig, layout: Layout, step: Step) -> float:
    again = 1.0 if layout.recompute == "none" else 4 / 3
    blocks = again * ELEMENTWISE[layout.compiled] * config.width * config.layers * step.rows
    return blocks + _casts(config, layout, step)


def _casts(config: ModelConfig, layout: Layout, step: Step) -> float:
    if not step.float8:
        return 0.0
    a_row = 6 * config.layers * sum(out * given for out, given in linears(config).values())
    again = layout.recompute != "none"
    return config.layers * cast_bytes(config, step.float8 / a_row, step.turns, again)


def _optimizer(config: ModelConfig, layout: Layout, gpu: Gpu) -> float:
    clipped = 0 if layout.own_adamw else CLIPPED
    adamw = (UPDATE + clipped + moment_traffic(layout)) * (layout.trained - layout.momenta)
    held = (adamw + (UPDATE + 2 * CLIPPED + 8) * layout.momenta) / layout.shard / gpu.copy
    return held + (newton_schulz_flops(config, layout.shard) / gpu.gemm if layout.momenta else 0.0)


def _inside(group: int, gpus: int) -> bool:
    """Whether groups of this many neighbours never reach over the edge of a node."""
    return gpus <= GPUS_PER_NODE or GPUS_PER_NODE % group == 0


def _rate(group: int, gpus: int, gpu: Gpu) -> float:
    """Bytes/s of one GPU in an all-to-all of such groups: beyond a node its share of the node's network cards."""
    return gpu.link if _inside(group, gpus) else min(gpu.link, gpu.network / GPUS_PER_NODE)


def _fsdp(moved: dict[str, float], layout: Layout, gpu: Gpu) -> float:
    """A ring over a node's GPUs runs at the link's rate. Over several nodes all GPUs of a node take in the same bytes
    once, over all its network cards; copies are added up by each GPU over its own share of them."""
    inside = moved["all-gather of weights"] + moved["reduce-scatter of gradients"]
    ring = inside / (gpu.link if _inside(layout.shard, layout.gpus) else min(gpu.link, gpu.network))
    own = gpu.link if layout.gpus <= GPUS_PER_NODE else min(gpu.link, gpu.network / GPUS_PER_NODE)
    return ring + moved["all-reduce between copies"] / own
