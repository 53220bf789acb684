"""One Euler step of the flow, with classifier-free guidance by null captions."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from trainer.model.layout import MEDIA, STREAMS
from trainer.model.mmdit import Prediction
from trainer.objective import Reading, velocity
from trainer.packing import PackedBatch


def euler_sigmas(steps: int) -> list[float]:
    """Levels from 1 to 0, steps + 1 of them, evenly spaced (the training's uniform sigma)."""
    return [1 - i / steps for i in range(steps + 1)]


@dataclass(frozen=True)
class Euler:
    """The step of one batch: x + (following - sigma) v in the rows that are being made; given rows and pads stay.

    guidance: 1, or v = v_null + guidance (v_caption - v_null): then the second half of the batch's documents are the
    first half without captions, and both stay equal. rows: of the first half, of each medium; the second half's follow,
    then the pads, however many. moves: (R, 1) of each medium, 0 or 1.
    """

    readings: Mapping[str, Reading]
    guidance: float
    rows: tuple[int, ...]
    moves: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, batch: PackedBatch, readings: Mapping[str, Reading], guidance: float) -> "Euler":
        """For a batch on its device."""
        lengths = batch.packed.lengths
        first = lengths[: len(lengths) // 2] if guidance != 1 else lengths
        rows = tuple(sum(counts[STREAMS.index(medium)] for counts in first) for medium in MEDIA)
        moves = tuple(targets.carries_loss[:, None] for targets in (batch.video, batch.audio))
        return cls(readings, guidance, rows, moves)

    def __call__(self, state: Prediction, output: Prediction, sigma: torch.Tensor, change: torch.Tensor) -> Prediction:
        """The next state. sigma, change (following - sigma): float32 of one element, on the device."""
        return Prediction(*(self._medium(i, state[i], output[i], sigma, change) for i in range(len(MEDIA))))

    def _medium(
        self, i: int, state: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, change: torch.Tensor
    ) -> torch.Tensor:
        v = velocity(output, state, sigma.expand(len(state)), self.readings[MEDIA[i]])
        if self.guidance != 1:
            rows = self.rows[i]
            mixed = v[rows : 2 * rows] + self.guidance * (v[:rows] - v[rows : 2 * rows])
            v = torch.cat([mixed, mixed, v[2 * rows :]])
        return state + change * v * self.moves[i]
