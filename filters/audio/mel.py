"""Mel filter banks in plain numpy: importing librosa for them would cost every worker four CPU-seconds."""

import numpy as np


def mel_bank(rate: int, fft: int, bands: int, low: float, high: float, slaney: bool = False) -> np.ndarray:
    """Triangular filters (bands, fft // 2 + 1) float32 over the bins of a real FFT of `fft` points at `rate` Hz.

    slaney false: HTK's scale, peaks of 1 (as YAMNet). True: Slaney's scale, unit area in Hz (librosa's default).
    Equal to `librosa.filters.mel(..., htk=not slaney, norm="slaney" if slaney else None)` (tested).
    """
    to_mel, to_hz = (_to_slaney, _from_slaney) if slaney else (_to_htk, _from_htk)
    edges = to_hz(np.linspace(to_mel(np.array(low)), to_mel(np.array(high)), bands + 2))
    bins = np.fft.rfftfreq(fft, 1 / rate)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling))
    if slaney:
        bank *= 2 / (edges[2:] - edges[:-2])[:, None]
    return bank.astype(np.float32)


def _to_htk(hertz: np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + hertz / 700)


def _from_htk(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


_KNEE_HZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27
"""Slaney's scale is linear (66.7 Hz a mel) up to 1 kHz and logarithmic above."""


def _to_slaney(hertz: np.ndarray) -> np.ndarray:
    above = _KNEE_MEL + np.log(np.maximum(hertz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hertz < _KNEE_HZ, hertz * 3 / 200, above)


def _from_slaney(mel: np.ndarray) -> np.ndarray:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * 200 / 3, above)
