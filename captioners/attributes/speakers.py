"""The stage that estimates gender and age of each voice. Estimates of a voice, not facts of a person."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from captioners.attributes.own_speech import longest, own_spans
from captioners.transcribe.pieces import joined
from media import device
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, View, Views
from media.weights_at import Folder

RATE = 16_000
BANDS = ((15.0, "child"), (25.0, "youth"), (55.0, "adult"), (float("inf"), "senior"))
"""Years below which a voice is of the band: the classes of the INTERSPEECH 2010 challenge on aGender, one of the sets
that the model learned from."""
ESTIMATES = pa.list_(
    pa.struct(
        [
            ("speaker", pa.string()),
            ("gender", pa.string()),
            ("gender_confidence", pa.float64()),
            ("age_years", pa.float64()),
            ("age_band", pa.string()),
            ("seconds", pa.float64()),
        ]
    )
)
MODEL = "audeering/wav2vec2-large-robust-24-ft-age-gender (CC-BY-NC-SA 4.0: not for commercial use)"
WEIGHTS = Folder("attributes.speakers", "age_gender", f"https://huggingface.co/{MODEL}")


class Speakers:
    """`attributes.speakers`: an estimate for each speaker of `audio.voices`; leave the stage out and there are none.

    estimates: {speaker, gender (female, male or child, as the model has it) and its share, age in years (off by 7 to
    11 on average, say its authors) and its band, seconds heard}. Of each speaker what is said alone is heard, the
    longest pieces up to max_s; below min_s nothing is estimated and all but `seconds` is NULL.
    weights: the model's folder, by default $KLEAR_WEIGHTS/age_gender. on: "auto", "cpu", "cuda".
    """

    NAME = "attributes.speakers"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"backend": pa.string(), "estimates": ESTIMATES}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.voices",)
    REQUIRES = INPUTS
    BACKEND = "wav2vec2 age-gender (audeering)"
    LICENCE = "CC-BY-NC-SA-4.0 (weights, audeering): non-commercial"
    COST = 0.4

    def __init__(self, weights: str | None = None, max_s: float = 10.0, min_s: float = 1.0, on: str = "auto") -> None:
        self.weights, self.max_s, self.min_s, self.on = weights, max_s, min_s, on

    def digest(self) -> str:
        """Raises BackendAbsent without the folder, and ConfigError model:checkpoint when it holds another model."""
        from captioners.attributes import age_gender

        found = WEIGHTS.digest(self.weights)
        age_gender.read(WEIGHTS.path(self.weights))  # before any clip would suffer from another model
        return found

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Estimates of one clip from its 16 kHz audio and its speaker turns."""
        alone = own_spans(facts["audio.voices"].get("turns") or [])
        heard = {speaker: joined(views[AUDIO_16K], longest(spans, self.max_s)) for speaker, spans in alone.items()}
        return {"backend": "wav2vec2_age_gender", "estimates": [self._estimate(*one) for one in heard.items()]}

    def _estimate(self, speaker: str, speech: np.ndarray) -> dict[str, Any]:
        seconds = len(speech) / RATE
        if seconds < self.min_s:
            return {"speaker": speaker, "seconds": seconds}
        from captioners.attributes.age_gender import GENDERS

        with device.computing():
            years, shares = self._estimator(device.device_of(self.on)).estimate(speech)
        return {
            "speaker": speaker,
            "gender": GENDERS[int(shares.argmax())],
            "gender_confidence": float(shares.max()),
            "age_years": years,
            "age_band": next(band for below, band in BANDS if years < below),
            "seconds": seconds,
        }

    def _estimator(self, on: str) -> Any:
        from captioners.attributes import age_gender

        return age_gender.load(WEIGHTS.path(self.weights), on)


STAGE = Speakers
