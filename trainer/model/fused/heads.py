"""From the products of the streams to queries, keys and values in document order: bias, RMSNorm, RoPE, one pass."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton

from trainer.model.fused.casts import over_parts
from trainer.model.fused.head_kernels import heads_backward, heads_forward
from trainer.model.fused.sums import over_all
from trainer.model.norms import EPSILON

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Source(NamedTuple):
    """One buffer's share. qkv: (R_s, 3 W), bias and mark: as in `Made`. weight: (2, head_dim) of the norms.

    rope: (R_s, 2, head_dim) float32. place: (R_s,) int32, where a row goes, -1 for nowhere; None: where it lies.
    chunks: (C, 3) int32.
    """

    qkv: torch.Tensor
    bias: torch.Tensor | None
    mark: torch.Tensor | None
    weight: torch.Tensor
    rope: torch.Tensor
    place: torch.Tensor | None
    chunks: torch.Tensor


def to_heads(sources: Sequence[Source], rows: int, heads: int) -> Three:
    """q, k and v, (rows, heads, head_dim) each; every row of them must be the place of a row of one source."""
    return _Heads.apply(rows, heads, *(part for source in sources for part in source))  # type: ignore[no-any-return]


_PARTS = len(Source._fields)


class _Heads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: int, heads: int, *parts: Any) -> Three:
        sources = _sources(parts)
        size = sources[0].weight.shape[1]
        out = tuple(sources[0].qkv.new_empty(rows, heads, size) for _ in range(3))
        for source in sources:
            for part in range(3):
                _launch(heads_forward, len(source.qkv), source, out[part], part)
        ctx.save_for_backward(*parts)
        return out  # type: ignore[return-value]

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> tuple[Any, ...]:
        grads: list[Any] = [None, None]
        for source in _sources(ctx.saved_tensors):
            chunks, size = len(source.chunks), source.weight.shape[1]
            down = torch.empty_like(source.qkv)
            biases = down.new_empty(chunks, down.shape[1], dtype=torch.float32)
            weights = down.new_empty(chunks, 2, size, dtype=torch.float32)
            peaks = None if source.mark is None else biases.new_empty(chunks, 3)
            results = down, biases, weights, peaks, peaks is not None
            for part in range(3):
                _launch(heads_backward, chunks, source, given[part].contiguous(), part, *results)
            dmark = None if peaks is None else over_parts(peaks)
            grads += [down, over_all(biases, source.bias), dmark, over_all(weights, source.weight), None, None, None]
        return tuple(grads)


def _sources(parts: Sequence[Any]) -> list[Source]:
    return [Source(*parts[i : i + _PARTS]) for i in range(0, len(parts), _PARTS)]


def _launch(kernel: Any, programs: int, source: Source, joint: torch.Tensor, part: int, *results: Any) -> None:
    """part: 0 queries, 1 keys, 2 values, of which `joint` (rows, heads, head_dim) holds the result or its gradient."""
    rows, heads, size = joint.shape
    kernel[(programs,)](
        joint, source.qkv, source.bias, source.weight, source.rope, source.place, source.chunks,
        rows, heads, size // 2, EPSILON, part, triton.next_power_of_2(heads), triton.next_power_of_2(size // 2),
        source.place is not None, source.bias is not None, *results, num_warps=8,
    )  # fmt: skip
