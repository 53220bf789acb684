"""What the card sustains on the model's own shapes: products in bf16 and float8, attention, copies."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from bench.step.device import sustained
from trainer.model.config import ModelConfig
from trainer.model.kernels import attend, pick
from trainer.plan.trained import linears

PASSES = ("forward", "dX", "dW")

Seconds = Mapping[tuple[str, str], float]
"""Of one product, by (which matrix, which pass)."""

Matrix = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""x (rows, in), w (out, in) and the gradient of the product (rows, out), bf16."""


class Ceilings(NamedTuple):
    """gemm, float8: seconds of the products of one block; float8 None where the card or torch has none.

    attention: seconds of one block's, forward, and both passes. squares: sum of squares of the documents' tokens.
    copy: bytes/s, read and written.
    """

    config: ModelConfig
    rows: int
    gemm: Seconds
    float8: Seconds | None
    attention: tuple[float, float]
    squares: int
    copy: float

    def rate(self, seconds: Seconds) -> float:
        """FLOP/s over all products of a block, weighted by their time."""
        flops = sum(6 * self.rows * out * given for out, given in linears(self.config).values())
        return flops / sum(seconds.values())

    @property
    def attention_rates(self) -> tuple[float, float]:
        """FLOP/s forward (4 S^2 d) and over both passes (14 S^2 d: the scores are made again)."""
        work = self.squares * self.config.width
        return 4 * work / self.attention[0], 14 * work / self.attention[1]


def measure(config: ModelConfig, rows: int, lengths: Sequence[int], device: torch.device) -> Ceilings:
    """All of them, one after another, each for about as long as it takes a card to settle."""
    for_s = 1.0 if device.type == "cuda" else 0.0
    try:
        float8 = _products(config, rows, device, for_s / 2, _in_float8)
    except RuntimeError as error:  # a card or a build of torch without them
        print(f"no float8 products: {str(error).splitlines()[0]}", flush=True)
        float8 = None
    return Ceilings(
        config,
        rows,
        _products(config, rows, device, for_s / 2, _in_bf16),
        float8,
        _attention(config, lengths, device, for_s),
        sum(n * n for n in lengths),
        _copy(device, for_s),
    )


def _products(
    config: ModelConfig,
    rows: int,
    device: torch.device,
    for_s: float,
    kind: Callable[[Matrix], Sequence[Callable[[], torch.Tensor]]],
) -> Seconds:
    found: dict[tuple[str, str], float] = {}
    for name, (out, given) in linears(config).items():
        shapes = ((rows, given), (out, given), (rows, out))
        x, w, g = (torch.randn(shape, device=device, dtype=torch.bfloat16) for shape in shapes)
        for one, work in zip(PASSES, kind((x, w, g)), strict=True):
            found[name, one] = sustained(work, device, for_s)
    return found


def _in_bf16(matrix: Matrix) -> Sequence[Callable[[], torch.Tensor]]:
    x, w, g = matrix
    return (lambda: functional.linear(x, w), lambda: g.mm(w), lambda: g.t().mm(x))


def _in_float8(matrix: Matrix) -> Sequence[Callable[[], torch.Tensor]]:
    """One scale a tensor; the first factor lies by rows and the second by columns, as Hopper's cores want them."""
    forward, back = torch.float8_e4m3fn, torch.float8_e5m2
    x, w, g = (tensor.to(dtype) for tensor, dtype in zip(matrix, (forward, forward, back), strict=True))
    xt, wt, gt = (tensor.t().contiguous() for tensor in (x, w, g))
    one = torch.ones((), device=x.device)

    def product(a: torch.Tensor, b: torch.Tensor) -> Callable[[], torch.Tensor]:
        return lambda: torch._scaled_mm(
            a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=a.dtype == forward
        )

    return (product(x, w.t()), product(g, wt.t()), product(gt, xt.t()))


def _attention(config: ModelConfig, lengths: Sequence[int], device: torch.device, for_s: float) -> tuple[float, float]:
    """With the kernel that `auto` picks for bf16."""
    kernel = pick("auto", device, torch.bfloat16)
    shape = (sum(lengths), config.heads, config.head_dim)
    q, k, v = (torch.randn(shape, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    gradient, segments = torch.randn_like(q), torch.tensor([*lengths, 0])

    def both() -> object:
        return torch.autograd.grad(attend(q, k, v, segments, kernel), (q, k, v), gradient)

    with torch.no_grad():
        ahead = sustained(lambda: attend(q, k, v, segments, kernel), device, for_s)
    return ahead, sustained(both, device, for_s)


def _copy(device: torch.device, for_s: float) -> float:
    a, b = (torch.empty(2**30 if device.type == "cuda" else 2**20, device=device, dtype=torch.bfloat16) for _ in "ab")
    return 2 * a.nbytes / sustained(lambda: a.copy_(b), device, for_s)
