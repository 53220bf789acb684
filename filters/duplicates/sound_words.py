"""Words of the sound: 32 signs of how the balance of neighbouring bands changes, 15.6 times a second.

After Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): loudness and slow filtering
cancel in the differences of levels, coding noise moves few signs. Longer windows (0.51 s) and lags (0.26 s) than
theirs, so that few words a second are enough whatever instant a clip starts at; levels in dB, so that everything dying
away together is no change.
"""

from functools import lru_cache

import numpy as np

RATE = 16_000
HOP = 1024
STEP_S = HOP / RATE
BITS = 32
_WINDOW = 8192
_LAG = 4
_LOW_HZ, _HIGH_HZ = 300.0, 3000.0
_FLOOR = 0.01
"""Share of a window's energy that is added to each band: what lies 20 dB and more below the whole says nothing."""
_SILENT = 1e-3
"""RMS (-60 dBFS) of a window below which it is silence: noise floors of two files are not alike."""


def sound_words(audio: np.ndarray) -> np.ndarray:
    """Words of (n,) float32 samples at 16 kHz, shape (m,) uint32; m = (n - 8192) // 1024 - 3, or none.

    Word i compares the 0.51 s from (i + 4) x 64 ms on with those from i x 64 ms on. 0: silence, not comparable.
    """
    frames = 1 + (len(audio) - _WINDOW) // HOP
    if frames <= _LAG:
        return np.zeros(0, np.uint32)
    energy, loud = _band_energy(np.asarray(audio, np.float32), frames)
    level = np.log(energy + _FLOOR * energy.sum(1, keepdims=True) + 1e-12)
    tilt = level[:, :-1] - level[:, 1:]
    words = np.ascontiguousarray(np.packbits(tilt[_LAG:] > tilt[:-_LAG], axis=1)).view(">u4")[:, 0].astype(np.uint32)
    return np.where(loud[_LAG:] & loud[:-_LAG], np.maximum(words, np.uint32(1)), np.uint32(0))


def _band_energy(audio: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Energy of the 33 bands of each window, (frames, 33) float64, and whether the window is louder than silence."""
    window, bands = np.hanning(_WINDOW).astype(np.float32), _bands()
    energy, loud = np.zeros((frames, BITS + 1)), np.zeros(frames, bool)
    for i in range(frames):
        heard = audio[i * HOP : i * HOP + _WINDOW]
        loud[i] = float(np.sqrt(np.mean(heard**2))) > _SILENT
        power = np.abs(np.fft.rfft(heard * window)[bands[0] : bands[-1]]) ** 2
        energy[i] = np.add.reduceat(power, bands[:-1] - bands[0])
    return energy, loud


@lru_cache(maxsize=1)
def _bands() -> np.ndarray:
    """FFT bins at the edges of 33 bands, evenly spaced in log frequency from 300 to 3,000 Hz; (34,)."""
    hertz = np.geomspace(_LOW_HZ, _HIGH_HZ, BITS + 2)
    return np.round(hertz * _WINDOW / RATE).astype(int)
