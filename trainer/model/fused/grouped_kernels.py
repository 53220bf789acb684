"""Triton source of `grouped.py`: tiles of three products of one inner and outer width, each with rows of its own.

No version is made for numbers of rows that 16 divides: there would be eight.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows0", "rows1", "rows2"])
def grouped(
    a0, a1, a2, b0, b1, b2, c0, c1, c2, rows0, rows1, rows2, width, depth, along, across,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """c (rows, width) = a (rows, depth) b, whose (d, w) lies at d * along + w * across."""
    tiles0, tiles1, tiles2 = tl.cdiv(rows0, ROWS), tl.cdiv(rows1, ROWS), tl.cdiv(rows2, ROWS)
    tiles = tiles0 + tiles1 + tiles2
    # Tiles of rows come first, so that programs at work together share a tile of weights.
    tile = tl.program_id(0) % tiles
    if tile < tiles0:
        a, b, c, rows = a0, b0, c0, rows0
    elif tile < tiles0 + tiles1:
        a, b, c, rows = a1, b1, c1, rows1
        tile -= tiles0
    else:
        a, b, c, rows = a2, b2, c2, rows2
        tile -= tiles0 + tiles1
    row = tile * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(0) // tiles * COLUMNS + tl.arange(0, COLUMNS)
    inner = tl.arange(0, DEPTH)
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(0, depth, DEPTH):
        left = start + inner < depth
        from_a = a + row[:, None].to(tl.int64) * depth + (start + inner)[None, :]
        from_b = b + (start + inner)[:, None].to(tl.int64) * along + column[None, :] * across
        x = tl.load(from_a, mask=(row < rows)[:, None] & left[None, :], other=0.0)
        w = tl.load(from_b, mask=left[:, None] & (column < width)[None, :], other=0.0)
        total = tl.dot(x, w, total, input_precision="ieee")
    to = c + row[:, None].to(tl.int64) * width + column[None, :]
    tl.store(to, total.to(c.dtype.element_ty), mask=(row < rows)[:, None] & (column < width)[None, :])
