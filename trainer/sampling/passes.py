"""The model's passes over one batch, step after step: whole ones, or ones that keep what no step changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch

from trainer.model.mmdit import Levels, MMDiT, Prediction
from trainer.packing import PackedBatch
from trainer.parallel import precision_context
from trainer.sampling.euler import Euler

MOST_STEPS = 64
"""Steps whose AdaLN tables are held at once. In klear_26b a level is 32 x 4 x 6 x 4096 floats, 12.6 MB: 65 are 0.82 GB,
and its AdaLN matrices are read once for so many steps."""


class Passes(Protocol):
    """state: the rows of both media, pads included, as they stand. load: the levels of the next steps, their number
    and one more, at most MOST_STEPS + 1. step: one Euler step to the next level."""

    state: Prediction

    def load(self, levels: Sequence[float]) -> None: ...

    def step(self) -> None: ...


class WholePasses:
    """A whole forward pass at every step: the plain way, which the other is held against."""

    def __init__(self, model: MMDiT, batch: PackedBatch, euler: Euler, precision: str) -> None:
        self.model, self.packed, self.euler, self.precision = model, batch.packed, euler, precision
        self.state = Prediction(batch.video.noisy, batch.audio.noisy)
        self._at, self._levels = 0, torch.zeros(0)

    def load(self, levels: Sequence[float]) -> None:
        """See `Passes`."""
        self._at, self._levels = 0, torch.tensor(levels, dtype=torch.float64)

    def step(self) -> None:
        """See `Passes`."""
        sigmas = self.packed.sigmas.clone()
        sigma, following = self._levels[self._at : self._at + 2].tolist()
        sigmas[1:] = sigma  # group 0 stays at 0
        packed = replace(self.packed, video=self.state.video, audio=self.state.audio, sigmas=sigmas)
        with precision_context(self.precision, sigmas.device):
            output = self.model(packed)
        self.state = self.euler(self.state, output, sigmas.new_full((), sigma), sigmas.new_full((), following - sigma))
        self._at += 1


class CachedPasses:
    """Captions, RoPE tables and the AdaLN tables of all loaded steps are made once; a step does what is left.

    `step` reads and writes the same tensors at every call and decides nothing on the host, so that a CUDA graph of it
    can be replayed (`trainer/sampling/replay.py`). All rows that move have one level: row 0 of the tables is of sigma
    0, row i of the i-th loaded step, and `at` says which is next.
    """

    def __init__(self, model: MMDiT, batch: PackedBatch, euler: Euler, precision: str) -> None:
        self.model, self.euler, self.precision = model, euler, precision
        self.device = batch.packed.sigmas.device
        self.state = Prediction(batch.video.noisy.clone(), batch.audio.noisy.clone())
        self.moving = tuple((group > 0).long() for group in batch.packed.group)
        with precision_context(precision, self.device):
            self.still = model.prepare(batch.packed)
        self.at = torch.ones(1, dtype=torch.int64, device=self.device)
        self.levels: Levels | None = None

    def load(self, levels: Sequence[float]) -> None:
        """See `Passes`. The first call decides how many steps there is room for."""
        steps = len(levels) - 1
        if self.levels is None:
            self.sigmas, self.changes = (torch.zeros(1 + steps, device=self.device) for _ in range(2))
        exact = torch.tensor(levels, dtype=torch.float64)
        self.sigmas[1 : 1 + steps] = exact[:-1].float().to(self.device)
        self.changes[1 : 1 + steps] = exact.diff().float().to(self.device)
        self.at.fill_(1)
        made = self.model.levels(self.sigmas)
        if self.levels is None:
            self.levels = made
        else:
            for held, new in zip(_all(self.levels), _all(made)):
                held.copy_(new)

    def step(self) -> None:
        """See `Passes`."""
        assert self.levels is not None, "load first"
        group = [moving * self.at for moving in self.moving]
        with precision_context(self.precision, self.device):
            output = self.model.run(self.state.video, self.state.audio, group, self.still, self.levels)
        sigma, change = (values.index_select(0, self.at) for values in (self.sigmas, self.changes))
        for held, new in zip(self.state, self.euler(self.state, output, sigma, change)):
            held.copy_(new)
        self.at.add_(1)


def _all(levels: Levels) -> list[torch.Tensor]:
    return [*(table for tables in levels.blocks for table in tables), *levels.heads]
