"""The least that the elementwise work of a step must read and write: each tensor once between two products.

Products and attention read their inputs and write their outputs themselves; that is in their own time. Rows of AdaLN's
tables, statistics of norms and sums over rows (gradients of biases, of the tables) are too small to count. Blocks are
compiled one by one, so nothing is fused over their edges.
"""

from typing import NamedTuple

from trainer.model.config import ModelConfig


class Touched(NamedTuple):
    """Tensors of one row that one fused kernel reads or writes, as channels: `width` x d + `ffn` x f."""

    what: str
    width: int = 0
    ffn: int = 0


FORWARD = (
    Touched("first norm and AdaLN: x in; tokens of qkv out", 2),
    Touched("norm and RoPE: q, k in; q, k out (v goes as it is)", 4),
    Touched("residual, second norm and AdaLN: attention's product, x in; x, tokens of ffn_in out", 4),
    Touched("GELU: in, out", 0, 2),
    Touched("residual: the FFN's product, x in; x out", 3),
)

BACKWARD = (
    Touched("gate of the FFN: gradient of x, the product in; the product's gradient out", 3),
    Touched("GELU: gradient, its input in; gradient out", 0, 3),
    Touched("second norm: gradients of its tokens and of x, x in; gradient of x out", 4),
    Touched("gate of attention, in the same kernel: its product in; the product's gradient out", 2),
    Touched("norm and RoPE: gradients of q, k, and q, k in; gradients out (v's goes as it is)", 6),
    Touched("first norm: gradients of its tokens and of x, x in; gradient of x out", 4),
)

ANGLES = 4
"""Bytes a channel of a head that RoPE reads of a row's angles: cos and sin of half of them, float32; once a pass."""


def block_bytes(config: ModelConfig, rows: int, size: int = 2) -> int:
    """Bytes of one block, forward and backward, nothing made again. size: of a channel of an activation."""
    channels = sum(t.width * config.width + t.ffn * config.ffn for t in (*FORWARD, *BACKWARD))
    return rows * (size * channels + 2 * ANGLES * config.head_dim)
