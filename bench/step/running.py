"""A model that is ready to take steps, and what both kinds of it have in common."""

from collections.abc import Callable
from typing import NamedTuple

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


def running(model: nn.Module, loss_of: Callable[[], torch.Tensor], update: bool = True) -> Running:
    """Steps of this model. Learning rate 0, so that values stay finite and typical: NaN and zeros draw less power and
    run faster. update: with an optimizer, whose moments have the dtype of the weights.
    """
    _no_zeros(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True) if update else None

    def step() -> torch.Tensor:
        loss = loss_of()
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        return loss.detach()

    weights = list(model.parameters())
    return Running(step, sum(p.numel() for p in weights), 7 * sum(p.nbytes for p in weights) if update else 0)


def _no_zeros(model: nn.Module) -> None:
    """Weights as in the middle of training: what starts at zero would make the card draw less power."""
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():
                p.normal_(std=0.02)
