"""Mixes of known ratio, and how far the SNR estimate is from them: what `snr.py` states, and a self-check repeats."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from filters.audio.snr import RATE, snr

RATIOS_DB = tuple(range(-10, 31, 5))
LOW_HZ, HIGH_HZ = 60.0, 8000.0
"""The band that the estimate looks at; the ratio of a mix is that of the powers inside it."""


@dataclass(frozen=True)
class Error:
    """Of the estimates at one ratio: mean of (estimate - truth) and mean absolute error, dB; mixes: how many."""

    background: str
    ratio_db: float
    bias_db: float
    mae_db: float
    mixes: int


def band_power(audio: np.ndarray) -> float:
    """Mean power of (n,) samples at 16 kHz between 60 and 8,000 Hz."""
    spectrum = np.fft.rfft(audio.astype(np.float64))
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    inside = (hertz >= LOW_HZ) & (hertz <= HIGH_HZ)
    return 2 * float(np.sum(np.abs(spectrum[inside]) ** 2)) / len(audio) ** 2


def mix(voice: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """`voice` plus as much of `noise`, both (n,) at 16 kHz, as makes the ratio of their powers in the band."""
    gain = np.sqrt(band_power(voice) / band_power(noise) / 10 ** (ratio_db / 10))
    return voice + gain * noise


def errors(
    voices: Sequence[np.ndarray],
    backgrounds: Mapping[str, np.ndarray],
    ratios_db: Iterable[float] = RATIOS_DB,
    seed: int = 0,
) -> list[Error]:
    """One `Error` a background and ratio, over all voices, each with a stretch of the background drawn by chance.

    voices, backgrounds: (n,) at 16 kHz; a background shorter than a voice is repeated. What noise a voice brings along
    is not in the truth, so recordings of 30 dB bound what can be seen at 25 and 30.
    """
    found = []
    for name, background in backgrounds.items():
        rng = np.random.default_rng(seed)
        stretches = [_stretch(background, len(voice), rng) for voice in voices]
        for ratio in ratios_db:
            estimates = [snr(mix(voice, noise, ratio)) for voice, noise in zip(voices, stretches)]
            wrong = np.array([estimate - ratio for estimate in estimates if estimate is not None])
            found.append(Error(name, ratio, float(wrong.mean()), float(np.abs(wrong).mean()), len(wrong)))
    return found


def _stretch(background: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    start = int(rng.integers(0, max(1, len(background) - length)))
    return np.resize(background[start : start + length], length)
