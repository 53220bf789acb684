"""Sounds with known onsets: beeps, struck things, notes, hums and hisses. Float32 (n,) at 44.1 kHz."""

from collections.abc import Sequence

import numpy as np

RATE = 44_100
WOOD = (1.0, 2.76, 5.40)
METAL = (1.0, 1.51, 2.09, 2.83, 3.96)
DRUM = (1.0, 1.59, 2.14)
"""Partials of struck bars, plates and membranes, as multiples of the lowest."""


def silence(seconds: float) -> np.ndarray:
    """No sound for `seconds`."""
    return np.zeros(round(seconds * RATE), np.float32)


def place(track: np.ndarray, sound: np.ndarray, at_s: float, gain: float = 1.0) -> None:
    """Add `sound` to `track`, in place, with its first sample at `at_s`; what lies outside the track is left out."""
    start = round(at_s * RATE)
    skip = max(0, -start)
    part = sound[skip : max(skip, len(track) - start)]
    track[start + skip : start + skip + len(part)] += np.float32(gain) * part


def beep(hertz: float = 1000.0, seconds: float = 0.08) -> np.ndarray:
    """A tone with 2 ms ramps."""
    tone = np.sin(2 * np.pi * hertz * _times(seconds))
    ramp = np.clip(_times(seconds) / 0.002, 0, 1)
    return (0.5 * tone * ramp * ramp[::-1]).astype(np.float32)


def strike(hertz: float, partials: Sequence[float] = WOOD, decay_s: float = 0.35) -> np.ndarray:
    """Something struck: decaying partials, the higher the quicker, with an abrupt onset."""
    t = _times(decay_s * 4)
    sound = sum(np.sin(2 * np.pi * hertz * p * t) * np.exp(-t * p**0.7 / decay_s) / p for p in partials)
    return (0.4 * np.asarray(sound)).astype(np.float32)


def note(hertz: float, seconds: float, harmonics: Sequence[float] = (1, 0.5, 0.3, 0.15)) -> np.ndarray:
    """A held note with a soft attack and release, and a little vibrato."""
    t = _times(seconds)
    phase = 2 * np.pi * hertz * t + 0.15 * np.sin(2 * np.pi * 5 * t)
    sound = sum(a * np.sin(k * phase) for k, a in enumerate(harmonics, 1))
    shape = np.clip(t / 0.015, 0, 1) * np.clip((seconds - t) / 0.05, 0, 1) * np.exp(-t / seconds)
    return (0.3 * np.asarray(sound) * shape).astype(np.float32)


def noise(seconds: float, rng: np.random.Generator, slope: float = 1.0) -> np.ndarray:
    """Noise whose spectrum falls as 1/f^slope (0 white, 1 pink, 2 brown), RMS 0.1."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    shape = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 30.0) ** (-slope / 2)
    sound = np.fft.irfft(spectrum * shape, count)
    return (0.1 * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def engine(hertz: np.ndarray) -> np.ndarray:
    """A buzzing tone that follows `hertz`, an array of one frequency a sample."""
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    sound = sum(np.sin(k * phase) / k for k in range(1, 7))
    return (0.15 * np.asarray(sound)).astype(np.float32)


def rms(sound: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def _times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE
