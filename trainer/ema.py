"""The exponential moving average of the weights: what is evaluated, sampled and exported."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from trainer.trainable import trainable


class Ema:
    """Float32 copies of the parameters that train (local shards under FSDP2), moved towards them after every update.

    decay: in the long run. It warms up as (1 + n) / (4 + n) over the n updates so far: the average spans about the
    last third of them, so it forgets the initial weights. updates: n, across stages.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {name: p.detach().clone().float() for name, p in trainable(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the model's parameters, without waiting for the device."""
        decay = min(self.decay, (1 + self.updates) / (4 + self.updates))
        self.updates += 1
        for name, parameter in trainable(model).items():
            self.weights[name].lerp_(parameter.detach().float(), 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's parameters with the average."""
        for name, parameter in trainable(model).items():
            parameter.copy_(self.weights[name])

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Inside the block the model has the averaged weights; after it, its own again."""
        own = {name: p.detach().clone() for name, p in trainable(model).items()}
        self.copy_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in trainable(model).items():
                    parameter.copy_(own[name])
