"""The infinite, stateless order in which samples are trained on: a function of samples, weights and seed alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from manifests.errors import ConfigError
from trainer.data.draws import Purpose, generator
from trainer.data.mixture import Capability, as_capability
from trainer.data.permute import permuted
from trainer.data.sample import SampleInfo

BLOCK = 64
_CHUNK = 256
"""Blocks that are drawn together."""


@dataclass(frozen=True)
class Draw:
    """One turn of the stream: train on `key` as `task`. position: the turn, from 0; it keys every other draw."""

    key: str
    task: str
    position: int


class SampleStream:
    """Draws samples for ever, by weight over capabilities, evenly within each.

    In every block of 64 positions each capability has its share of turns to within one (systematic resampling), in a
    shuffled order; within a capability no sample repeats before all were seen, then they come in a new order.
    `at(position)` looks into a chunk of 256 blocks that is drawn together; a far jump counts through the chunks before.
    """

    def __init__(self, samples: Sequence[SampleInfo], weights: Mapping[Capability | str, float], seed: int) -> None:
        """weights: by (audio_class, task) or `"class/task"`; any positive scale; 0 turns a capability off.

        Raises ConfigError for a negative weight, for weights that are all 0, and for a weighted capability that no
        sample can serve.
        """
        self.seed = seed
        named = {as_capability(name): weight for name, weight in weights.items() if weight != 0}
        self.capabilities = sorted(named)
        shares = np.array([named[c] for c in self.capabilities], dtype=np.float64)
        if not len(shares) or shares.min() < 0 or not np.isfinite(shares.sum()):
            raise ConfigError("stream:weights", f"weights must be finite, not negative and not all 0; got {named}")
        self._pools = [_pool(samples, *capability) for capability in self.capabilities]
        self._edges = np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
        self._edges[-1] = 1.0
        self._turns_before = [np.zeros(len(shares), dtype=np.int64)]
        self._chunk = (-1, np.zeros(0, np.int64), np.zeros(0, np.int64))

    def at(self, position: int) -> Draw:
        """The draw at `position` >= 0."""
        chunk, place = divmod(position, BLOCK * _CHUNK)
        if self._chunk[0] != chunk:
            self._chunk = (chunk, *self._draw_chunk(chunk))
        which, turn = int(self._chunk[1][place]), int(self._chunk[2][place])
        pool = self._pools[which]
        epoch, index = divmod(turn, len(pool))
        audio_class, task = self.capabilities[which]
        key = pool[permuted(index, len(pool), f"{self.seed}/{audio_class}/{task}/{epoch}")]
        return Draw(key, task, position)

    def _draw_chunk(self, chunk: int) -> tuple[np.ndarray, np.ndarray]:
        """For each position of a chunk: its capability, and how many turns that capability had before. int64 each."""
        make = generator(self.seed, chunk, Purpose.ORDER)
        starts = self._starts(make.random(_CHUNK))
        slots = make.random((_CHUNK, BLOCK)).argsort(-1)
        which = (slots[:, :, None] >= starts[:, None, 1:]).sum(-1).ravel()
        turn = np.zeros_like(which)
        for k, before in enumerate(self._before(chunk)):
            mine = which == k
            turn[mine] = before + np.arange(mine.sum())
        return which, turn

    def _before(self, chunk: int) -> np.ndarray:
        """Turns of each capability in all earlier chunks: int64 (K,)."""
        while len(self._turns_before) <= chunk:
            offsets = generator(self.seed, len(self._turns_before) - 1, Purpose.ORDER).random(_CHUNK)
            self._turns_before.append(self._turns_before[-1] + np.diff(self._starts(offsets)).sum(0))
        return self._turns_before[chunk]

    def _starts(self, offsets: np.ndarray) -> np.ndarray:
        """The first slot of each capability in blocks with these offsets, and 64: int64 (len(offsets), K + 1).

        Slot k of a block belongs to the capability whose share of [0, 1) holds (k + offset) / 64.
        """
        return np.clip(np.ceil(BLOCK * self._edges - offsets[:, None]), 0, BLOCK).astype(np.int64)


def _pool(samples: Sequence[SampleInfo], audio_class: str, task: str) -> list[str]:
    """Keys that can serve a capability, sorted, so that the order of `samples` does not matter."""
    keys = sorted(s.key for s in samples if s.audio_class == audio_class and task in s.tasks)
    if not keys:
        raise ConfigError("stream:empty", f"{audio_class}/{task} has a weight and no sample: set it to 0")
    return keys
