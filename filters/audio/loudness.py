"""How loud: integrated loudness and true peak (ITU-R BS.1770-4, EBU R128; pyloudnorm and soxr), sample peak and RMS.

Error, held by `tests/filters/audio/test_loudness.py`. Loudness: within 0.05 LU of tones that the standard defines,
within 0.15 LU of ffmpeg's ebur128 on speech and noise at 48 kHz. Sound below 44.1 kHz is brought to 48 kHz first: the
standard's filters are defined there, and their forms at 16 kHz were measured to be up to 0.5 LU off on read speech.
True peak: never over by more than 0.02 dB; under by at most 20 lg cos(pi f / 4), f as a share of the sampling rate
(0.17 dB at f = 1/4, 0.44 dB at 0.4), which is what four-fold sampling can see of a steady tone.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_NATIVE, View, Views

FLOOR_LUFS = -70.0
"""BS.1770's absolute gate: what is quieter is as good as silent."""
FLOOR_DB = -120.0
LOWEST_RATE = 44_100
SURROUND = [0, 1, 2, 4, 5]
"""Channels of 5.1 and wider in ffmpeg's order, without the LFE, which BS.1770 leaves out, and without the sides of 7.1,
which pyloudnorm has no weights for. Of three channels all count: they may be 3.0 as well as 2.1."""


class Loudness:
    """`lufs` in LUFS (never below -70), `true_peak_db` in dBTP (4x oversampled), `peak_db` and `rms_db` in dBFS.

    Decibels never fall below -120, so that digital silence is a number that a gate can reject, and not NULL.
    """

    NAME = "audio.loudness"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "lufs": pa.float64(),
        "peak_db": pa.float64(),
        "true_peak_db": pa.float64(),
        "rms_db": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"lufs": (-200, 20)}
    VIEWS: tuple[View, ...] = (AUDIO_NATIVE,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "pyloudnorm + soxr"
    LICENCE = "MIT (pyloudnorm), LGPL-2.1 (soxr)"
    COST = 0.010

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its audio at the source's own rate and channels."""
        audio = channels_last(views[AUDIO_NATIVE])
        if len(audio) == 0:
            return {}
        return {
            "lufs": loudness(audio, views.rates[AUDIO_NATIVE]),
            "peak_db": decibels(float(np.abs(audio).max())),
            "true_peak_db": decibels(true_peak(audio, views.rates[AUDIO_NATIVE])),
            "rms_db": decibels(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))),
        }


def channels_last(audio: np.ndarray) -> np.ndarray:
    """Audio as (n, channels), whatever the number of channels."""
    return audio[:, None] if audio.ndim == 1 else audio


def decibels(amplitude: float) -> float:
    """Amplitude (1 = full scale) in dBFS, at least -120."""
    return max(FLOOR_DB, 20 * float(np.log10(max(amplitude, 1e-12))))


def loudness(audio: np.ndarray, rate: int) -> float:
    """Integrated loudness in LUFS of (n, channels) samples, at least -70.

    A clip shorter than one 0.4 s gating block is measured as a single block of its own length.
    """
    import pyloudnorm
    import soxr

    heard = audio[:, SURROUND] if audio.shape[1] > 5 else audio
    if not np.any(heard):
        return FLOOR_LUFS
    if rate < LOWEST_RATE:
        heard, rate = soxr.resample(heard, rate, 48_000), 48_000
    block = min(0.4, len(heard) / rate)
    with np.errstate(divide="ignore"):
        lufs = pyloudnorm.Meter(rate, block_size=block).integrated_loudness(heard.astype(np.float64))
    return max(FLOOR_LUFS, float(lufs)) if np.isfinite(lufs) else FLOOR_LUFS


def true_peak(audio: np.ndarray, rate: int) -> float:
    """Largest absolute value of (n, channels) samples at `rate` Hz between the samples too (BS.1770-4, annex 2).

    Four-fold up to 48 kHz, as the standard has it; two-fold from 88.2 kHz on; sound at 176.4 kHz and more as it is.
    """
    import soxr

    times = 4 if rate < 88_200 else 2 if rate < 176_400 else 1
    between = soxr.resample(audio, 1, times) if times > 1 else audio
    return max(float(np.abs(audio).max()), float(np.abs(between).max(initial=0.0)))


STAGE = Loudness
