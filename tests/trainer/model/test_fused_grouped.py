"""Products of the streams with few rows in one launch: the numbers of one by one."""

from functools import partial
from unittest.mock import patch

import pytest
import torch
from torch import nn

from manifests.errors import ConfigError
from tests.trainer.model.twins import DEVICE, assert_equal, mixed, outcome, twins
from trainer.model.fused import grouped, grouped_kernels
from trainer.model.fused.grouped import times_each
from trainer.model.fused.multiply import multiply_each
from trainer.model.fused.product import Input
from trainer.model.mmdit import MMDiT
from trainer.packing import pack
from trainer.parallel import ParallelSettings, World, parallelize

KERNEL = grouped_kernels.grouped
HALF = torch.bfloat16 if DEVICE.type == "cuda" else torch.float16
"""Triton's interpreter takes the bits of bfloat16 for integers when it multiplies matrices."""


def three(dtype: torch.dtype, rows: tuple[int, ...], depth: int, width: int) -> tuple[list[torch.Tensor], ...]:
    g = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=g)
    tensors = [draw(n, depth) for n in rows], [draw(width, depth) for _ in rows], [draw(n, width) for n in rows]
    return tuple([x.to(DEVICE, dtype) for x in of] for of in tensors)


@pytest.mark.parametrize("rows", [(5, 130, 1), (128, 16, 300)], ids=str)
def test_tiles_with_edges_in_all_directions(rows):
    x, w, g = three(torch.float32, rows, 72, 200)
    for found, exact in zip(multiply_each(x, w, turned=True), (a @ b.t() for a, b in zip(x, w)), strict=True):
        assert torch.allclose(found, exact, atol=1e-4)
    for found, exact in zip(multiply_each(g, w, turned=False), (a @ b for a, b in zip(g, w)), strict=True):
        assert torch.allclose(found, exact, atol=2e-4)


@pytest.fixture
def linears():
    torch.manual_seed(0)
    return [nn.Linear(32, 48, dtype=HALF, device=DEVICE) for _ in range(4)]


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_are_those_of_one_by_one(linears, autocast, monkeypatch):
    """Within the rounding of the sums; weights in float32 under autocast. All but the video in one launch."""
    if autocast:
        linears = [linear.float() for linear in linears]
    calls: list[int] = []
    monkeypatch.setattr(
        grouped, "multiply_each", lambda *args, **named: calls.append(1) or multiply_each(*args, **named)
    )
    x, _, g = three(HALF, (64, 20, 9, 33), 32, 48)
    found = []
    for together in (False, True):
        leaves = [a.clone().requires_grad_() for a in x]
        for linear in linears:
            linear.weight.grad = None
        with torch.autocast(DEVICE.type, HALF, enabled=autocast):
            made = times_each(linears, [Input(a, None, len(a)) for a in leaves], together)
        torch.autograd.backward([m.product for m in made], g)
        assert [m.bias is linear.bias for m, linear in zip(made, linears, strict=True)] == [True] * 4
        found.append([*(m.product for m in made), *(a.grad for a in leaves), *(each.weight.grad for each in linears)])
    assert len(calls) == 2
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype and (one - other).norm() < 2.0**-8 * one.norm() and one.any()


def test_frozen_weights_get_no_gradient(linears):
    linears[2].weight.requires_grad_(False)
    x, _, g = three(HALF, (8, 8, 8, 8), 32, 48)
    leaves = [a.requires_grad_() for a in x]
    torch.autograd.backward([m.product for m in times_each(linears, [Input(a, None, len(a)) for a in leaves], True)], g)
    assert [linear.weight.grad is None for linear in linears] == [False, False, True, False]
    assert all(a.grad is not None for a in leaves)


@pytest.mark.parametrize("odd", ["a module of another kind", "rows that do not lie together", "rows off by a value"])
def test_what_the_kernel_cannot_read_goes_one_by_one(linears, odd, monkeypatch):
    monkeypatch.setattr(grouped, "multiply_each", lambda *_, **__: pytest.fail("it was read"))
    x, _, _ = three(HALF, (8, 8, 8, 8), 32, 48)
    if odd == "a module of another kind":
        linears[1] = nn.Sequential(linears[1])
    elif odd == "rows that do not lie together":
        x[1] = x[1].t().contiguous().t()
    else:
        x[1] = torch.cat([x[1].flatten(), x[1].new_zeros(1)])[1:].view(8, 32)
    made = times_each(linears, [Input(a, None, len(a)) for a in x], True)
    for product, linear, a in zip(made, linears, x, strict=True):
        plain = product.product if product.bias is None else product.product + product.bias
        assert torch.allclose(plain.float(), linear(a).float(), atol=0.05)


def test_blocks_equal_plain_ones(config, monkeypatch):
    calls: list[int] = []
    monkeypatch.setattr(
        grouped, "multiply_each", lambda *args, **named: calls.append(1) or multiply_each(*args, **named)
    )
    small = config.model_copy(update={"layers": 1})
    assert_equal(twins(small, products="grouped"), mixed(small), 2e-5)
    assert len(calls) == 8, "four products, forward and backward"


@pytest.mark.parametrize("recompute", ["selective", pytest.param("attention", marks=pytest.mark.slow)])
def test_what_is_made_again_is_the_same(config, recompute):
    """And `selective`, which keeps products, makes none of these again."""
    small = config.model_copy(update={"layers": 1})
    with patch("trainer.model.fused.grouped_kernels.grouped", Counting()) as launched:
        assert_equal(twins(small, products="grouped", recompute=recompute), mixed(small), 2e-5)
    assert launched.count == {"selective": 8, "attention": 12}[recompute]


class Counting:
    """In the place of the kernel: counts its launches."""

    def __init__(self) -> None:
        self.count = 0

    def __getitem__(self, grid):
        self.count += 1
        return KERNEL[grid]


def test_a_micro_batch_of_no_documents(config):
    _, fused = twins(config.model_copy(update={"layers": 1}), products="grouped")
    _, gradients = outcome(fused, pack([], config, pad_rows=2).to(DEVICE))
    assert all(not g.any() for g in gradients.values()) and gradients


def test_it_needs_the_kernels_and_weights_of_each_stream(config):
    settings = ParallelSettings(products="grouped", elementwise="triton")
    with pytest.raises(ConfigError, match="products=each"):
        parallelize(MMDiT(config.model_copy(update={"shared": True})), World(0, 1, DEVICE), settings)
    with pytest.raises(ConfigError, match="elementwise=triton"):
        parallelize(MMDiT(config), World(0, 1, DEVICE), ParallelSettings(products="grouped"))
