"""Linear layers whose three matrix products run in float8: forward, and backward for the input and the weights.

Scales are made anew from each tensor: one for all of it (`tensorwise`), or one for every row and column that meet in a
product (`rowwise`), as in torchao's recipes of these names. The casts are plain operators, so that a compiler can join
them with what stands before; the products are `torch._scaled_mm`. Parameters and their names are those of `nn.Linear`.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from manifests.errors import ConfigError
from trainer.divides import Float8

if TYPE_CHECKING:
    from trainer.model.mmdit import MMDiT

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2

CAPABILITY = (8, 9)
"""The first CUDA devices that multiply float8."""

STREAMS = ("video", "shared")
"""Whose linears they are: the video's, or those of all streams as one; text and audio have too few rows to gain."""

TARGETS = ("qkv", "out", "ffn_in", "ffn_out")


class Scaled(NamedTuple):
    """A matrix, values * unit. values: (R, C) float8. unit: float32, (1, 1), or (R, 1) or (1, C) by the scaling."""

    values: torch.Tensor
    unit: torch.Tensor

    @property
    def turned(self) -> "Scaled":
        """Its transpose."""
        return Scaled(self.values.t(), self.unit.reshape(self.unit.shape[::-1]))


def scaled(x: torch.Tensor, dtype: torch.dtype, over: tuple[int, ...]) -> Scaled:
    """x (R, C) in float8, with one scale for all values along the axes `over`. Not finite there: NaN all along.

    Scales are powers of two, which change no bit of a mantissa: the cast is the only rounding, the inverse is exact,
    and compilers that divide otherwise find the same values. At most half of the range above is left empty.
    """
    amax = x.abs().amax(over, keepdim=True).float()
    room = torch.finfo(dtype).max / amax.clamp_min(2.0**-100)
    # A positive number with the bits of its exponent alone is rounded down to a power of two.
    scale = (room.view(torch.int32) & 0x7F80_0000).view(torch.float32)
    # Casts may saturate infinities, so that what is not finite is said by hand.
    scale = torch.where(amax < torch.inf, scale, torch.nan)
    return Scaled((x.float() * scale).to(dtype), scale.reciprocal())


def multiply(a: Scaled, b: Scaled, fast: bool = False) -> torch.Tensor:
    """a (M, K) times b (K, N), (M, N) bfloat16. fast: partial sums in fewer bits, on a GPU that can."""
    # Rows of the first and columns of the second must lie in one piece each.
    rows, columns = a.values.contiguous(), b.values.t().contiguous().t()
    return torch._scaled_mm(
        rows, columns, scale_a=a.unit, scale_b=b.unit, out_dtype=torch.bfloat16, use_fast_accum=fast
    )


def product_dtype(x: torch.Tensor) -> torch.dtype:
    """What a product of x is computed from, and returned in: autocast's dtype where it is on, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class _Product(torch.autograd.Function):
    """x (R, K), weight (N, K) -> x weight^T (R, N) bfloat16.

    Kept for the backward pass: the weight as it came (FSDP frees and gathers it again; a float8 copy would stay), and,
    where the weight trains, x in float8.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, rowwise: bool, train: bool) -> torch.Tensor:
        rows, columns = ((1,), (0,)) if rowwise else ((0, 1), (0, 1))
        x8 = scaled(x, E4M3, rows)
        kept: Scaled | tuple[()] = ()
        if train:
            kept = scaled(x, E4M3, columns) if rowwise else x8
        ctx.save_for_backward(weight, *kept)
        ctx.rowwise, ctx.dtype = rowwise, x.dtype
        return multiply(x8, scaled(weight, E4M3, rows).turned, fast=True)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        weight, *kept = ctx.saved_tensors
        rows, columns = ((1,), (0,)) if ctx.rowwise else ((0, 1), (0, 1))
        kind = E4M3 if ctx.rowwise else E5M2
        g8 = scaled(gradient, kind, rows)
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = multiply(g8, scaled(weight, E4M3, columns)).to(ctx.dtype)
        if kept:
            across = scaled(gradient, kind, columns) if ctx.rowwise else g8
            to_weight = multiply(across.turned, Scaled(*kept)).to(weight.dtype)
        return to_x, to_weight, None, None


class Float8Linear(nn.Linear):
    """An `nn.Linear` that multiplies in float8 when its input (R, in_features) has at least `least` rows.

    Computes from, and returns, the dtype that autocast would, else that of its input. On a GPU R must be a multiple of
    16 where the weights train (`ParallelSettings.row_align`).
    """

    rowwise: bool
    least: int

    @classmethod
    def of(cls, linear: nn.Linear, kind: Float8, least: int) -> "Float8Linear":
        """One with the parameters of `linear`, the very same."""
        made = cls(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        made.weight, made.bias = linear.weight, linear.bias
        made.rowwise, made.least = kind == "rowwise", least
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(R, in_features) -> (R, out_features)."""
        if x.shape[0] < self.least:
            return super().forward(x)
        dtype = product_dtype(x)
        train = torch.is_grad_enabled() and self.weight.requires_grad
        made = _Product.apply(x.to(dtype), self.weight, self.rowwise, train).to(dtype)
        return made if self.bias is None else made + self.bias.to(dtype)


def use_float8(model: "MMDiT", kind: Float8, least: int, device: torch.device) -> None:
    """Put them in the place of the four linears of `STREAMS` in every block, also where those are the base of adapters.

    In place, before sharding; nothing for `none`. Raises ConfigError for a CUDA device without float8.
    """
    if kind == "none":
        return
    if device.type == "cuda" and (has := torch.cuda.get_device_capability(device)) < CAPABILITY:
        raise ConfigError(
            "config:float8",
            f"parallel.float8 = {kind!r} needs a CUDA device of capability 8.9, and this one has {has[0]}.{has[1]}: "
            "set parallel.float8=none",
        )
    for block in model.blocks:
        for stream in (s for name, s in block.streams.items() if name in STREAMS):  # type: ignore[union-attr,operator]
            for path, linear in list(stream.named_modules()):
                if isinstance(linear, nn.Linear) and path.removesuffix(".base_layer") in TARGETS:
                    stream.set_submodule(path, Float8Linear.of(linear, kind, least))
