"""What a step moves between GPUs, and how long it takes: FLOPs and bytes over the rates of `trainer/gpus.py`."""

from dataclasses import dataclass

from trainer.flops import Flops
from trainer.gpus import GPUS_PER_NODE, Gpu
from trainer.model.config import ModelConfig
from trainer.plan_recipe import Recipe
from trainer.plan_trained import counted, newton_schulz_flops

ELEMENTWISE = 400
"""Bytes of a GPU's memory that elementwise work of one row in one block reads and writes, forward and backward, per
channel of the width: counted from the operators of `StreamBlock` in bf16, not compiled. An estimate."""


@dataclass(frozen=True)
class Step:
    """One optimizer step, all means over GPUs. rows: that a GPU works on. turns: micro-batches one after another.

    flops: of training, by part, on one GPU. waiting: how much longer it takes than in perfect balance (`Partition`).
    groups: noise levels of a micro-batch.
    """

    rows: float
    turns: int
    flops: Flops
    waiting: float
    groups: float


def traffic(config: ModelConfig, recipe: Recipe, step: Step) -> dict[str, float]:
    """Bytes that a GPU receives in a step, by exchange. AdaLN's weights and vectors travel in float32, whatever the
    precision. Copies add up their gradients once, after the last pass."""
    counts = counted(config)
    modulation = sum(n for name, n in counts.items() if name.startswith("blocks/modulation/"))
    kept = modulation if recipe.rows else 0
    travel, size = sum(counts.values()) + recipe.adapters - kept, 2 if recipe.bf16 else 4
    reduced = recipe.trained if recipe.adapters else travel
    others = (recipe.shard - 1) / recipe.shard
    copies = 2 * (recipe.replicas - 1) / recipe.replicas
    passes = 2 if recipe.recompute == "none" else 3
    outside = (recipe.context - 1) / recipe.context
    tables = step.groups * config.width * (1 + 24 * config.layers) * 4
    return {
        "all-gather of weights": 2 * (size * travel + (4 - size) * (modulation - kept)) * others * step.turns,
        "reduce-scatter of gradients": 4 * reduced * others * step.turns,
        "all-reduce between copies": 4 * copies * recipe.trained / recipe.shard,
        "all-to-all of context": passes * 4 * config.width * size * config.layers * outside * step.rows,
        "AdaLN vectors": 2 * tables * step.turns if recipe.rows else 0.0,
        "Muon's matrices": 2 * 2 * recipe.momenta / recipe.shard * others,
    }


def seconds(config: ModelConfig, recipe: Recipe, step: Step, gpu: Gpu) -> dict[str, float]:
    """Seconds of a step by what it does, and `step`: the longer of computing and FSDP's traffic, which overlap, and
    what overlaps with nothing."""
    moved = traffic(config, recipe, step)
    products = sum(step.flops.values()) - step.flops["attention"]
    again = 4 / 3 if recipe.recompute == "full" else 1.0
    context, vectors = _rate(recipe.context, recipe.gpus, gpu), _rate(recipe.shard, recipe.gpus, gpu)
    found = {
        "attention": again * step.flops["attention"] / gpu.attention * step.waiting,
        "products": again * products / gpu.gemm * step.waiting,
        "elementwise": _elementwise(config, recipe, step) / gpu.copy * step.waiting,
        "weights and gradients": _fsdp(moved, recipe, gpu),
        "context and AdaLN": moved["all-to-all of context"] / context + moved["AdaLN vectors"] / vectors,
        "optimizer": _optimizer(config, recipe, gpu) + moved["Muon's matrices"] / vectors,
    }
    computing = found["attention"] + found["products"] + found["elementwise"]
    overlapped = max(computing, found["weights and gradients"])
    return found | {"step": overlapped + found["context and AdaLN"] + found["optimizer"]}


def _elementwise(config: ModelConfig, recipe: Recipe, step: Step) -> float:
    again = 1.0 if recipe.recompute == "none" else 4 / 3
    return again * ELEMENTWISE * config.width * config.layers * step.rows


def _optimizer(config: ModelConfig, recipe: Recipe, gpu: Gpu) -> float:
    """Norm and clip, update and average read and write 28 bytes a parameter, and its moments or momentum twice."""
    adamw = (28 + 4 * recipe.moment_bytes) * (recipe.trained - recipe.momenta)
    held = (adamw + (28 + 8) * recipe.momenta) / recipe.shard / gpu.copy
    return held + (newton_schulz_flops(config, recipe.shard) / gpu.gemm if recipe.momenta else 0.0)


def _inside(group: int, gpus: int) -> bool:
    """Whether groups of this many neighbours never reach over the edge of a node."""
    return gpus <= GPUS_PER_NODE or GPUS_PER_NODE % group == 0


def _rate(group: int, gpus: int, gpu: Gpu) -> float:
    """Bytes/s of one GPU in an all-to-all of such groups: beyond a node its share of the node's network cards."""
    return gpu.link if _inside(group, gpus) else min(gpu.link, gpu.network / GPUS_PER_NODE)


def _fsdp(moved: dict[str, float], recipe: Recipe, gpu: Gpu) -> float:
    """A ring over a node's GPUs runs at the link's rate. Over several nodes all GPUs of a node take in the same bytes
    once, over all its network cards; copies are added up by each GPU over its own share of them."""
    inside = moved["all-gather of weights"] + moved["reduce-scatter of gradients"]
    ring = inside / (gpu.link if _inside(recipe.shard, recipe.gpus) else min(gpu.link, gpu.network))
    own = gpu.link if recipe.gpus <= GPUS_PER_NODE else min(gpu.link, gpu.network / GPUS_PER_NODE)
    return ring + moved["all-reduce between copies"] / own
