"""How much of the clip is silent, by voice activity and by energy.

The paper's one published threshold is "less than 20 % silence" (section 4); it does not say which silence. Policies
here use the first for speech (a pause over room noise is still a pause), the second for everything else.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio.spans import covered, from_rows, merge
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, View, Views

RATE = 16_000
FRAME = 800
"""50 ms."""


class Silence:
    """`vad_silence_ratio`, `energy_silence_ratio`: shares of the clip in [0, 1].

    vad: time outside silero-vad's speech spans; pauses of up to `bridge_s` seconds between words belong to speech.
    energy: 50 ms frames whose RMS lies below `floor_db` dBFS, or more than `range_db` below the clip's own 95th
    percentile, so that a quiet clip is not silent and a loud clip's dropout is. Both hear the mean of the channels, as
    a mono player does: where these are each other's opposite it is silent (`audio.fidelity.side_to_mid_db` tells).
    """

    NAME = "audio.silence"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "vad_silence_ratio": pa.float64(),
        "energy_silence_ratio": pa.float64(),
    }
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    REQUIRES = INPUTS
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0003

    def __init__(self, bridge_s: float = 0.3, floor_db: float = -60.0, range_db: float = 50.0) -> None:
        self.bridge_s = bridge_s
        self.floor_db = floor_db
        self.range_db = range_db

    def digest(self) -> str:
        """A formula: no model of its own."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio and the speech spans of `audio.classes`."""
        audio = views[AUDIO_16K]
        speech = merge(from_rows(facts["audio.classes"]["speech_spans"]), self.bridge_s)
        return {
            "vad_silence_ratio": 1.0 - covered(speech, len(audio) / RATE),
            "energy_silence_ratio": energy_silence(audio, self.floor_db, self.range_db),
        }


def energy_silence(audio: np.ndarray, floor_db: float, range_db: float) -> float:
    """Share of silent 50 ms frames of (n,) samples at 16 kHz; 1.0 for an empty clip (see `Silence`)."""
    level = frame_levels(audio)
    if len(level) == 0:
        return 1.0
    return float(np.mean(level < max(floor_db, float(np.percentile(level, 95)) - range_db)))


def frame_levels(audio: np.ndarray) -> np.ndarray:
    """RMS in dBFS of each whole 50 ms frame of (n,) samples at 16 kHz; a shorter clip is repeated to fill one."""
    if len(audio) < FRAME:
        audio = np.resize(audio, FRAME) if len(audio) else audio
    frames = audio[: len(audio) // FRAME * FRAME].astype(np.float64).reshape(-1, FRAME)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)


STAGE = Silence
