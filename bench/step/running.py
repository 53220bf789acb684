"""A model that is ready to take steps, and what both kinds of it have in common."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

Step = Callable[[], torch.Tensor]
"""Takes one step and returns its loss, on the device."""


class Running(NamedTuple):
    """step: forward, loss, backward, and fused AdamW where there is one. parameters: how many.

    optimizer_bytes: what AdamW must read (weights, gradients, two moments) and write (all but the gradients) in a step;
    0 without it.
    """

    step: Step
    parameters: int
    optimizer_bytes: int


def running(
    model: nn.Module, loss_of: Callable[[], torch.Tensor], update: bool = True, own_kernel: bool = False
) -> Running:
    """Steps of this model. Learning rate 0, so that values stay finite and typical: NaN and zeros draw less power and
    run faster. update: with an optimizer, whose moments have the dtype of the weights: torch's fused AdamW, or
    (own_kernel) ours.
    """
    _no_zeros(model)
    optimizer: Any = None
    if update:
        optimizer = (OwnAdamW if own_kernel else partial(torch.optim.AdamW, fused=True))(model.parameters(), lr=0.0)

    def step() -> torch.Tensor:
        loss = loss_of()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        return loss.detach()

    weights = list(model.parameters())
    return Running(step, sum(p.numel() for p in weights), 7 * sum(p.nbytes for p in weights) if update else 0)


class OwnAdamW:
    """AdamW by `trainer/adamw.py`."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        self.weights, self.lr = list(parameters), lr
        self.moments = [[torch.zeros_like(p) for p in self.weights] for _ in range(2)]
        self.number = torch.ones((), device=self.weights[0].device)
        self.never, self.whole = torch.zeros_like(self.number), torch.ones_like(self.number)

    def step(self) -> None:
        """One update of all that have a gradient, as torch's."""
        from trainer.adamw import adamw_

        rows = [(p, p.grad, *m) for p, *m in zip(self.weights, *self.moments, strict=True) if p.grad is not None]
        columns = zip(*rows, strict=True)
        scalars = {"number": self.number, "skip": self.never, "factor": self.whole}
        adamw_(*columns, **scalars, lr=self.lr, betas=(0.9, 0.999), decay=0.01)  # type: ignore[misc,call-arg]
        self.number += 1


def _no_zeros(model: nn.Module) -> None:
    """Weights as in the middle of training: what starts at zero would make the card draw less power."""
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():
                p.normal_(std=0.02)
