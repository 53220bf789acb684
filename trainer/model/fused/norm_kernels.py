"""Triton sources of `norm.py`: a program holds a row; backward, the rows of a chunk one after the other."""

import triton
import triton.language as tl

from trainer.model.fused.cast_kernels import largest


@triton.jit(do_not_specialize=["rows", "branch_rows"])
def norm_forward(
    x, branch, bias, gate, shift, scale, group, summed, y, statistics, peaks,
    rows, width, branch_rows, stride, epsilon,
    BLOCK: tl.constexpr, HAS_BRANCH: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_PEAK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    table = tl.load(group + row) * stride + columns
    here = row * width + columns
    value = tl.load(x + here, mask=inside, other=0.0).to(tl.float32)
    if HAS_BRANCH:
        there = inside & (row < branch_rows)
        added = tl.load(branch + here, mask=there, other=0.0).to(tl.float32)
        if HAS_BIAS:
            added += tl.load(bias + columns, mask=there, other=0.0).to(tl.float32)
        value += tl.load(gate + table, mask=inside, other=0.0) * added
        kept = value.to(summed.dtype.element_ty)
        tl.store(summed + here, kept, mask=inside)
        value = kept.to(tl.float32)
    mean = tl.sum(value) / width
    centred = tl.where(inside, value - mean, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred) / width + epsilon)
    factor = 1.0 + tl.load(scale + table, mask=inside, other=0.0)
    result = centred * inverse * factor + tl.load(shift + table, mask=inside, other=0.0)
    result = result.to(y.dtype.element_ty)
    tl.store(y + here, result, mask=inside)
    if HAS_PEAK:
        tl.store(peaks + row, largest(result.to(tl.float32)))
    tl.store(statistics + row, mean)
    tl.store(statistics + rows + row, inverse)


@triton.jit(do_not_specialize=["rows", "branch_rows"])
def norm_backward(
    later, dy, summed, statistics, branch, bias, gate, scale, chunks, dx, dbranch, sums, peaks,
    rows, width, branch_rows, stride,
    BLOCK: tl.constexpr, HAS_BRANCH: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_PEAK: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0)
    first, last = tl.load(chunks + 3 * chunk), tl.load(chunks + 3 * chunk + 1)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    table = tl.load(chunks + 3 * chunk + 2).to(tl.int64) * stride + columns
    factor = 1.0 + tl.load(scale + table, mask=inside, other=0.0)
    shifts = tl.zeros([BLOCK], tl.float32)
    scales = tl.zeros([BLOCK], tl.float32)
    gates = tl.zeros([BLOCK], tl.float32)
    biases = tl.zeros([BLOCK], tl.float32)
    peak = 0.0
    if HAS_BRANCH:
        opened = tl.load(gate + table, mask=inside, other=0.0)
        offset = tl.zeros([BLOCK], tl.float32)
        if HAS_BIAS:
            offset += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    for row in range(first, last):
        here = tl.cast(row, tl.int64) * width + columns
        mean, inverse = tl.load(statistics + row), tl.load(statistics + rows + row)
        value = tl.load(summed + here, mask=inside, other=0.0).to(tl.float32)
        normed = tl.where(inside, (value - mean) * inverse, 0.0)
        given = tl.load(dy + here, mask=inside, other=0.0).to(tl.float32)
        shifts += given
        scales += given * normed
        inner = given * factor
        both = tl.sum(inner * normed) / width
        total = inverse * (inner - tl.sum(inner) / width - normed * both)
        total += tl.load(later + here, mask=inside, other=0.0).to(tl.float32)
        tl.store(dx + here, total.to(dx.dtype.element_ty), mask=inside)
        if HAS_BRANCH:
            there = inside & (row < branch_rows)
            added = tl.load(branch + here, mask=there, other=0.0).to(tl.float32) + offset
            down = tl.where(there, total * opened, 0.0)
            gates += tl.where(there, total * added, 0.0)
            biases += down
            down = down.to(dbranch.dtype.element_ty)
            tl.store(dbranch + here, down, mask=there)
            if HAS_PEAK:
                peak = tl.maximum(peak, largest(down.to(tl.float32)))
    parts = 4 if HAS_BRANCH else 2
    out = sums + chunk.to(tl.int64) * parts * width + columns
    tl.store(out, shifts, mask=inside)
    tl.store(out + width, scales, mask=inside)
    if HAS_BRANCH:
        tl.store(out + 2 * width, gates, mask=inside)
        tl.store(out + 3 * width, biases, mask=inside)
    if HAS_PEAK:
        tl.store(peaks + chunk, peak)
