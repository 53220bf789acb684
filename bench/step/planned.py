"""What the planner says of one GPU's step, to stand beside what was measured."""

from trainer.flops import Load, training_flops
from trainer.gpus import Gpu
from trainer.model.config import ModelConfig
from trainer.plan.layout import Layout
from trainer.plan.time import Step, seconds

ALONE = Layout(
    gpus=1,
    shard=1,
    context=1,
    rows=False,
    recompute="none",
    bf16=True,
    moment_bytes=4,
    micro_tokens=None,
    adapters=0,
    trained=0,
    momenta=0,
    compiled=True,
)
"""One GPU, blocks compiled. Nothing trains: the benchmark's optimizer (no norm, no average) is counted apart."""


MEASURED = {9_152: (151.0, 171.0), 32_192: (962.0, 1_019.0)}
"""Milliseconds of a step of the benchmark's size on an H100 (bf16 weights and moments), by tokens: of a bare compiled
stack (blocks of one stream, no AdaLN), and of the peer, whose gathers of AdaLN's rows no prediction has."""

TRAINED = 1.6e9
"""Parameters of the peer. The bare stack's are not known; its optimizer took 10.4 ms, the peer's 11.8."""


def predicted(
    config: ModelConfig, load: Load, gpu: Gpu, optimizer_bytes: float, float8: bool = False
) -> dict[str, float]:
    """Seconds by part, and `step`, their sum. float8: the blocks' products, of all rows, run in it."""
    flops = training_flops(load, config)
    half = flops["projections"] + flops["ffn"] if float8 else 0
    step = Step(load.tokens, 1, flops, 1.0, load.groups, half)
    told = seconds(config, ALONE, step, gpu)
    parts = {name: told[name] for name in ("products", "attention", "elementwise")}
    parts["optimizer"] = optimizer_bytes / gpu.copy
    return parts | {"step": sum(parts.values())}
