"""Whisper through faster-whisper (CTranslate2), as far as it is asked which language is spoken.

Language is read off the first step of the decoder (Radford 2022, 2.3).
"""

from functools import lru_cache
from typing import Any

import numpy as np

from manifests.errors import ConfigError
from media import packaged_whisper

RATE = 16_000
WINDOW = 30 * RATE
"""What the model hears at once; shorter sound is padded with zeros."""
ISO = {"jw": "jv", "iw": "he"}
"""Whisper's own codes where ISO 639-1 has another (its `haw` and `yue` have no two letters and stay)."""


def digest(folder: str | None) -> str:
    """Hex digest of the model in `folder`, or of the packaged base. Raises BackendAbsent when it is not there."""
    return packaged_whisper.digest(folder or "base")


@lru_cache(maxsize=1)
def load(folder: str | None, device: str, compute_type: str) -> Any:
    """A `faster_whisper.WhisperModel` on one CPU thread. Raises ConfigError when it knows English only."""
    from faster_whisper import WhisperModel

    kept: dict[str, Any] = {"device": device, "compute_type": compute_type, "cpu_threads": 1, "local_files_only": True}
    model = WhisperModel(**packaged_whisper.source(folder or "base"), **kept)
    if not model.model.is_multilingual:
        raise ConfigError("model:language", f"{folder} knows English only: it cannot tell languages apart")
    return model


def language(model: Any, audio: np.ndarray) -> tuple[str, float]:
    """(ISO 639-1 code, its probability in [0, 1]) of the first 30 s of (n,) float32 samples at 16 kHz."""
    code, probability, _ = model.detect_language(np.ascontiguousarray(audio[:WINDOW], np.float32))
    return ISO.get(code, code), float(probability)
