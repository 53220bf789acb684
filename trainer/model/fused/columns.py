"""Work that needs no sum along a row: GELU of a biased product, and the last residual branch of a block."""

from typing import Any

import torch
import triton

from trainer.model.block import Rows
from trainer.model.fused.casts import over_parts
from trainer.model.fused.column_kernels import add_backward, add_forward, gelu_backward, gelu_forward
from trainer.model.fused.product import Input, Made
from trainer.model.fused.sums import by_group, over_all

_TILE = 1024
"""Columns of a program."""


def gelu(made: Made, row: Rows, peak: bool) -> Input:
    """GELU (tanh) of a product (R, F). peak: whether that of the result is asked for."""
    bent, highest = _Gelu.apply(*made, row.chunks, peak)
    return Input(bent, highest, len(bent))


def add(x: torch.Tensor, branch: Made, gate: torch.Tensor, row: Rows) -> torch.Tensor:
    """x + gate branch. x, branch: (R, W); gate: (G, W) float32."""
    return _Add.apply(x, *branch, gate, row.group, row.chunks)  # type: ignore[no-any-return]


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        h: torch.Tensor,
        bias: torch.Tensor | None,
        mark: torch.Tensor | None,
        chunks: torch.Tensor,
        peak: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        ctx.set_materialize_grads(False)
        out = torch.empty_like(h)
        grid = (h.shape[0], triton.cdiv(h.shape[1], _TILE))
        peaks = h.new_empty(grid, dtype=torch.float32) if peak else None
        gelu_forward[grid](h, bias, out, peaks, h.shape[1], _TILE, bias is not None, peak)
        ctx.save_for_backward(h, bias, chunks)
        ctx.marked = mark is not None
        if peaks is None:
            return out, None
        highest = over_parts(peaks)
        ctx.mark_non_differentiable(highest)
        return out, highest

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor | None, _: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        if given is None:
            return None, None, None, None, None
        h, bias, chunks = ctx.saved_tensors
        dh, width = torch.empty_like(h), h.shape[1]
        sums = h.new_empty(len(chunks), width, dtype=torch.float32)
        grid = (len(chunks), triton.cdiv(width, _TILE))
        peaks = sums.new_empty(grid) if ctx.marked else None
        gelu_backward[grid](
            given.contiguous(), h, bias, chunks, dh, sums, peaks, width, _TILE, bias is not None, ctx.marked
        )
        return dh, over_all(sums, bias), None if peaks is None else over_parts(peaks), None, None


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        branch: torch.Tensor,
        bias: torch.Tensor | None,
        mark: torch.Tensor | None,
        gate: torch.Tensor,
        group: torch.Tensor,
        chunks: torch.Tensor,
    ) -> torch.Tensor:
        out, width = torch.empty_like(x), x.shape[1]
        grid = (x.shape[0], triton.cdiv(width, _TILE))
        add_forward[grid](x, branch, bias, gate, group, out, width, gate.stride(0), _TILE, bias is not None)
        ctx.save_for_backward(branch, bias, gate, chunks)
        ctx.marked = mark is not None
        return out

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        branch, bias, gate, chunks = ctx.saved_tensors
        down, width = torch.empty_like(branch), branch.shape[1]
        sums = down.new_empty(len(chunks), 2, width, dtype=torch.float32)
        grid = (len(chunks), triton.cdiv(width, _TILE))
        peaks = sums.new_empty(grid) if ctx.marked else None
        add_backward[grid](
            given.contiguous(), branch, bias, gate, chunks, down, sums, peaks, width, gate.stride(0),
            _TILE, bias is not None, ctx.marked,
        )  # fmt: skip
        dgate = by_group(sums[:, 0], chunks, gate.shape[0])
        dmark = None if peaks is None else over_parts(peaks)
        return given, down, over_all(sums[:, 1], bias), dmark, dgate, None, None
