"""How near a decoded clip is to the original. Decibels throughout."""

import numpy as np

from trainer.codecs.logmel4 import log_mel


def psnr(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of uint8 arrays of equal shape, peak 255; infinite when they are equal."""
    error = np.mean((reference.astype(np.float64) - decoded.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error > 0 else float("inf")


def snr(reference: np.ndarray, decoded: np.ndarray) -> float:
    """Signal-to-noise ratio in dB of waveforms of equal shape; inf when equal, -inf for a silent reference."""
    signal = float(np.sum(reference.astype(np.float64) ** 2))
    error = float(np.sum((reference.astype(np.float64) - decoded.astype(np.float64)) ** 2))
    if error == 0:
        return float("inf")
    return float(10 * np.log10(signal / error)) if signal > 0 else float("-inf")


def band_limit(samples: np.ndarray, hertz: float, rate: int = 44_100) -> np.ndarray:
    """Float (n,) without anything above `hertz`, by an ideal filter: what a band-limited codec can be asked for."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    spectrum[int(np.ceil(hertz * len(samples) / rate)) :] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def log_spectral_distance(reference: np.ndarray, decoded: np.ndarray, floor_db: float = -60.0) -> float:
    """Log-spectral distance in dB of mono waveforms at 44,100 Hz: phase-blind, so fit for vocoded audio.

    Mean over frames (hop 256) of the root mean square over 80 mel bands of the difference of band levels in dB, each
    level no lower than `floor_db` under the loudest one of the reference: inaudible residue does not count.
    """
    levels = [log_mel(x).numpy() * (20 / np.log(10)) for x in (reference, decoded)]
    lowest = levels[0].max() + floor_db
    first, second = (np.maximum(x, lowest) for x in levels)
    return float(np.sqrt(((first - second) ** 2).mean(-1)).mean())
