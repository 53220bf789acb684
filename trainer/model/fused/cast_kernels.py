"""Triton sources of `casts.py`: largest values, and tiles of a matrix cast to float8 as they lie and turned."""

import triton
import triton.language as tl


@triton.jit
def largest(x):
    """The largest |value| of a tile; infinite where one is not a number, which a maximum would pass over."""
    size = tl.abs(x)
    return tl.max(tl.where(size < float("inf"), size, float("inf")))


@triton.jit
def peaks(x, out, count, TILE: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    value = tl.load(x + at, mask=at < count, other=0.0).to(tl.float32)
    tl.store(out + tl.program_id(0), largest(value))


@triton.jit(do_not_specialize=["rows"])
def cast_tiles(
    x, peak, unit, straight, turned, rows, tall, width,
    MOST: tl.constexpr, TILE: tl.constexpr, STRAIGHT: tl.constexpr, TURNED: tl.constexpr,
):  # fmt: skip
    biggest = tl.load(peak)
    room = tl.div_rn(MOST, tl.maximum(biggest, 7.888609052210118e-31))  # 2^-100
    # As in `trainer.float8.scaled`: a power of two, or NaN.
    scale = (room.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True)
    scale = tl.where(biggest < float("inf"), scale, float("nan"))
    if (tl.program_id(0) == 0) & (tl.program_id(1) == 0):
        tl.store(unit, tl.div_rn(1.0, scale))
    row = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)[:, None]
    column = tl.program_id(1).to(tl.int64) * TILE + tl.arange(0, TILE)[None, :]
    value = tl.load(x + row * width + column, mask=(row < rows) & (column < width), other=0.0).to(tl.float32) * scale
    inside = (row < tall) & (column < width)
    if STRAIGHT:
        tl.store(straight + row * width + column, value.to(straight.dtype.element_ty), mask=inside)
    if TURNED:
        tl.store(turned + column * tall + row, value.to(turned.dtype.element_ty), mask=inside)
