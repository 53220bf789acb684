"""The products of the three streams beside the video, which have few rows each, in one launch.

Alone, 216 rows fill 24 to 72 tiles of 128 by 128 and an H100 has 132 processors. Gradients of weights are products of
their own: those have a tile for every 128 by 128 weights.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from trainer.float8 import product_dtype
from trainer.model.fused.multiply import multiply_each
from trainer.model.fused.product import Input, Made, times

COUNT = 3

_ALIGN = 16
"""Bytes that the kernel loads at once."""


def times_each(linears: Sequence[nn.Module], given: Sequence[Input], together: bool) -> list[Made]:
    """Product by product of the streams, video first. together: the last three in one launch, but for
    linears with adapters and tensors that do not lie on 16 bytes, which go one by one as well."""
    if not (together and len(linears) == COUNT + 1):
        return [times(linear, x) for linear, x in zip(linears, given, strict=True)]
    return [times(linears[0], given[0]), *_times_together(linears[1:], given[1:])]


def _times_together(linears: Sequence[nn.Module], given: Sequence[Input]) -> list[Made]:
    dtype = product_dtype(given[0].value)
    plain = [linear for linear in linears if type(linear) is nn.Linear]
    tensors = [x.to(dtype) for x in (*(x.value for x in given), *(linear.weight for linear in plain))]
    if len(plain) < COUNT or not all(_readable(x) for x in tensors):
        return [times(linear, x) for linear, x in zip(linears, given, strict=True)]
    products = _Together.apply(*tensors)
    return [Made(product, linear.bias, None) for product, linear in zip(products, plain, strict=True)]


def _readable(x: torch.Tensor) -> bool:
    """Whether the kernel can read its rows 16 bytes at once."""
    return x.is_contiguous() and x.data_ptr() % _ALIGN == 0 and x.shape[1] * x.element_size() % _ALIGN == 0


class _Together(torch.autograd.Function):
    """Three x (R_i, K) and three weights (N, K) -> three x weight^T (R_i, N)."""

    @staticmethod
    def forward(ctx: Any, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        return tuple(multiply_each(tensors[:COUNT], tensors[COUNT:], turned=True))

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        tensors = ctx.saved_tensors  # asked for once: a checkpoint gives them once
        xs, weights = tensors[:COUNT], tensors[COUNT:]
        # Text rows of the last block reach no loss: they have nothing to multiply.
        some = [w.new_empty(0, len(w)) if g is None else g.contiguous() for g, w in zip(given, weights, strict=True)]
        made = multiply_each(some, weights, turned=False) if any(map(len, some)) else [None] * COUNT
        to_x = [None if g is None else x for g, x in zip(given, made, strict=True)]
        to_weight = [
            g.t() @ x if need and kept is not None else None
            for g, kept, x, need in zip(some, given, xs, ctx.needs_input_grad[COUNT:], strict=True)
        ]
        return *to_x, *to_weight
