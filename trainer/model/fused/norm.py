"""LayerNorm and AdaLN's shift and scale, after the residual branch that ends there if one does."""

from typing import Any

import torch
import triton

from trainer.model.block import Rows
from trainer.model.fused.casts import over_parts
from trainer.model.fused.norm_kernels import norm_backward, norm_forward
from trainer.model.fused.product import Input, Made
from trainer.model.fused.sums import by_group, over_all
from trainer.model.norms import EPSILON


def norm_modulate(
    x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, row: Rows, peak: bool
) -> tuple[torch.Tensor, Input]:
    """x (R, W) -> x itself, and LN(x) (1 + scale) + shift in x's dtype; shift and scale (G, W) float32.

    Go on with the x returned: its gradient then joins that of the other in one pass. peak: whether that of the other is
    asked for.
    """
    x, y, highest = _Norm.apply(x, None, None, None, None, shift, scale, row.group, row.chunks, peak)
    return x, Input(y, highest, len(y))


def add_norm_modulate(
    x: torch.Tensor, branch: Made, gate: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, row: Rows, peak: bool
) -> tuple[torch.Tensor, Input]:
    """x + gate branch, and LN of that (1 + scale) + shift. branch: (M, W), M <= R; rows beyond M have none."""
    x, y, highest = _Norm.apply(x, *branch, gate, shift, scale, row.group, row.chunks, peak)
    return x, Input(y, highest, len(y))


def normed(tokens: torch.Tensor, table: torch.Tensor, group: torch.Tensor, chunks: torch.Tensor) -> torch.Tensor:
    """What `trainer.model.streams.media.normed` does."""
    shift, scale = table.split(table.shape[1] // 2, dim=1)
    return _Norm.apply(tokens, None, None, None, None, shift, scale, group, chunks, False)[1]  # type: ignore[no-any-return]


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        branch: torch.Tensor | None,
        bias: torch.Tensor | None,
        mark: torch.Tensor | None,
        gate: torch.Tensor | None,
        shift: torch.Tensor,
        scale: torch.Tensor,
        group: torch.Tensor,
        chunks: torch.Tensor,
        peak: bool,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        ctx.set_materialize_grads(False)
        rows, width = x.shape
        summed = x if branch is None else torch.empty_like(x)
        y, statistics = torch.empty_like(x), x.new_empty(2, rows, dtype=torch.float32)
        peaks = statistics.new_empty(rows) if peak else None
        norm_forward[(rows,)](
            x, branch, bias, gate, shift, scale, group, summed, y, statistics, peaks,
            rows, width, 0 if branch is None else branch.shape[0], scale.stride(0), EPSILON,
            triton.next_power_of_2(width), branch is not None, bias is not None, peak, num_warps=_warps(width),
        )  # fmt: skip
        ctx.save_for_backward(summed, statistics, branch, bias, gate, scale, chunks)
        ctx.marked = mark is not None
        if peaks is None:
            return summed, y, None
        highest = over_parts(peaks)
        ctx.mark_non_differentiable(highest)
        return summed, y, highest

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, later: torch.Tensor | None, dy: torch.Tensor | None, _: Any
    ) -> tuple[torch.Tensor | None, ...]:
        if later is None and dy is None:
            return (None,) * 10
        summed, statistics, branch, bias, gate, scale, chunks = ctx.saved_tensors
        later, dy = (torch.zeros_like(summed) if given is None else given for given in (later, dy))
        (rows, width), has = summed.shape, branch is not None
        dx = torch.empty_like(summed)
        dbranch = torch.empty_like(branch) if has else None
        sums = dx.new_empty(len(chunks), 4 if has else 2, width, dtype=torch.float32)
        peaks = sums.new_empty(len(chunks)) if ctx.marked else None
        norm_backward[(len(chunks),)](
            later.contiguous(), dy.contiguous(), summed, statistics, branch, bias, gate, scale, chunks,
            dx, dbranch, sums, peaks, rows, width, branch.shape[0] if has else 0, scale.stride(0),
            triton.next_power_of_2(width), has, bias is not None, ctx.marked, num_warps=2 * _warps(width),
        )  # fmt: skip
        tables = by_group(sums[:, :3], chunks, scale.shape[0])
        dgate = tables[:, 2] if has else None
        dbias = over_all(sums[:, 3], bias) if has else None
        dmark = None if peaks is None else over_parts(peaks)
        return dx, dbranch, dbias, dmark, dgate, tables[:, 0], tables[:, 1], None, None, None


def _warps(width: int) -> int:
    """Forward: of a row of 4,096, a thread holds 16 values. Backward takes twice as many, for it sums beside them."""
    return 8 if width > 1024 else 4
