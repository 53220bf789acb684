"""Activations made again: the same gradients, also where random numbers are drawn; and what is kept."""

import pytest
import torch
from torch.nn import functional

from trainer.model.kernels import attend
from trainer.recompute import recomputing


def _gradient(kind: str, random: bool = True) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.ones(200, requires_grad=True)
    recomputing(lambda x: functional.dropout(x, 0.5) * x, kind, random)(x).sum().backward()
    return x.grad


@pytest.mark.parametrize("kind", ["selective", "attention", "full"])
def test_random_numbers_are_the_same_again(kind):
    assert torch.equal(_gradient(kind), _gradient("none"))
    assert not torch.equal(_gradient(kind, random=False), _gradient("none")), "or this test shows nothing"


def test_what_is_made_again():
    """Forward passes of attention and products in a block of both, of which each kind keeps more than the next."""
    seen = []

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    def block(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        heads = (x @ weight).sin().unflatten(-1, (2, 4))
        return attend(heads, heads, heads, torch.tensor([5, 3]), "math").sin()

    x, weight = torch.randn(8, 8), torch.randn(8, 8, requires_grad=True)
    counts = {}
    for kind in ("none", "selective", "attention", "full"):
        seen.clear()
        with Counting():
            recomputing(block, kind)(x, weight).sum().backward()
        counts[kind] = (seen.count(torch.ops.klear.attend.default), seen.count(torch.ops.aten.mm.default))
    # A product's backward pass is one more, for the weight.
    assert counts == {"none": (1, 2), "selective": (1, 2), "attention": (1, 3), "full": (2, 3)}
