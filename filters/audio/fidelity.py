"""What the recording chain did to the sound: clipping, lost bandwidth, noise, DC offset, dropouts, fake stereo."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio import stereo
from filters.audio.bandwidth import bandwidth
from filters.audio.clipping import clipping
from filters.audio.dropouts import dropouts
from filters.audio.loudness import channels_last
from filters.audio.snr import snr
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, AUDIO_NATIVE, View, Views


class Fidelity:
    """`clipping_ratio`: share of samples in cut tops, worst channel, in [0, 1] (`clipping.py`).

    `bandwidth_hz`: highest frequency with content, of the widest channel (`bandwidth.py`). `snr_db`: noise-floor
    estimate, 60-8,000 Hz, its error stated in `snr.py`. `dc_offset`: largest mean of a channel, 1 = full scale.
    `dropouts`, `dropout_ratio`, `digital_silence_ratio`: gaps of 5 ms and more, their share of the clip, and that of
    exact silence that is no gap (`dropouts.py`). `side_to_mid_db`: (left - right) over (left + right);
    `stereo_residual_db`: what of the channels is no copy of each other; `fake_stereo`: that is -18 dB or less
    (`stereo.py`). These three are NULL for mono and silent clips, `bandwidth_hz` and `snr_db` for silent ones, all for
    an empty clip.
    """

    NAME = "audio.fidelity"
    VERSION = 3
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "clipping_ratio": pa.float64(),
        "bandwidth_hz": pa.float64(),
        "snr_db": pa.float64(),
        "dc_offset": pa.float64(),
        "dropouts": pa.int32(),
        "dropout_ratio": pa.float64(),
        "digital_silence_ratio": pa.float64(),
        "side_to_mid_db": pa.float64(),
        "stereo_residual_db": pa.float64(),
        "fake_stereo": pa.bool_(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"bandwidth_hz": (0, 200_000), "dc_offset": (-1, 1)}
    VIEWS: tuple[View, ...] = (AUDIO_NATIVE, AUDIO_16K)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.006

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its audio at the source's rate, and at 16 kHz for the noise estimate."""
        audio = channels_last(views[AUDIO_NATIVE])
        if len(audio) == 0:
            return {}
        rate = views.rates[AUDIO_NATIVE]
        gaps, lost, silent = dropouts(audio, rate)
        left_over = stereo.residual(audio, rate)
        return {
            "clipping_ratio": clipping(audio),
            "bandwidth_hz": max(
                (b for channel in audio.T if (b := bandwidth(channel, rate)) is not None), default=None
            ),
            "snr_db": snr(views[AUDIO_16K]),
            "dc_offset": float(np.abs(audio.mean(axis=0, dtype=np.float64)).max()),
            "dropouts": gaps,
            "dropout_ratio": lost,
            "digital_silence_ratio": silent,
            "side_to_mid_db": stereo.side_to_mid(audio),
            "stereo_residual_db": left_over,
            "fake_stereo": None if left_over is None else left_over <= stereo.FAKE_DB,
        }


STAGE = Fidelity
