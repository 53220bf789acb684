"""How well the texts of a clip fit what was measured of it, as numbers that policies can bound."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from captioners.compose import claims
from captioners.compose.voice_claims import says_speech
from captioners.compose.word_stems import stems
from media.clip import Clip
from media.stage import Bounds, Facts, Row
from media.views import View, Views

TEXTS = ("audio_text", "speech_text", "video_text", "dense_text")
SURE_LANGUAGE = 0.6
LEAST_CHARS = 80
"""Below it a text says nothing of repetition: zlib's own header is a tenth of it."""


class Consistency:
    """`compose.consistency`: of the texts of `compose.texts`.

    speech_unheard: a caption says that somebody speaks or sings, and no detector heard a voice (NULL where none ran).
    sounds_unheard: sounds that the caption of the sound (a fused one, where there is one) names and the tagger did not
    hear, neither over the clip nor at any moment; synonyms count, and what a fused caption only sees, so bound it
    loosely. refusal: a caption is a model's excuse. These three read captions, never spoken words. language_mismatch:
    the transcript's language is not the one that `audio.language` heard, with a probability of 0.6 at least.
    repetition: highest compression ratio (bytes over zlib's bytes) of a text of 80 characters or more: loops lie above
    2.4. dense_words: words of the dense text. flags: how many disagreements `compose.texts` lists.
    transcript: name of the stage whose language is compared.
    """

    NAME = "compose.consistency"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "speech_unheard": pa.bool_(),
        "sounds_unheard": pa.int32(),
        "unheard": pa.list_(pa.string()),
        "language_mismatch": pa.bool_(),
        "refusal": pa.bool_(),
        "repetition": pa.float64(),
        "dense_words": pa.int32(),
        "flags": pa.int32(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = dict.fromkeys(("sounds_unheard", "dense_words", "flags"), (0, None))
    VIEWS: tuple[View, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def __init__(self, *, transcript: str = "transcribe.whisperx") -> None:
        self.transcript = transcript
        self.INPUTS: tuple[str, ...] = ("compose.texts", "audio.classes", "audio.language", transcript)
        self.REQUIRES: tuple[str, ...] = ("compose.texts",)

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The columns of one clip from its facts."""
        texts = facts["compose.texts"]
        held = {name: texts.get(name) or "" for name in TEXTS}
        classes, captions = facts.get("audio.classes", {}), texts.get("caption_text") or ""
        unheard = sounds_unheard(texts.get("sound_text") or "", classes)
        return {
            "speech_unheard": speech_unheard(captions, classes),
            "sounds_unheard": None if unheard is None else len(unheard),
            "unheard": unheard,
            "language_mismatch": language_mismatch(facts.get(self.transcript, {}), facts.get("audio.language", {})),
            "refusal": claims.refuses(captions),
            "repetition": repetition(held.values()),
            "dense_words": len(held["dense_text"].split()),
            "flags": len(texts.get("consistency") or []),
        }


def speech_unheard(caption: str, classes: Row) -> bool | None:
    """Whether a caption speaks of voices where the speech detectors heard none and nobody sings; None unmeasured."""
    if classes.get("speech_spans") is None:
        return None
    heard = classes["speech_spans"] or classes.get("audio_class") in {"speech", "singing"}
    return not heard and says_speech(caption)


def sounds_unheard(caption: str, classes: Row) -> list[str] | None:
    """Sounds that a caption names and the tagger did not hear; None where no tagger ran."""
    if classes.get("tags") is None:
        return None
    heard = {
        alias
        for kind in ("tags", "events")
        for tag in classes.get(kind) or []
        for alias in claims.aliases(tag["label"])
    }
    words = {word for alias in heard for word in stems(alias)}
    return [name for name in claims.sounds(caption) if not words & set(stems(name))]


def language_mismatch(transcript: Row, heard: Row) -> bool | None:
    """Whether the transcript is in another language than was heard; None where either is not known."""
    if not transcript.get("text") or not transcript.get("language") or not heard.get("language"):
        return None
    if (heard.get("probability") or 0.0) < SURE_LANGUAGE:
        return None
    return bool(transcript["language"] != heard["language"])


def repetition(texts: Any) -> float | None:
    """The highest compression ratio of the texts that are long enough; None without one."""
    data: Sequence[bytes] = [text.encode() for text in texts if len(text) >= LEAST_CHARS]
    return max((len(one) / len(zlib.compress(one)) for one in data), default=None)


STAGE = Consistency
