"""Fingerprint: words of picture and sound by which near duplicates of a clip are found. A fact; judges nothing."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.duplicates.picture_words import picture_words
from filters.duplicates.sketch import PICTURE_TURNS, picture_sketch, sound_sketch
from filters.duplicates.sound_words import sound_words
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, LUMA_25, View, Views


class Fingerprint:
    """`picture`, `sound`: all words, little-endian (8 and 4 bytes each); `picture_0`, `picture_1`, `sound_0`: sketches,
    the words under which each band of the search files the clip.

    About 400 bytes of picture and 600 of sound for a clip of 10 s.
    """

    NAME = "duplicates.fingerprint"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "picture": pa.binary(),
        "sound": pa.binary(),
        "picture_0": pa.list_(pa.uint64()),
        "picture_1": pa.list_(pa.uint64()),
        "sound_0": pa.list_(pa.uint32()),
    }
    VIEWS: tuple[View, ...] = (LUMA_25, AUDIO_16K)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (OpenCV)"
    COST = 0.006

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its grey view (T, H, W) uint8 and its 16 kHz sound (n,) float32."""
        seen = picture_words(views[LUMA_25], LUMA_25.fps or 25)
        heard = sound_words(np.asarray(views[AUDIO_16K]))
        bands = {f"picture_{i}": picture_sketch(seen, turn).tolist() for i, turn in enumerate(PICTURE_TURNS)}
        return {
            "picture": seen.astype("<u8").tobytes(),
            "sound": heard.astype("<u4").tobytes(),
            **bands,
            "sound_0": sound_sketch(heard).tolist(),
        }


STAGE = Fingerprint
