"""Events of a clip: when sounds start, and when the picture suddenly changes."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from filters.audio.mel import mel_bank

RATE = 16_000
FFT, HOP = 256, 80
"""Audio frames of 16 ms every 5 ms."""
MEMORY = 20
"""An onset is louder than everything in the 0.1 s (20 frames) before it: the tail of an event is no new event."""
FPS = 25
HOLD = 4
"""A change counts against the 4 frames (0.16 s) before it: the end of a flash is no new event."""
RANGE_DB = 50.0
APART_S = 0.1


@dataclass(frozen=True)
class Events:
    """times: (n,) float64 seconds, rising. weights: (n,) float64 in (0, 1], the strongest event has 1."""

    times: np.ndarray
    weights: np.ndarray


def audio_events(audio: np.ndarray) -> Events:
    """Onsets of (n,) samples at 16 kHz: rises of the log level of 16 mel bands over their own last 0.1 s."""
    level = _band_levels(audio)
    if len(level) <= MEMORY:
        return Events(np.zeros(0), np.zeros(0))
    before = np.lib.stride_tricks.sliding_window_view(level[:-1], MEMORY, axis=0).max(axis=-1)
    rise = np.maximum(level[MEMORY:] - before, 0).mean(axis=1)
    times = (np.arange(len(rise)) + MEMORY) * HOP / RATE + FFT / RATE / 2
    # A rise lasts until the window lies inside the new sound; its sum is the jump, its middle the onset.
    jump = np.convolve(rise, np.ones(5), "same")
    return _peaks(jump, times, least=3.0)


def video_events(frames: np.ndarray) -> Events:
    """Sudden changes of (T, H, W) uint8 frames at 25 fps; an event at i / 25 s: frame i differs from i - 1."""
    import cv2

    if len(frames) < 3:  # one change is no rhythm, and no step between changes
        return Events(np.zeros(0), np.zeros(0))
    change = np.array([float(cv2.absdiff(a, b).mean()) for a, b in pairwise(frames)])
    held = np.concatenate([np.zeros(HOLD), change])
    before = np.lib.stride_tricks.sliding_window_view(held[:-1], HOLD).max(axis=-1)
    return _peaks(np.maximum(change - before, 0), np.arange(1, len(frames)) / FPS, least=0.3)


def _peaks(strength: np.ndarray, times: np.ndarray, least: float) -> Events:
    """Local maxima of at least `least` and a quarter of the strongest, 0.1 s apart; weights by square root."""
    from scipy.signal import find_peaks

    floor = max(least, 0.25 * float(strength.max()))
    padded = np.concatenate([[0.0], strength, [0.0]])
    step = times[1] - times[0]
    found = find_peaks(padded, height=floor, distance=max(1, round(APART_S / step)))[0] - 1
    weights = np.sqrt(strength[found] / max(float(strength.max()), 1e-12))
    return Events(times[found], weights)


def _band_levels(audio: np.ndarray) -> np.ndarray:
    """Levels in dB (frames, 16), not lower than 50 dB below the loudest."""
    if len(audio) < FFT:
        return np.zeros((0, 16))
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FFT), axis=1)) ** 2 @ _mel().T
    level = 10 * np.log10(power + 1e-12)
    return np.maximum(level, max(level.max() - RANGE_DB, -60.0))


@lru_cache(maxsize=1)
def _mel() -> np.ndarray:
    return mel_bank(RATE, FFT, 16, 100, 8000)
