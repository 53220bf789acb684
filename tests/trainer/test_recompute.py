"""Activations made again: the same gradients, also where random numbers are drawn; and what is kept."""

import pytest
import torch
from torch.nn import functional

from trainer.recompute import recomputing


def _gradient(kind: str, random: bool = True) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.ones(200, requires_grad=True)
    recomputing(lambda x: functional.dropout(x, 0.5) * x, kind, random)(x).sum().backward()
    return x.grad


@pytest.mark.parametrize("kind", ["selective", "full"])
def test_random_numbers_are_the_same_again(kind):
    assert torch.equal(_gradient(kind), _gradient("none"))
    assert not torch.equal(_gradient(kind, random=False), _gradient("none")), "or this test shows nothing"


def test_selective_makes_no_product_again():
    seen = []

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.overloadpacket)
            return func(*args, **(kwargs or {}))

    weight = torch.randn(8, 8, requires_grad=True)
    counts = {}
    for kind in ("selective", "full"):
        seen.clear()
        with Counting():
            recomputing(lambda w: (w @ w).sin().sin(), kind)(weight).sum().backward()
        counts[kind] = seen.count(torch.ops.aten.mm)
    assert counts == {"selective": 3, "full": 4}
