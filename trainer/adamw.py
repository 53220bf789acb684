"""AdamW in one pass over memory, in Triton: moments of any float dtype as they lie, nothing written where a step is
skipped."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

EPSILON = 1e-8
_TILE = 1024
"""Values of a program: eight a thread, so that half-size ones are read 16 bytes at once."""


@torch.no_grad()
def adamw_(
    weights: Sequence[torch.Tensor],
    grads: Sequence[torch.Tensor],
    first: Sequence[torch.Tensor],
    second: Sequence[torch.Tensor],
    *,
    number: torch.Tensor,
    skip: torch.Tensor,
    factor: torch.Tensor,
    lr: float,
    betas: tuple[float, float],
    decay: float,
) -> None:
    """One update in place, as `torch._fused_adamw_` makes it. All tensors contiguous; a weight and its three alike in
    shape. number: of this update, from 1, and skip: 1 for none; float32 scalars on the device.
    """
    past = torch.stack([1 - beta ** number.double() for beta in betas])
    corrections = torch.stack([past[0], past[1].sqrt()]).float()
    for tensors in zip(weights, grads, first, second, strict=True):
        count = tensors[0].numel()
        _adamw[(triton.cdiv(count, _TILE),)](
            *tensors, corrections, skip, factor, count, lr, 1 - betas[0], 1 - betas[1], lr * decay, EPSILON, _TILE
        )


@triton.jit
def _adamw(w, g, m, v, corrections, skip, factor, count, lr, share1, share2, decay, epsilon, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    if tl.load(skip) == 0:
        at = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
        inside = at < count
        grad = tl.load(g + at, mask=inside, other=0.0).to(tl.float32) * tl.load(factor)
        mean = tl.load(m + at, mask=inside, other=0.0).to(tl.float32)
        square = tl.load(v + at, mask=inside, other=0.0).to(tl.float32)
        weight = tl.load(w + at, mask=inside, other=0.0).to(tl.float32)
        mean += share1 * (grad - mean)
        square += share2 * (grad * grad - square)
        root = tl.sqrt(square) / tl.load(corrections + 1) + epsilon
        weight -= decay * weight
        weight -= lr / tl.load(corrections) * mean / root
        tl.store(m + at, mean.to(m.dtype.element_ty), mask=inside)
        tl.store(v + at, square.to(v.dtype.element_ty), mask=inside)
        tl.store(w + at, weight.to(w.dtype.element_ty), mask=inside)
