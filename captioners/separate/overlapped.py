"""A network that hears a fixed length, over sounds of any length: windows that overlap, joined by weights.

As `demucs.apply.apply_model` without its random shifts: windows start every (1 - overlap) of their length; one that
the sound ends in is centred on what is left, with the sound around it and silence beyond; each weighs most in its
middle (a triangle). Windows of several sounds go through the network together.
"""

from collections.abc import Callable, Sequence

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
"""(windows, channels, size) -> the same shape, float32."""


def run(network: Run, sounds: Sequence[np.ndarray], size: int, overlap: float, at_once: int) -> list[np.ndarray]:
    """What the network makes of each sound (channels, n), of its shape. at_once: windows that run together."""
    step = int((1 - overlap) * size)
    spans = [(i, first) for i, sound in enumerate(sounds) for first in range(0, sound.shape[1], step)]
    sums = [np.zeros_like(sound) for sound in sounds]
    weights = [np.zeros(sound.shape[1], np.float32) for sound in sounds]
    ramp = _triangle(size)
    for start in range(0, len(spans), at_once):
        group = spans[start : start + at_once]
        heard = network(np.stack([_window(sounds[i], first, size) for i, first in group]))
        for (i, first), found in zip(group, heard):
            length = min(size, sounds[i].shape[1] - first)
            lead = (size - length) // 2
            sums[i][:, first : first + length] += ramp[:length] * found[:, lead : lead + length]
            weights[i][first : first + length] += ramp[:length]
    return [total / weight for total, weight in zip(sums, weights)]


def _window(sound: np.ndarray, first: int, size: int) -> np.ndarray:
    """`size` samples of the sound around those from `first` on."""
    length = sound.shape[1]
    start = first - (size - min(size, length - first)) // 2
    inside = sound[:, max(0, start) : start + size]
    before = max(0, -start)
    return np.pad(inside, ((0, 0), (before, size - before - inside.shape[1])))


def _triangle(size: int) -> np.ndarray:
    up = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))
    return (up / up.max()).astype(np.float32)
