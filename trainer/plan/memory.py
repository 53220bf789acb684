"""What a GPU must hold to train: bytes by component, from what autograd keeps of each block.

Tested against counted tensors (tests/trainer/plan/test_memory.py): whoever changes `StreamBlock` adapts `BLOCK` below.
Compiled blocks keep less than this, since the compiler makes cheap values again, and so do those of `model/fused`.
Float8 linears count as bf16 ones: what they keep of their input has one byte less a channel.
"""

from typing import NamedTuple

from trainer.model.config import ModelConfig
from trainer.plan.layout import Layout
from trainer.plan.trained import counted


class Kept(NamedTuple):
    """A tensor that autograd keeps for each row of a block: `width` x d + `ffn` x f channels.

    fp32, bf16: bytes of a channel under either precision. product: a result of a matrix product or of attention,
    which `selective` keeps and everything else is made again from.
    """

    what: str
    width: float
    ffn: float
    fp32: int
    bf16: int
    product: bool = False


BLOCK = (
    Kept("tokens into both layer norms", 2, 0, 4, 4),
    Kept("both normed", 2, 0, 4, 4),
    Kept("both 1 + scale", 2, 0, 4, 4),
    Kept("both modulated, into qkv and ffn_in", 2, 0, 4, 2),
    # In float32 the norm of q and k works on qkv's own output; in bf16 on a copy, and qkv's output goes.
    Kept("qkv", 3, 0, 4, 0, product=True),
    Kept("q and k before their norm", 2, 0, 0, 4),
    Kept("q and k normed", 2, 0, 4, 4),
    Kept("q, k, v by document", 3, 0, 4, 2),
    Kept("attention's output by document", 1, 0, 4, 2, product=True),
    Kept("attention's output by stream", 1, 0, 4, 2),
    Kept("out", 1, 0, 4, 2, product=True),
    Kept("both gates", 2, 0, 4, 4),
    Kept("ffn_in", 0, 1, 4, 2, product=True),
    Kept("gelu", 0, 1, 4, 2),
    Kept("ffn_out", 1, 0, 4, 2, product=True),
)

WORKING = {False: 16, True: 20}
"""Bytes per row and width, in fp32 and in bf16, of what comes and goes at the fullest moment of a pass. Measured."""

LIVE_UNITS = 3
"""Blocks' weights at once under FSDP2: the one at work, the next being gathered, and its copy out of the buffer."""


def row_bytes(config: ModelConfig, bf16: bool, products_only: bool = False) -> float:
    """Bytes that one row keeps in one block."""
    total = 0.0
    for kept in BLOCK:
        size = kept.bf16 if bf16 else kept.fp32
        if products_only:
            # Kept as they come out, whatever the block itself would have kept of them.
            size = (2 if bf16 else 4) if kept.product else 0
        total += size * (kept.width * config.width + kept.ffn * config.ffn)
    return total


def activation_bytes(config: ModelConfig, layout: Layout, rows: int, media_rows: int) -> dict[str, float]:
    """Bytes of activations for this many rows on a GPU, at the fullest moment. media_rows: those with a head."""
    every, products = row_bytes(config, layout.bf16), row_bytes(config, layout.bf16, products_only=True)
    inputs = config.width * (2 if layout.bf16 else 4)
    # Attention's result, and the log-sum-exp of its heads.
    attention = inputs + 4 * config.heads
    kept = {"none": every, "selective": inputs + products, "attention": inputs + attention, "full": inputs}
    again = {"none": 0.0, "selective": every - products, "attention": every - attention, "full": every}
    heads = media_rows * config.width * (14 if layout.bf16 else 16)
    return {
        "activations": rows * (config.layers * kept[layout.recompute] + 8 * config.head_dim) + heads,
        "block made again": rows * again[layout.recompute],
        "working memory": rows * config.width * WORKING[layout.bf16],
    }


def weight_bytes(config: ModelConfig, layout: Layout, ema: bool = True) -> dict[str, float]:
    """Bytes of the weights and all that goes with them, on a GPU. A base that is frozen has its weights alone."""
    counts = counted(config)
    modulation = sum(n for name, n in counts.items() if name.startswith("blocks/modulation/"))
    blocks = sum(n for name, n in counts.items() if name.startswith("blocks/")) - modulation
    rest = sum(counts.values()) - blocks - modulation
    moments = 2 * layout.moment_bytes * (layout.trained - layout.momenta) + 4 * layout.momenta
    found = {
        "parameters": 4 * (sum(counts.values()) + layout.adapters) / layout.shard,
        "gradients": 4 * layout.trained / layout.shard,
        "moments": moments / layout.shard,
        "EMA": 4 * layout.trained / layout.shard if ema else 0.0,
    }
    return found | _gathered(config, layout, blocks + layout.adapters, modulation, rest)


def _gathered(config: ModelConfig, layout: Layout, blocks: int, modulation: int, rest: int) -> dict[str, float]:
    """Whole weights for a while, and whole gradients on their way to the shards."""
    size = 2 if layout.bf16 else 4
    if layout.shard == 1:
        # Autocast keeps a bf16 copy of what it has multiplied with: of all blocks, or of the one made again. AdaLN is
        # computed in float32, from its own weights.
        alive = blocks / (1 if layout.recompute == "none" else config.layers)
        return {"weights in bf16": 2.0 * (alive + rest) if layout.bf16 else 0.0}
    adaln = 0 if layout.rows else modulation
    # AdaLN's are units of their own, of float32.
    unit = max(size * blocks, 4 * adaln) / config.layers
    reduced = layout.adapters or blocks
    gradients = max((4 + size) * reduced, 0 if layout.adapters else (4 + 4) * adaln)
    return {
        "gathered weights": LIVE_UNITS * unit + size * rest,
        "gradients to reduce": gradients / config.layers,
    }


def data_bytes(config: ModelConfig, rows: tuple[int, int, int, int]) -> float:
    """Bytes of a micro-batch on a GPU, and of its embedding: latents three times, captions twice, ids."""
    video, video_text, audio_text, audio = rows
    latents = 12.0 * (video * config.patch_channels + audio * config.audio_channels)
    return latents + 8.0 * (video_text + audio_text) * config.text_dim + 40.0 * sum(rows)
