"""The texts that the trainer reads: captions of sound and picture, speech with speaker marks, one dense caption."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from captioners.caption.phrases import pick
from captioners.compose import claims, consistency
from captioners.speakers import WORDS, marked_text, spoken
from captioners.transcribe.words import UNSPACED
from media.clip import Clip
from media.stage import Facts, Row
from media.views import View, Views

DEFAULTS = ("caption.audio_template", "caption.video_template", "transcribe.whisperx")
"""Stages that may be missing: a preset that names others needs them."""


class Texts:
    """`compose.texts`: audio_text, speech_text ("" if nobody speaks), video_text, dense_text, short_text, consistency.

    audio, video: names of the caption stages that are read. fused: of one whose caption of sound and picture together
    is the dense text, with the words after it; None makes it of the two captions. transcript: of the stage whose words
    are read; it has no text where `separate.stems` calls the stem of the voice empty. words, language: of what is said,
    each word with its speaker and whether two talk at once. caption_text: the captions without the words; sound_text:
    the one of them that tells of the sound. max_chars: above it a text is flagged, never cut. consistency: what
    disagrees among the facts (empty when nothing does); `compose.consistency` has numbers for policies.
    """

    NAME = "compose.texts"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "audio_text": pa.string(),
        "speech_text": pa.string(),
        "video_text": pa.string(),
        "dense_text": pa.string(),
        "short_text": pa.string(),
        "caption_text": pa.string(),
        "sound_text": pa.string(),
        "words": WORDS,
        "language": pa.string(),
        "consistency": pa.list_(pa.string()),
    }
    VIEWS: tuple[View, ...] = ()
    BACKEND = "template"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def __init__(
        self,
        *,
        audio: str = "caption.audio_template",
        video: str = "caption.video_template",
        fused: str | None = None,
        transcript: str = "transcribe.whisperx",
        max_chars: int = 2000,
    ) -> None:
        self.audio, self.video, self.fused, self.transcript, self.max_chars = audio, video, fused, transcript, max_chars
        named = tuple(filter(None, (transcript, audio, video, fused)))
        self.INPUTS: tuple[str, ...] = ("audio.classes", "audio.voices", "audio.language", "separate.stems", *named)
        self.REQUIRES: tuple[str, ...] = tuple(name for name in named if name not in DEFAULTS)

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The texts of one clip from its facts."""
        heard, seen = facts.get(self.audio, {}), facts.get(self.video, {})
        audio, video = heard.get("caption") or "", seen.get("caption") or ""
        whole = facts.get(self.fused, {}) if self.fused else {}
        transcript = heard_voice(facts.get(self.transcript, {}), facts)
        speech = speech_text(transcript, facts)
        told = [whole["caption"]] if whole.get("caption") else [video, audio]
        short = whole.get("caption_short") or " ".join(
            filter(None, (row.get("caption_short") for row in (seen, heard)))
        )
        texts = {
            "audio_text": audio,
            "speech_text": speech,
            "video_text": video,
            "dense_text": dense_text(clip.clip_id, told, speech, _sung(facts)),
            "short_text": short,
            "caption_text": " ".join(filter(None, told)),
            "sound_text": whole.get("caption") or audio,
        }
        flags = disagreements(facts, transcript, texts, self.max_chars)
        own = {"words": spoken(transcript.get("words") or [], _turns(facts)), "language": transcript.get("language")}
        return {**texts, **own, "consistency": flags}


def heard_voice(transcript: Row, facts: Facts) -> Row:
    """The transcript, or one of nothing where the stem of the voice was split off and is empty."""
    stems = facts.get("separate.stems", {})
    silent = stems.get("voice_db") is not None and "voice" in (stems.get("empty") or [])
    nothing = {"text": "", "words": [], "guard": "quiet_voice"}
    return {**transcript, **nothing} if silent and transcript.get("text") else transcript


def speech_text(transcript: Row, facts: Facts) -> str:
    """The guarded transcript, with speaker marks where `audio.voices` found several speakers."""
    joint = "" if transcript.get("language") in UNSPACED else " "
    return marked_text(transcript.get("text") or "", transcript.get("words") or [], _turns(facts), joint)


def _turns(facts: Facts) -> list[Row]:
    return facts.get("audio.voices", {}).get("turns") or []


def dense_text(clip_id: bytes, captions: Sequence[str], speech: str, sung: bool) -> str:
    """Picture, sound and words in one paragraph; a part that is empty is left out."""
    verb = "sung" if sung else "spoken"
    lead = pick([f"The {verb} words are", f"{verb.capitalize()} words"], clip_id, "words")
    return " ".join(filter(None, [*captions, f"{lead}: “{speech}”" if speech else ""]))


def disagreements(facts: Facts, transcript: Row, texts: Mapping[str, str], max_chars: int) -> list[str]:
    """Names of what does not fit together, in a fixed order.

    speech_without_vad: a transcript where the speech detector heard nobody (and nobody sings).
    class_without_words: classed as speech, yet no word survived. tags_contradict: classed as speech or music, yet not
    one of the best tags says so. guard_dropped: the hallucination guard removed text. unmarked_speakers: several
    speakers found, words of only one. disputed: transcripts that were reconciled are apart. speech_unheard,
    language_mismatch, refusal: as of `compose.consistency`. caption_missing: a caption is empty. too_long: a text is
    above max_chars.
    """
    classes, voices = facts.get("audio.classes", {}), facts.get("audio.voices", {})
    guard = transcript.get("guard")
    speech = bool(texts["speech_text"])
    checks = {
        "speech_without_vad": speech and classes.get("speech_spans") == [] and not _sung(facts),
        "class_without_words": classes.get("audio_class") == "speech" and not speech,
        "tags_contradict": _tags_contradict(classes),
        "guard_dropped": bool(guard) and guard != "no_speech",
        "unmarked_speakers": speech and (voices.get("speakers") or 0) > 1 and "<S2>" not in texts["speech_text"],
        "disputed": bool(transcript.get("disputed")),
        "speech_unheard": consistency.speech_unheard(texts["caption_text"], classes) is True,
        "language_mismatch": consistency.language_mismatch(transcript, facts.get("audio.language", {})) is True,
        "refusal": claims.refuses(texts["caption_text"]),
        "caption_missing": not texts["audio_text"] or not texts["video_text"],
        "too_long": any(len(text) > max_chars for text in texts.values()),
    }
    return [name for name, found in checks.items() if found]


def _sung(facts: Facts) -> bool:
    return facts.get("audio.classes", {}).get("audio_class") == "singing"


def _tags_contradict(classes: Row) -> bool:
    evidence = {"speech": classes.get("tag_speech"), "music": classes.get("tag_music")}.get(
        classes.get("audio_class") or ""
    )
    return evidence is not None and evidence < 0.1


STAGE = Texts
