"""One transcript out of several: what most backends heard, how far they are apart, and who said which word."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

import pyarrow as pa

from captioners import speakers
from captioners.transcribe import transcript
from captioners.transcribe.settings import Agreement
from captioners.transcribe.wer import disagreement
from manifests.errors import ConfigError
from manifests.settings import checked
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import View, Views

TAKEN = ("text", "language", "language_probability", "word_times", "in_speech_ratio", "guard", "heard")
"""Columns that are the chosen backend's."""


class Reconciled:
    """`transcribe.reconciled`: the transcript nearest to all others, of the stages that ran on the clip.

    Two transcripts are as far apart as their letters are (`wer.disagreement`, in [0, 1]; nothing against something is
    1). `chosen`: the stage whose text has the least mean distance to the others; of equals the one that is named first,
    which is always so of two. `disagreement`: the mean over all pairs, NULL where only one ran. `votes`: stages whose
    text lies within `limit` of the chosen one, itself counted; `disputed`: no more than half of them do. `words`: of
    the chosen stage, or of the nearest within `limit` that has some (`words_of`), with the speaker by `audio.voices`,
    and whether two talked at once.

    stages: in order of preference, of which the first must be in the preset. limit: see above; 0.3 by choice: above it
    two texts differ in more than a few words.
    """

    NAME = "transcribe.reconciled"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        **{name: transcript.COLUMNS[name] for name in TAKEN},
        "words": speakers.WORDS,
        "words_of": pa.string(),
        "chosen": pa.string(),
        "disagreement": pa.float64(),
        "votes": pa.int32(),
        "disputed": pa.bool_(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "language_probability": (0, 1),
        "disagreement": (0, 1),
        "votes": (0, None),
    }
    VIEWS: tuple[View, ...] = ()
    BACKEND = "medoid by character error rate"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def __init__(self, *, stages: Sequence[str] = ("transcribe.whisperx",), limit: float = 0.3) -> None:
        if not stages or len(set(stages)) < len(stages) or self.NAME in stages:
            raise ConfigError("config:stages", f"{self.NAME}: stages = {list(stages)}; name other stages, each once")
        self.stages, self.limit = tuple(stages), checked(Agreement, {"limit": limit}, self.NAME).limit
        self.INPUTS: tuple[str, ...] = (*self.stages, "audio.voices")
        self.REQUIRES: tuple[str, ...] = self.stages[:1]

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The columns of one clip, from the rows of its transcripts."""
        rows = {name: facts[name] for name in self.stages if name in facts}
        if not rows:
            return {}
        apart = _distances({name: row["text"] or "" for name, row in rows.items()})
        chosen = min(rows, key=lambda name: sum(apart[name].values()))
        agreeing = [name for name, distance in apart[chosen].items() if distance <= self.limit]
        timed = next((name for name in agreeing if rows[name].get("words")), chosen)
        turns = facts.get("audio.voices", {}).get("turns") or []
        return {
            **{column: rows[chosen].get(column) for column in TAKEN},
            "words": speakers.spoken(rows[timed].get("words") or [], turns),
            "words_of": timed,
            "chosen": chosen,
            "disagreement": _mean(apart),
            "votes": len(agreeing),
            "disputed": 2 * len(agreeing) <= len(rows),
        }


def _distances(texts: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Name -> name -> distance of the texts, itself first, the nearest next; of equals the first named."""
    apart = {(a, b): disagreement(texts[a], texts[b]) for a, b in combinations(texts, 2)}
    apart |= {(b, a): distance for (a, b), distance in apart.items()}
    near = {a: sorted((apart.get((a, b), 0.0), a != b, n, b) for n, b in enumerate(texts)) for a in texts}
    return {a: {b: distance for distance, _, _, b in found} for a, found in near.items()}


def _mean(apart: Mapping[str, Mapping[str, float]]) -> float | None:
    """Mean distance over all pairs (each is there twice, and every name with itself)."""
    pairs = len(apart) * (len(apart) - 1)
    return sum(sum(row.values()) for row in apart.values()) / pairs if pairs else None


STAGE = Reconciled
