"""`klear::multiply_each`: three products of matrices of few rows as one operator, which recomputation can keep.

Its kernel is imported when it runs: naming the operator needs no Triton.
"""

from collections.abc import Sequence

import torch

ROWS, COLUMNS, DEPTH = 128, 128, 64
"""Of a program's tile."""


@torch.library.custom_op("klear::multiply_each", mutates_args=())
def _multiply_each(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], turned: bool) -> list[torch.Tensor]:
    import triton

    from trainer.model.fused.grouped_kernels import grouped

    depth, width = a[0].shape[1], b[0].shape[0 if turned else 1]
    made = [x.new_empty(len(x), width) for x in a]
    along, across = (1, depth) if turned else (width, 1)
    tiles = sum(triton.cdiv(len(x), ROWS) for x in a)
    grouped[(tiles * triton.cdiv(width, COLUMNS),)](
        *a, *b, *made, *map(len, a), width, depth, along, across, ROWS, COLUMNS, DEPTH, num_warps=8, num_stages=3
    )
    return made


@_multiply_each.register_fake
def _(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], turned: bool) -> list[torch.Tensor]:
    width = b[0].shape[0 if turned else 1]
    return [x.new_empty(x.shape[0], width) for x in a]


MULTIPLY_EACH = torch.ops.klear.multiply_each.default


def multiply_each(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], turned: bool) -> list[torch.Tensor]:
    """Three a (R_i, D) by three b, (D, W), or (W, D) where they are `turned`: three (R_i, W), summed in float32.

    Not all of them may be without rows.
    """
    return _multiply_each(list(a), list(b), turned)
