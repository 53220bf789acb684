"""Casts to float8 with one scale a matrix, as `trainer.float8.scaled` makes them: read once, written in both layouts.

Float8 products on an H100 want both factors with their contracted side in one piece, so that the backward pass needs
every matrix turned.
"""

import torch
import triton

from trainer.float8 import Scaled
from trainer.model.fused.cast_kernels import cast_tiles, peaks

_RUN = 4096
"""Values of a program that looks for the largest."""

_TILE = 128
"""Rows and columns of a program that casts: 128 bytes of each in one piece, in both layouts."""


def peak_of(x: torch.Tensor) -> torch.Tensor:
    """The largest |value| of x, (1,) float32; infinite or NaN where one is not finite."""
    x = x.contiguous()
    found = x.new_empty(triton.cdiv(x.numel(), _RUN), dtype=torch.float32)
    peaks[(len(found),)](x, found, x.numel(), _RUN)
    return over_parts(found)


def over_parts(found: torch.Tensor) -> torch.Tensor:
    """Largest values of parts, as a kernel left them -> (1,) of all."""
    return found.amax().reshape(1) if found.numel() else found.new_zeros(1)


def cast(x: torch.Tensor, peak: torch.Tensor, dtype: torch.dtype, rows: int | None = None) -> Scaled:
    """x (R, C) in `dtype`. peak: its largest |value|, (1,) float32. rows: of the result; those beyond R are zeros."""
    straight = _room(x, dtype, rows)
    return Scaled(straight, _cast(x, peak, straight, None))


def cast_turned(x: torch.Tensor, peak: torch.Tensor, dtype: torch.dtype) -> Scaled:
    """The transpose of x (R, C) in `dtype`, (C, R) with rows in one piece."""
    turned = _room(x.t(), dtype, None)
    return Scaled(turned, _cast(x, peak, None, turned))


def cast_both(
    x: torch.Tensor, peak: torch.Tensor, dtype: torch.dtype, rows: int | None = None
) -> tuple[Scaled, Scaled]:
    """`cast` and its transpose, of x, which is read once."""
    straight = _room(x, dtype, rows)
    turned = _room(straight.t(), dtype, None)
    unit = _cast(x, peak, straight, turned)
    return Scaled(straight, unit), Scaled(turned, unit)


def _room(like: torch.Tensor, dtype: torch.dtype, rows: int | None) -> torch.Tensor:
    return like.new_empty(len(like) if rows is None else rows, like.shape[1], dtype=dtype)


def _cast(
    x: torch.Tensor, peak: torch.Tensor, straight: torch.Tensor | None, turned: torch.Tensor | None
) -> torch.Tensor:
    """Fills what is given. Returns the unit of the values, (1, 1) float32."""
    made = straight if straight is not None else turned.t()  # type: ignore[union-attr]
    unit, (rows, width), tall = peak.new_empty(1, 1), x.shape, len(made)
    cast_tiles[(triton.cdiv(tall, _TILE), triton.cdiv(width, _TILE))](
        x.contiguous(), peak, unit, straight, turned, rows, tall, width,
        torch.finfo(made.dtype).max, _TILE, straight is not None, turned is not None, num_warps=8,
    )  # fmt: skip
    return unit
