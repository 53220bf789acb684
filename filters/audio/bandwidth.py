"""Effective bandwidth: the highest frequency that carries sound, whatever the sampling rate says.

Old telephone speech in a 44.1 kHz file, or a low-bitrate MP3 cut at 11 kHz, has nothing above but a noise floor.
A band (about 170 Hz) carries sound when its loud moments (95th percentile over time) lie above the floor of 16-bit
quantisation and within 80 dB of the strongest band, and when it passes the noise-floor test: either it follows the
sound (its loud moments exceed its quiet ones, the 10th percentile, by 6 dB), or it is within 50 dB of the strongest.
DNSMOS does not hear a band limit (measured in the shared reference), so this measure is its own.
"""

import numpy as np

FFT = 2048
RANGE_DB, NEAR_DB, VARIES_DB = 80.0, 50.0, 6.0
GROUP = 8
"""FFT bins to a band: 172 Hz at 44.1 kHz."""


def bandwidth(audio: np.ndarray, rate: int) -> float | None:
    """Effective bandwidth in Hz of (n,) samples at `rate` Hz; None when nothing rises above the floor (silence)."""
    level = band_levels(audio)
    loud, quiet = np.percentile(level, [95, 10], axis=0)
    top = loud.max()
    audible = (loud > quantisation_db() + 6) & (loud > top - RANGE_DB)
    carries = audible & ((loud - quiet > VARIES_DB) | (loud > top - NEAR_DB))
    found = np.flatnonzero(carries)
    return float(min(rate / 2, (found[-1] + 1) * GROUP * rate / FFT)) if len(found) else None


def band_levels(audio: np.ndarray) -> np.ndarray:
    """Mean power in dB (times, 128) of each band of 8 bins and of four neighbouring half-overlapped Hann frames.

    Frames are of 2,048 samples; the average over four keeps the scatter of stationary noise well below 6 dB.
    """
    x = np.pad(audio.astype(np.float32), (0, max(0, FFT - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(x, FFT)[:: FFT // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(FFT).astype(np.float32), axis=1))[:, :-1] ** 2
    bands = power.reshape(len(frames), -1, GROUP).mean(axis=2)
    width = min(4, len(bands))
    total = np.cumsum(np.vstack([np.zeros(bands.shape[1]), bands.astype(np.float64)]), axis=0)
    return 10 * np.log10((total[width:] - total[:-width]) / width + 1e-20)


def quantisation_db() -> float:
    """Level of 16-bit rounding noise (variance 2^-30 / 12) in the scale of `band_levels`."""
    return float(10 * np.log10(2.0**-30 / 12 * np.sum(np.hanning(FFT) ** 2)))
