"""Triton sources of `heads.py`: a program holds all heads of a row, as first and second halves of their channels.

PART: 0 queries, 1 keys, which are normed and turned; 2 values, which are not.
"""

import triton
import triton.language as tl

from trainer.model.fused.cast_kernels import largest


@triton.jit(do_not_specialize=["rows"])
def heads_forward(
    joint, qkv, bias, weight, rope, place, chunks, rows, heads, half, epsilon,
    PART: tl.constexpr, HEADS: tl.constexpr, HALF: tl.constexpr, PLACED: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head, channel = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    inside = (head < heads) & (channel < half)
    low, width = head * 2 * half + channel, heads * 2 * half
    x1, x2 = _halves(qkv + (row * 3 + PART) * width + low, half, inside)
    if HAS_BIAS:
        b1, b2 = _halves(bias + PART * width + low, half, inside)
        x1 += b1
        x2 += b2
    if PART < 2:
        x1, x2, _ = _normed(x1, x2, half, epsilon)
        w1, w2 = _halves(weight + PART * 2 * half + channel, half, channel < half)
        x1, x2 = x1 * w1, x2 * w2
        cos, sin = _turn(rope, row, channel, half)
        x1, x2 = x1 * cos - x2 * sin, x2 * cos + x1 * sin
    target, kept = _target(place, row, rows, PLACED)
    out = joint + target * width + low
    tl.store(out, x1.to(joint.dtype.element_ty), mask=inside & kept)
    tl.store(out + half, x2.to(joint.dtype.element_ty), mask=inside & kept)


@triton.jit(do_not_specialize=["rows"])
def heads_backward(
    joint, qkv, bias, weight, rope, place, chunks, rows, heads, half, epsilon,
    PART: tl.constexpr, HEADS: tl.constexpr, HALF: tl.constexpr, PLACED: tl.constexpr, HAS_BIAS: tl.constexpr,
    down, biases, weights, peaks, HAS_PEAK: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0).to(tl.int64)
    head, channel = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    lane = channel < half
    inside = (head < heads) & lane
    low, width = head * 2 * half + channel, heads * 2 * half
    bias1, bias2 = tl.zeros([HEADS, HALF], tl.float32), tl.zeros([HEADS, HALF], tl.float32)
    weight1, weight2 = tl.zeros([1, HALF], tl.float32), tl.zeros([1, HALF], tl.float32)
    peak = 0.0
    for index in range(tl.load(chunks + 3 * chunk), tl.load(chunks + 3 * chunk + 1)):
        row = tl.cast(index, tl.int64)
        target, kept = _target(place, row, rows, PLACED)
        g1, g2 = _halves(joint + target * width + low, half, inside & kept)
        if PART < 2:
            x1, x2 = _halves(qkv + (row * 3 + PART) * width + low, half, inside)
            if HAS_BIAS:
                b1, b2 = _halves(bias + PART * width + low, half, inside)
                x1 += b1
                x2 += b2
            x1, x2, inverse = _normed(x1, x2, half, epsilon)
            cos, sin = _turn(rope, row, channel, half)
            g1, g2 = g1 * cos + g2 * sin, g2 * cos - g1 * sin
            weight1 += tl.sum(g1 * x1, axis=0, keep_dims=True)
            weight2 += tl.sum(g2 * x2, axis=0, keep_dims=True)
            w1, w2 = _halves(weight + PART * 2 * half + channel, half, lane)
            g1, g2 = g1 * w1, g2 * w2
            along = tl.sum(g1 * x1 + g2 * x2, axis=1, keep_dims=True) / (2 * half)
            g1, g2 = inverse * (g1 - x1 * along), inverse * (g2 - x2 * along)
        bias1 += g1
        bias2 += g2
        out = down + (row * 3 + PART) * width + low
        g1, g2 = g1.to(down.dtype.element_ty), g2.to(down.dtype.element_ty)
        tl.store(out, g1, mask=inside)
        tl.store(out + half, g2, mask=inside)
        if HAS_PEAK:
            peak = tl.maximum(peak, tl.maximum(largest(g1.to(tl.float32)), largest(g2.to(tl.float32))))
    if HAS_PEAK:
        tl.store(peaks + chunk * 3 + PART, peak)
    summed = biases + (chunk * 3 + PART) * width + low
    tl.store(summed, bias1, mask=inside)
    tl.store(summed + half, bias2, mask=inside)
    if PART < 2:
        own = weights + (chunk * 2 + PART) * 2 * half + channel
        tl.store(own, weight1, mask=lane)
        tl.store(own + half, weight2, mask=lane)


@triton.jit
def _halves(at, half, mask):
    """A tile and the one half a head further, float32."""
    first = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    return first, tl.load(at + half, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _normed(x1, x2, half, epsilon):
    """Heads divided by their root mean square, and what they were multiplied with."""
    inverse = 1.0 / tl.sqrt(tl.sum(x1 * x1 + x2 * x2, axis=1, keep_dims=True) / (2 * half) + epsilon)
    return x1 * inverse, x2 * inverse, inverse


@triton.jit
def _turn(rope, row, channel, half):
    """Cosines and sines of a row, from [cos, cos] and [-sin, sin]."""
    at = rope + row * 4 * half + channel
    lane = channel < half
    return tl.load(at, mask=lane, other=0.0), tl.load(at + 3 * half, mask=lane, other=0.0)


@triton.jit
def _target(place, row, rows, PLACED: tl.constexpr):
    """Where a row goes among the `rows`, and whether it goes anywhere."""
    if PLACED:
        target = tl.load(place + row).to(tl.int64)
    else:
        target = row
    return target, (target >= 0) & (target < rows)
