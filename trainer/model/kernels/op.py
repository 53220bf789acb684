"""`klear::attend`: attention inside packed documents as one operator, whose lengths live on the host.

The compiler sees one node with dynamic shapes, whatever the documents are, and the device is never asked for a length.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from trainer.model.kernels.switch import kernel_named

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@torch.library.custom_op("klear::attend", mutates_args=())
def _attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: torch.Tensor, kernel: str
) -> tuple[torch.Tensor, torch.Tensor]:
    return kernel_named(kernel).forward(q, k, v, lengths_of(segments))


@torch.library.custom_op("klear::attend_backward", mutates_args=())
def _attend_backward(
    gradient: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    statistics: torch.Tensor,
    segments: torch.Tensor,
    kernel: str,
) -> Three:
    return kernel_named(kernel).backward(gradient, q, k, v, out, statistics, lengths_of(segments))


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: torch.Tensor, kernel: str = "math"
) -> torch.Tensor:
    """Full softmax attention inside each segment. (N, heads, head_dim) each -> the same shape and dtype.

    segments: int64 on the CPU, lengths that sum to N; zeros are allowed and mean nothing. kernel: a name in `KERNELS`.
    """
    return _attend(q, k, v, segments, kernel)[0]


def lengths_of(segments: torch.Tensor) -> list[int]:
    """The lengths without zeros, on the host."""
    return [length for length in segments.tolist() if length]


def _statistics(q: torch.Tensor) -> torch.Tensor:
    """Room for the log-sum-exp of every row and head: float32 (heads * N,), document by document."""
    return q.new_empty(q.shape[0] * q.shape[1], dtype=torch.float32)


@_attend.register_fake
def _(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: torch.Tensor, kernel: str
) -> tuple[torch.Tensor, torch.Tensor]:
    return q.new_empty(q.shape), _statistics(q)


@_attend_backward.register_fake
def _(
    gradient: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    statistics: torch.Tensor,
    segments: torch.Tensor,
    kernel: str,
) -> Three:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    q, k, v, segments, kernel = inputs
    ctx.save_for_backward(q, k, v, *output, segments)
    ctx.kernel = kernel
    ctx.mark_non_differentiable(output[1])


def _gradients(ctx: Any, gradient: torch.Tensor, _: torch.Tensor) -> tuple[Any, ...]:
    q, k, v, out, statistics, segments = ctx.saved_tensors
    return *_attend_backward(gradient, q, k, v, out, statistics, segments, ctx.kernel), None, None


_attend.register_autograd(_gradients, setup_context=_keep)


def attention_flops(lengths: Sequence[int], heads: int, head_dim: int) -> int:
    """Of a forward pass: two products of 2 N^2 d a document (multiply and add counted apart)."""
    return sum(4 * length * length for length in lengths) * heads * head_dim


@register_flop_formula(torch.ops.klear.attend, get_raw=True)
def _forward_flops(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: torch.Tensor, *_: Any, **__: Any
) -> int:
    return attention_flops(lengths_of(segments), q.shape[1], q.shape[2])


@register_flop_formula(torch.ops.klear.attend_backward, get_raw=True)
def _backward_flops(gradient: torch.Tensor, q: torch.Tensor, *rest: Any, **__: Any) -> int:
    """Twice the forward pass: what the gradient needs. A kernel that makes the scores again does more."""
    return 2 * attention_flops(lengths_of(rest[4]), q.shape[1], q.shape[2])
