"""Effective bandwidth: the highest frequency that carries sound, whatever the sampling rate says.

Old telephone speech in a 44.1 kHz file, or a low-bitrate MP3 cut at 11 kHz, has nothing above but a noise floor.
A band (about 170 Hz) carries sound when its loud moments (95th percentile over time) lie above the floor of 16-bit
quantisation and within 80 dB of the strongest band, and when it passes the noise-floor test: either it follows the
sound (its loud moments exceed its quiet ones, the 10th percentile, by 6 dB), or it is within 50 dB of the strongest.
What lies wholly beyond a cliff is no sound of the scene: a drop of 30 dB within 350 Hz, or of 10 dB onto bands that
all stand still (the hiss that was added after the cut).

Error, held by `tests/filters/audio/test_bandwidth.py`: speech that passed through 8, 11 or 16 kHz comes out within 5 %
of half that rate, with or without a hiss at -80 or -65 dBFS; noise through MP3 and AAC within 5 % of the coder's own
low-pass; wide sound as quiet as -60 dBFS is still wide. Old recordings that roll off gently read where they sink into
their own hiss; a sound whose treble lies below 16-bit rounding reads where it does.
DNSMOS does not hear a band limit (measured in the shared reference), so this measure is its own.
"""

import numpy as np

FFT = 2048
RANGE_DB, NEAR_DB, VARIES_DB = 80.0, 50.0, 6.0
CLIFF_DB, HISS_CLIFF_DB = 30.0, 10.0
GROUP = 8
"""FFT bins to a band: 172 Hz at 44.1 kHz."""


def bandwidth(audio: np.ndarray, rate: int) -> float | None:
    """Effective bandwidth in Hz of (n,) samples at `rate` Hz; None when nothing rises above the floor (silence)."""
    level = band_levels(audio)
    loud, quiet = np.percentile(level, [95, 10], axis=0)
    top = loud.max()
    audible = (loud > quantisation_db() + 6) & (loud > top - RANGE_DB)
    varies = loud - quiet > VARIES_DB
    carries = audible & (varies | (loud > top - NEAR_DB))
    found = np.flatnonzero(carries[: cliff(loud, varies & audible)])
    return float(min(rate / 2, (found[-1] + 1) * GROUP * rate / FFT)) if len(found) else None


def cliff(loud: np.ndarray, varies: np.ndarray) -> int:
    """How many bands lie below the lowest cliff (all, without one). loud: (bands,) dB; varies: (bands,) bool.

    A cliff's foot is the level of everything above it; its head, three bands (0.5 kHz), all of them.
    """
    foot = np.maximum.accumulate(loud[::-1])[::-1]
    still = ~np.maximum.accumulate(varies[::-1])[::-1]
    for band in range(3, len(loud) - 2):
        drop = loud[band - 3 : band].min() - foot[band + 2]
        if drop > CLIFF_DB or (drop > HISS_CLIFF_DB and still[band + 2]):
            return band + 2
    return len(loud)


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
