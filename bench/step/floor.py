"""The floor of a step: what products and attention take at sustained rates, and bytes that must move, on this card."""

from bench.step.ceilings import Ceilings
from bench.step.traffic import block_bytes
from trainer.flops import Load, training_flops
from trainer.plan.casts import cast_bytes
from trainer.plan.trained import copies

OUTSIDE = ("modulation", "embed", "heads")


def floor_of(ceilings: Ceilings, load: Load, optimizer_bytes: float, float8: bool = False) -> dict[str, float]:
    """Seconds by part, and `step`, their sum. float8: the blocks' products run in it, the others in bf16; its casts are
    elementwise work.

    For a model whose streams share their weights, so that a block's products are four.
    """
    config = ceilings.config
    if copies(config) != config.layers:
        raise ValueError("a floor is for shared weights: with one set a stream the products have other shapes")
    outside = sum(training_flops(load, config)[part] for part in OUTSIDE)
    if float8 and ceilings.float8 is None:
        raise ValueError("no float8 products were measured")
    blocks = ceilings.float8 if float8 and ceilings.float8 else ceilings.gemm
    elementwise = block_bytes(config, ceilings.rows) + (cast_bytes(config, ceilings.rows) if float8 else 0)
    found = {
        "GEMM": config.layers * sum(blocks.values()) + outside / ceilings.rate(ceilings.gemm),
        "attention": config.layers * ceilings.attention[1],
        "optimizer": optimizer_bytes / ceilings.copy,
        "elementwise": config.layers * elementwise / ceilings.copy,
    }
    return found | {"step": sum(found.values())}
