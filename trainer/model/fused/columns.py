"""Work that needs no sum along a row: GELU of a biased product, and the last residual branch of a block."""

from typing import Any

import torch
import triton

from trainer.model.block import Rows
from trainer.model.fused.column_kernels import add_backward, add_forward, gelu_backward, gelu_forward
from trainer.model.fused.sums import by_group, over_all

_TILE = 1024
"""Columns of a program."""


def gelu(h: torch.Tensor, bias: torch.Tensor | None, row: Rows) -> torch.Tensor:
    """GELU (tanh) of h + bias. h: (R, F)."""
    return _Gelu.apply(h, bias, row.chunks)  # type: ignore[no-any-return]


def add(
    x: torch.Tensor, branch: torch.Tensor, bias: torch.Tensor | None, gate: torch.Tensor, row: Rows
) -> torch.Tensor:
    """x + gate (branch + bias). x, branch: (R, W); gate: (G, W) float32."""
    return _Add.apply(x, branch, bias, gate, row.group, row.chunks)  # type: ignore[no-any-return]


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: torch.Tensor, bias: torch.Tensor | None, chunks: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(h)
        grid = (h.shape[0], triton.cdiv(h.shape[1], _TILE))
        gelu_forward[grid](h, bias, out, h.shape[1], _TILE, bias is not None)
        ctx.save_for_backward(h, bias, chunks)
        return out

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        h, bias, chunks = ctx.saved_tensors
        dh = torch.empty_like(h)
        sums = h.new_empty(len(chunks), h.shape[1], dtype=torch.float32)
        grid = (len(chunks), triton.cdiv(h.shape[1], _TILE))
        gelu_backward[grid](given.contiguous(), h, bias, chunks, dh, sums, h.shape[1], _TILE, bias is not None)
        return dh, over_all(sums, bias), None


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        branch: torch.Tensor,
        bias: torch.Tensor | None,
        gate: torch.Tensor,
        group: torch.Tensor,
        chunks: torch.Tensor,
    ) -> torch.Tensor:
        out, width = torch.empty_like(x), x.shape[1]
        grid = (x.shape[0], triton.cdiv(width, _TILE))
        add_forward[grid](x, branch, bias, gate, group, out, width, gate.stride(0), _TILE, bias is not None)
        ctx.save_for_backward(branch, bias, gate, chunks)
        return out

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        branch, bias, gate, chunks = ctx.saved_tensors
        down, width = torch.empty_like(branch), branch.shape[1]
        sums = down.new_empty(len(chunks), 2, width, dtype=torch.float32)
        grid = (len(chunks), triton.cdiv(width, _TILE))
        add_backward[grid](
            given.contiguous(), branch, bias, gate, chunks, down, sums, width, gate.stride(0), _TILE, bias is not None
        )
        dgate = by_group(sums[:, 0], chunks, gate.shape[0])
        return given, down, over_all(sums[:, 1], bias), dgate, None, None
