"""The columns of every `transcribe.*` table, and the way to them: what was heard, what is known, what is believed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from captioners.transcribe.guard import Evidence, Limits, in_speech, judge, trimmed
from captioners.transcribe.pieces import Span
from captioners.transcribe.words import Heard, Segment
from media.stage import Bounds, Facts

WORDS = pa.list_(
    pa.struct([("word", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()), ("score", pa.float64())])
)
COLUMNS: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "language": pa.string(),
    "language_probability": pa.float64(),
    "words": WORDS,
    "word_times": pa.string(),
    "avg_logprob": pa.float64(),
    "no_speech_prob": pa.float64(),
    "compression_ratio": pa.float64(),
    "in_speech_ratio": pa.float64(),
    "guard": pa.string(),
    "heard": pa.string(),
}
"""text: what is believed, with its punctuation and case ("" for nothing; `wer.normalise` makes the form that is
compared). words: of `text`, with times in seconds of the clip. word_times: what timed them. heard: all that was written
before the guard; guard: why something was dropped, NULL if nothing was. avg_logprob, no_speech_prob,
compression_ratio: of `text`, or of `heard` where nothing is left. in_speech_ratio: share of the heard words that lie
in the speech spans of `audio.classes`; NULL without words or spans. language_probability: NULL where the language was
given."""
RANGES: Mapping[str, Bounds] = {
    "compression_ratio": (0, None),
    "no_speech_prob": (0, 1),
    "language_probability": (0, 1),
}
INPUTS = ("audio.classes", "audio.language")
"""Tables that the guard's evidence comes from, where they ran."""
NOTHING: Mapping[str, Any] = {"text": "", "words": [], "guard": "no_speech"}
"""The row of a clip in which nobody speaks or sings: no model is asked."""


def evidence_of(facts: Facts, singing_ratio: float) -> Evidence:
    """What other stages measured of a clip. singing_ratio: share of the clip above which it counts as sung."""
    classes, language = facts.get("audio.classes", {}), facts.get("audio.language", {})
    spans = classes.get("speech_spans")
    voted = classes.get("singing_share")  # by all detectors; one of them alone hears singing in engines
    share = voted if voted is not None else classes.get("singing_ratio") or 0.0
    singing = classes.get("audio_class") == "singing" or share >= singing_ratio
    return Evidence(
        speech_spans=None if spans is None else [(s["start_s"], s["end_s"]) for s in spans],
        speech_ratio=classes.get("speech_ratio"),
        audio_class=classes.get("audio_class"),
        singing=singing,
        language=language.get("language"),
        language_probability=language.get("probability"),
    )


Asked = tuple[np.ndarray, Sequence[Span] | None]
"""One clip: mono float32 samples (n,) at 16 kHz, and where in it is speech; None where that is not known."""


def rows(
    asked: Sequence[tuple[np.ndarray, Evidence]], hear: Callable[[Sequence[Asked]], Sequence[Heard]], limits: Limits
) -> list[dict[str, Any]]:
    """The columns of each clip, of which `hear` is asked only those in which somebody may speak or sing."""
    found = [dict(NOTHING) for _ in asked]
    voiced = [i for i, (_, evidence) in enumerate(asked) if not evidence.silent]
    heard = hear([(asked[i][0], asked[i][1].pieces) for i in voiced]) if voiced else []
    for i, one in zip(voiced, heard, strict=True):
        found[i] = row(one, asked[i][1], limits)
    return found


def row(heard: Heard, evidence: Evidence, limits: Limits) -> dict[str, Any]:
    """The columns of one clip."""
    if not heard.segments:
        return {**NOTHING, **heard.more}
    kept, reason = judge(heard, evidence, limits)
    words = [word for segment in kept for word in segment.words]
    if heard.word_times != "wav2vec2" and evidence.pieces:
        words = [trimmed(word, evidence.pieces) for word in words]
    return {
        "text": _text(kept),
        "language": heard.language,
        "language_probability": heard.language_probability,
        "words": [vars(word) for word in words],
        "word_times": heard.word_times,
        "in_speech_ratio": _in_speech(heard, evidence, limits.margin_s),
        "guard": reason,
        "heard": _text(heard.segments),
        **_confidence(kept or heard.segments),
        **heard.more,
    }


def _text(segments: Sequence[Segment]) -> str:
    return segments[0].joint.join(s.text for s in segments if s.text) if segments else ""


def _in_speech(heard: Heard, evidence: Evidence, margin_s: float) -> float | None:
    words = [word for segment in heard.segments for word in segment.words]
    if evidence.speech_spans is None or not words:
        return None
    return sum(in_speech(word, evidence.speech_spans, margin_s) for word in words) / len(words)


def _confidence(segments: Sequence[Segment]) -> dict[str, float | None]:
    """Log probability weighted by text length, and the worst of the other two."""
    told = [(len(s.text) + 1, s.avg_logprob) for s in segments if s.avg_logprob is not None]
    doubts = [s.no_speech_prob for s in segments if s.no_speech_prob is not None]
    return {
        "avg_logprob": sum(w * p for w, p in told) / sum(w for w, _ in told) if told else None,
        "no_speech_prob": max(doubts, default=None),
        "compression_ratio": max(s.compression_ratio for s in segments),
    }
