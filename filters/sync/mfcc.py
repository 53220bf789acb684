"""Mel cepstra as SyncNet hears sound: those of python_speech_features 0.6 at its defaults, in numpy.

25 ms windows without a taper every 10 ms, FFT of 512, 26 mel filters on whole bins up to 8 kHz, 13 coefficients,
liftered, the first one replaced by the log energy. Equal to that package to 1e-10 (measured; it is not a dependency).
"""

from functools import lru_cache

import numpy as np

RATE = 16_000
WINDOW, HOP, FFT = 400, 160, 512
FILTERS, COEFFICIENTS, LIFTER, PREEMPHASIS = 26, 13, 22, 0.97


def mfcc(samples: np.ndarray) -> np.ndarray:
    """(frames, 13) float64 of (n,) samples at 16 kHz, on the scale of 16 bits; the end is padded with zeros."""
    if not len(samples):
        return np.zeros((0, COEFFICIENTS))
    signal = samples.astype(np.float64)
    signal = np.concatenate([signal[:1], signal[1:] - PREEMPHASIS * signal[:-1]])
    count = 1 + max(0, -(-(len(signal) - WINDOW) // HOP))
    padded = np.pad(signal, (0, (count - 1) * HOP + WINDOW - len(signal)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2 / FFT
    energies = _log(power @ _bank().T)
    cepstra = energies @ _cosines().T * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    cepstra[:, 0] = _log(power.sum(1))
    return np.asarray(cepstra)


def sixteen_bits(samples: np.ndarray) -> np.ndarray:
    """Float samples in [-1, 1] as int16, as a WAV of 16 bits would hold them."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def _log(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.where(values == 0, np.finfo(float).eps, values)))


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(26, 257): triangles between whole bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), FILTERS + 2)
    edges = np.floor((FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.arange(FFT // 2 + 1)
    rising = np.where((bins >= low) & (bins < middle), (bins - low) / np.maximum(middle - low, 1), 0)
    return rising + np.where((bins >= middle) & (bins < high), (high - bins) / np.maximum(high - middle, 1), 0)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """(13, 26): the orthonormal discrete cosine transform, its first rows."""
    rows = np.cos(np.pi * np.arange(COEFFICIENTS)[:, None] * (2 * np.arange(FILTERS) + 1) / (2 * FILTERS))
    rows *= np.sqrt(2 / FILTERS)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows)
