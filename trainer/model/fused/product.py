"""A linear's product, its bias left to the kernel that reads it; in float8 where the linear is one."""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from trainer.float8 import E4M3, E5M2, Float8Linear, Scaled, multiply, product_dtype
from trainer.model.fused.casts import cast, cast_both, cast_turned, peak_of


class Input(NamedTuple):
    """value: (R, K). peak: its largest |value|, (1,) float32, where it is known. rows: at least R, which the product in
    float8 has, since it contracts rows and all of a buffer's are a multiple of 16; others have R.
    """

    value: torch.Tensor
    peak: torch.Tensor | None
    rows: int


class Made(NamedTuple):
    """product: (R, N). bias: (N,), not added yet, or None. mark: (1,) float32, of no value; its gradient must be the
    largest |value| of the product's, which whoever makes that knows without reading it again: so one operator alone may
    read the two. None: nobody asks.
    """

    product: torch.Tensor
    bias: torch.Tensor | None
    mark: torch.Tensor | None


def casts(linear: nn.Module, rows: int) -> bool:
    """Whether its product of this many rows needs its input's largest value."""
    return isinstance(linear, Float8Linear) and rows >= linear.least


def times(linear: nn.Module, given: Input) -> Made:
    """The product with the weights; another module than a plain or a float8 linear adds its own bias (LoRA)."""
    x, peak, rows = given
    if type(linear) is not nn.Linear and not isinstance(linear, Float8Linear):
        short = rows - len(x)
        return Made(linear(functional.pad(x, (0, 0, 0, short)) if short else x), None, None)
    assert isinstance(linear, nn.Linear)
    if not casts(linear, rows):
        return Made(functional.linear(x, linear.weight), linear.bias, None)
    dtype = product_dtype(x)
    if x.dtype != dtype:
        x, peak = x.to(dtype), None
    train = torch.is_grad_enabled() and linear.weight.requires_grad
    product, mark = _Product.apply(x, linear.weight, peak_of(x) if peak is None else peak, rows, train)
    return Made(product.to(dtype), linear.bias, mark)


class _Product(torch.autograd.Function):
    """The numbers of `trainer.float8`'s, tensorwise; kept for the backward pass is the same, but turned already."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, peak: torch.Tensor, rows: int, train: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.set_materialize_grads(False)
        ctx.dtype, ctx.rows, heaviest = x.dtype, len(x), peak_of(weight)
        kept: Scaled | tuple[()] = ()
        if train:
            x8, kept = cast_both(x, peak, E4M3, rows)
        else:
            x8 = cast(x, peak, E4M3, rows)
        ctx.save_for_backward(weight, heaviest, *kept)
        return multiply(x8, cast(weight, heaviest, E4M3).turned, fast=True), peak.new_empty(1)

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor | None, peak: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        if given is None:
            return None, None, None, None, None
        weight, heaviest, *kept = ctx.saved_tensors
        peak, to_x, to_weight = peak_of(given) if peak is None else peak, None, None
        if ctx.needs_input_grad[0] and kept:
            straight, turned = cast_both(given, peak, E5M2)
        elif kept:
            turned = cast_turned(given, peak, E5M2)
        else:
            straight = cast(given, peak, E5M2)
        if ctx.needs_input_grad[0]:
            to_x = multiply(straight, cast_turned(weight, heaviest, E4M3).turned)[: ctx.rows].to(ctx.dtype)
        if kept:
            to_weight = multiply(turned, Scaled(*kept).turned).to(weight.dtype)
        return to_x, to_weight, None, None, None
