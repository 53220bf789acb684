"""Triton sources of `columns.py`: a program holds a tile of columns of a row; backward, of the rows of a chunk."""

import triton
import triton.language as tl

from trainer.model.fused.cast_kernels import largest


@triton.jit
def _tanh(x):
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def gelu_forward(h, bias, out, peaks, width, TILE: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_PEAK: tl.constexpr):
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = columns < width
    here = tl.program_id(0).to(tl.int64) * width + columns
    x = tl.load(h + here, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        x += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    bent = _tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    result = (0.5 * x * (1.0 + bent)).to(out.dtype.element_ty)
    tl.store(out + here, result, mask=inside)
    if HAS_PEAK:
        at = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
        tl.store(peaks + at, largest(result.to(tl.float32)))


@triton.jit
def gelu_backward(
    given, h, bias, chunks, dh, sums, peaks, width, TILE: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_PEAK: tl.constexpr
):
    chunk = tl.program_id(0)
    first, last = tl.load(chunks + 3 * chunk), tl.load(chunks + 3 * chunk + 1)
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = columns < width
    offset = tl.zeros([TILE], tl.float32)
    if HAS_BIAS:
        offset += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros([TILE], tl.float32)
    peak = 0.0
    for row in range(first, last):
        here = tl.cast(row, tl.int64) * width + columns
        x = tl.load(h + here, mask=inside, other=0.0).to(tl.float32) + offset
        bent = _tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
        steep = 0.7978845608028654 * (1.0 + 0.134145 * x * x)
        slope = 0.5 * (1.0 + bent) + 0.5 * x * (1.0 - bent * bent) * steep
        down = tl.load(given + here, mask=inside, other=0.0).to(tl.float32) * slope
        total += down
        down = down.to(dh.dtype.element_ty)
        tl.store(dh + here, down, mask=inside)
        if HAS_PEAK:
            peak = tl.maximum(peak, largest(down.to(tl.float32)))
    tl.store(sums + chunk.to(tl.int64) * width + columns, total, mask=inside)
    if HAS_PEAK:
        tl.store(peaks + chunk * tl.num_programs(1) + tl.program_id(1), peak)


@triton.jit
def add_forward(x, branch, bias, gate, group, out, width, stride, TILE: tl.constexpr, HAS_BIAS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = columns < width
    here = row * width + columns
    added = tl.load(branch + here, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        added += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    opened = tl.load(gate + tl.load(group + row) * stride + columns, mask=inside, other=0.0)
    result = tl.load(x + here, mask=inside, other=0.0).to(tl.float32) + opened * added
    tl.store(out + here, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def add_backward(
    given, branch, bias, gate, chunks, down, sums, peaks, width, stride,
    TILE: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_PEAK: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0)
    first, last = tl.load(chunks + 3 * chunk), tl.load(chunks + 3 * chunk + 1)
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = columns < width
    table = tl.load(chunks + 3 * chunk + 2).to(tl.int64) * stride + columns
    opened = tl.load(gate + table, mask=inside, other=0.0)
    offset = tl.zeros([TILE], tl.float32)
    if HAS_BIAS:
        offset += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    gates = tl.zeros([TILE], tl.float32)
    biases = tl.zeros([TILE], tl.float32)
    peak = 0.0
    for row in range(first, last):
        here = tl.cast(row, tl.int64) * width + columns
        dx = tl.load(given + here, mask=inside, other=0.0).to(tl.float32)
        gates += dx * (tl.load(branch + here, mask=inside, other=0.0).to(tl.float32) + offset)
        passed = dx * opened
        biases += passed
        passed = passed.to(down.dtype.element_ty)
        tl.store(down + here, passed, mask=inside)
        if HAS_PEAK:
            peak = tl.maximum(peak, largest(passed.to(tl.float32)))
    out = sums + chunk.to(tl.int64) * 2 * width + columns
    tl.store(out, gates, mask=inside)
    tl.store(out + width, biases, mask=inside)
    if HAS_PEAK:
        tl.store(peaks + chunk * tl.num_programs(1) + tl.program_id(1), peak)
