"""How loud: integrated loudness (ITU-R BS.1770-4 through pyloudnorm), peaks and RMS."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_NATIVE, View, Views

FLOOR_LUFS = -70.0
"""BS.1770's absolute gate: what is quieter is as good as silent."""
FLOOR_DB = -120.0
SURROUND = [0, 1, 2, 4, 5]
"""Channels of 5.1 and wider in ffmpeg's order, without the LFE, which BS.1770 leaves out."""


class Loudness:
    """`lufs` in LUFS (never below -70), `peak_db` and `true_peak_db` (4x oversampled) in dBFS, `rms_db` in dBFS.

    Decibels never fall below -120, so that digital silence is a number that a gate can reject, and not NULL.
    """

    NAME = "audio.loudness"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "lufs": pa.float64(),
        "peak_db": pa.float64(),
        "true_peak_db": pa.float64(),
        "rms_db": pa.float64(),
    }
    VIEWS: tuple[View, ...] = (AUDIO_NATIVE,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "pyloudnorm"
    LICENCE = "MIT (pyloudnorm)"
    COST = 0.011

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
            "true_peak_db": decibels(true_peak(audio)),
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

    block = min(0.4, len(audio) / rate)
    heard = audio[:, SURROUND] if audio.shape[1] > 5 else audio
    if not np.any(heard):
        return FLOOR_LUFS
    with np.errstate(divide="ignore"):
        lufs = pyloudnorm.Meter(rate, block_size=block).integrated_loudness(heard.astype(np.float64))
    return max(FLOOR_LUFS, float(lufs)) if np.isfinite(lufs) else FLOOR_LUFS


def true_peak(audio: np.ndarray, oversample: int = 4) -> float:
    """Largest absolute value of (n, channels) samples after 4x oversampling (BS.1770-4, annex 2)."""
    from scipy.signal import resample_poly

    return max(float(np.abs(audio).max()), float(np.abs(resample_poly(audio, oversample, 1)).max()))


STAGE = Loudness
