"""Shot detectors: small frames in, transitions out. None of them opens a file; `media/shots.py` feeds them."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np

Transition = tuple[int, int]
"""Frames [first, after) that belong to neither shot; empty, (n, n), where frame n starts a new shot at once."""
Name = Literal["pyscenedetect", "transnetv2"]


class Detector(Protocol):
    """One way to find transitions in a stream of frames.

    BACKEND, LICENCE: what does the work and under which terms. PIXELS: ffmpeg's name of the pixels it takes.
    """

    BACKEND: str
    LICENCE: str
    PIXELS: str

    def digest(self) -> str:
        """What decides the answer: packages, weights, thresholds. Raises BackendAbsent when something is not there."""
        ...

    def size(self, shown: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the frames it wants of a source shown at (width, height)."""
        ...

    def transitions(self, frames: Iterable[np.ndarray], fps: Fraction) -> list[Transition]:
        """The transitions of a source, in order. frames: uint8 (H, W, 3), read once, never all held."""
        ...


def make(name: Name, device: str = "cpu") -> Detector:
    """The detector of that name; loads no model. device: torch's, for those that use it."""
    if name == "transnetv2":
        from media.detect.transnet import TransNet

        return TransNet(device=device)
    from media.detect.adaptive import Adaptive

    return Adaptive()
