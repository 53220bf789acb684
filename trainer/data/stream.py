"""The infinite, stateless order in which samples are trained on: a function of samples, weights and seed alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from manifests.errors import ConfigError
from trainer.data.draws import Purpose, generator
from trainer.data.mixture import Capability, as_capability
from trainer.data.permute import permuted
from trainer.data.sample import SampleInfo

BLOCK = 64
_CHUNK = 32
"""Blocks that are drawn together."""
_ONE = 1 << 64
_GOLDEN = 0x9E3779B97F472C73
"""About 2^64 / golden ratio, odd: its multiples modulo 2^64 lie on the circle as evenly as any sequence can.

Not the nearest number: what is rounded off has a continued fraction of its own, there with a 121 in it, which after
2^32 blocks left a share of 3e-7 off by 27 turns; here no quotient is above 4.
"""


@dataclass(frozen=True)
class Draw:
    """One turn of the stream: train on `key` as `task`. position: the turn, from 0; it keys every other draw."""

    key: str
    task: str
    position: int


class Candidates(Protocol):
    """What the stream draws from, `trainer.data.index.Rows` say: rows are numbers, keys are made one at a time."""

    def serving(self, audio_class: str, task: str) -> np.ndarray:
        """Rows that can serve a capability, sorted by key: int (m,)."""
        ...

    def key(self, row: int) -> str:
        """The key of a row."""
        ...


class SampleStream:
    """Draws samples for ever, by weight over capabilities, evenly within each.

    In every block of 64 positions each capability has its share of turns to within one (systematic resampling), in a
    shuffled order; within a capability no sample repeats before all were seen, then they come in a new order.

    `at(position)` takes the same time at any position, and remembers nothing that is needed. Systematic resampling
    gives slot j of block b to the capability whose share of [0, 1) holds (j + u_b) / 64. The offsets u_b are not drawn
    but step round the circle by the golden ratio from one random start (so shares hold over the blocks, too: turns so
    far differ from the share by a few, for ever), and how many of the first B of them lie below a number has a closed
    form. So the turns that a capability had before any block are known without looking at the blocks; which sample a
    turn is for comes from a keyed permutation, and slots of a block are shuffled by a counter-based generator.
    """

    def __init__(
        self, samples: Sequence[SampleInfo] | Candidates, weights: Mapping[Capability | str, float], seed: int
    ) -> None:
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
        self._from = _candidates(samples)
        self._pools = [_pool(self._from, *capability) for capability in self.capabilities]
        edges = np.minimum(np.cumsum(shares) / shares.sum(), 1.0) * BLOCK
        edges[-1] = BLOCK
        self._whole = edges.astype(np.int64)
        self._parts = [int((edge - whole) * _ONE) for edge, whole in zip(edges.tolist(), self._whole.tolist())]
        self._start = int(generator(seed, _ONE - 1, Purpose.ORDER).integers(_ONE, dtype=np.uint64))
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
        row = pool[permuted(index, len(pool), f"{self.seed}/{audio_class}/{task}/{epoch}")]
        return Draw(self._from.key(int(row)), task, position)

    def turns_before(self, block: int) -> np.ndarray:
        """Turns of each capability, as in `capabilities`, in all blocks before this one: int64 (K,)."""
        slots = [
            block * whole + _below(part, block, self._start)
            for whole, part in zip(self._whole.tolist(), self._parts, strict=True)
        ]
        return np.diff(np.array([0, *slots], dtype=np.int64))

    def _draw_chunk(self, chunk: int) -> tuple[np.ndarray, np.ndarray]:
        """For each position of a chunk: its capability, and how many turns that capability had before. int64 each."""
        ends = self._ends(chunk)
        slots = generator(self.seed, chunk, Purpose.ORDER).random((_CHUNK, BLOCK)).argsort(-1)
        which = (slots[:, :, None] >= ends[:, None, :]).sum(-1).ravel()
        turn = np.zeros_like(which)
        for k, before in enumerate(self.turns_before(chunk * _CHUNK)):
            mine = which == k
            turn[mine] = before + np.arange(mine.sum())
        return which, turn

    def _ends(self, chunk: int) -> np.ndarray:
        """One past the last slot of each capability in each block of a chunk: int64 (_CHUNK, K)."""
        first = (self._start + chunk * _CHUNK * _GOLDEN) % _ONE
        steps = np.arange(_CHUNK, dtype=np.uint64) * np.uint64(_GOLDEN)
        offsets = np.uint64(first) + steps  # modulo 2^64 by itself
        return self._whole + (offsets[:, None] < np.array(self._parts, dtype=np.uint64))


def _candidates(samples: Any) -> Candidates:
    return samples if hasattr(samples, "serving") else _Listed(samples)


class _Listed:
    """Samples of a plain sequence, in the order of their keys, so that the order of the sequence does not matter."""

    def __init__(self, samples: Sequence[SampleInfo]) -> None:
        self._infos = sorted(samples, key=lambda info: info.key)

    def serving(self, audio_class: str, task: str) -> np.ndarray:
        able = [i for i, s in enumerate(self._infos) if s.audio_class == audio_class and task in s.tasks]
        return np.array(able, dtype=np.int64)

    def key(self, row: int) -> str:
        return self._infos[row].key


def _pool(samples: Candidates, audio_class: str, task: str) -> np.ndarray:
    rows = samples.serving(audio_class, task)
    if not len(rows):
        raise ConfigError("stream:empty", f"{audio_class}/{task} has a weight and no sample: set it to 0")
    return rows


def _below(limit: int, count: int, start: int) -> int:
    """How many of the offsets start + b golden modulo 2^64, b < count, are less than `limit`.

    x mod m < limit just when floor(x / m) - floor((x - limit) / m) = 1: two sums of floors.
    """
    above = start + _ONE
    return _floor_sum(count, _ONE, _GOLDEN, above) - _floor_sum(count, _ONE, _GOLDEN, above - limit)


def _floor_sum(count: int, m: int, a: int, b: int) -> int:
    """The sum of floor((a i + b) / m) over i < count, by Euclid's algorithm: some 90 steps for 64 bits."""
    total = 0
    while count > 0:
        total += (count - 1) * count // 2 * (a // m) + count * (b // m)
        a, b = a % m, b % m
        reach = a * count + b
        if reach < m:
            break
        count, m, a, b = reach // m, a, m, reach % m
    return total
