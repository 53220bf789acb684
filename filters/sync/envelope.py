"""How loud speech is over time, as lips would know it: the band of open vowels, slow changes taken out."""

import numpy as np

RATE = 16_000
HOP = 160
ENVELOPE_RATE = 100
"""Hz of an envelope: four values a frame at 25 fps, so that lags are finer than frames."""
BAND_HZ = (500.0, 3000.0)
"""An open mouth is heard here; the voice of closed lips (m, n, b) lies below, hiss that needs no open mouth above."""
SMOOTH_S = 0.015
FLOOR_DB = 25.0
"""Below the loudest: what is softer is noise of the room."""
SLOWEST_HZ = 1.5
"""Slower changes are phrases, poses and smiles; syllables are faster."""


def envelope(audio: np.ndarray) -> np.ndarray:
    """Level in dB (n // 160,) of (n,) samples at 16 kHz; value k is centred on k / 100 s."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import butter, sosfiltfilt

    if len(audio) < RATE // 10:
        return np.zeros(0)
    heard = sosfiltfilt(butter(2, BAND_HZ, "band", fs=RATE, output="sos"), audio.astype(np.float64))
    count = len(audio) // HOP
    centred = np.pad(heard**2, (HOP // 2, HOP))[: count * HOP].reshape(count, HOP).mean(1)
    level = 10 * np.log10(gaussian_filter1d(centred, SMOOTH_S * ENVELOPE_RATE) + 1e-12)
    return np.asarray(np.maximum(level, np.percentile(level, 98) - FLOOR_DB))


def without_slow(values: np.ndarray, rate: float) -> np.ndarray:
    """`values` (n,) at `rate` Hz without what changes more slowly than 1.5 Hz."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(values - gaussian_filter1d(values, rate / (2 * np.pi * SLOWEST_HZ), mode="nearest"))
