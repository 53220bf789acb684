"""The exponential moving average of the weights: what is evaluated, sampled and exported."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from trainer.gradients import local


class Ema:
    """Float32 copies of a model's parameters (sharded as they are under FSDP2), moved towards them after every update.

    decay: in the long run. It warms up as (1 + n) / (4 + n) over the n updates so far: the average spans about the
    last third of them, so it forgets the initial weights. updates: n, a float32 scalar on the device, since whether an
    update was skipped is known there alone.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone().float() for name, p in model.named_parameters()}
        self.updates = torch.zeros((), device=next(model.parameters()).device)

    @torch.no_grad()
    def update(self, model: nn.Module, skip: torch.Tensor) -> None:
        """Take one step towards the model's parameters where `skip` (scalar) is 0, none where it is 1."""
        decay = ((1 + self.updates) / (4 + self.updates)).clamp(max=self.decay)
        share = (1 - decay) * (1 - skip)
        for name, parameter in model.named_parameters():
            local(self.weights[name]).lerp_(local(parameter).float(), share)
        self.updates += 1 - skip

    @torch.no_grad()
    def restart(self, model: nn.Module) -> None:
        """Forget: the average is the model's present weights, and warms up again."""
        for name, parameter in model.named_parameters():
            local(self.weights[name]).copy_(local(parameter))
        self.updates.zero_()

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's parameters with the average."""
        for name, parameter in model.named_parameters():
            local(parameter).copy_(local(self.weights[name]))

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Inside the block the model has the averaged weights; after it, its own again.

        Weights and averages trade places one tensor at a time, so that no second copy of the model is needed; exact,
        since weights that train are float32.
        """
        self._trade(model)
        try:
            yield
        finally:
            self._trade(model)

    @torch.no_grad()
    def _trade(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            own, average = local(parameter), local(self.weights[name])
            kept = own.clone()
            own.copy_(average)
            average.copy_(kept)
