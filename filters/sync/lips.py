"""Lip sync without a model of its own: how the lips of each face open, against how loud the speech is.

Answers where other lips, as active at the same times, would hardly do as well; else it says "unsure", which on clips of
3 s it often does. It tells late sound and unlike lips, not words: a dubbed sentence of the same rhythm passes.

Measured on GRID (11 talking heads of 3 s, 14 known offsets of up to 0.4 s each): 43 % answered, error 12 ms in the
median and 17 ms at 95 %, none wrong by more than 0.1 s. Sound of another clip over a head: 1 of 110 measured. Two heads
side by side, one heard: 45 % told, 1 % wrong (220 pairs). The limits were chosen while looking at these clips.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from filters.audio.spans import Span
from filters.sync.active_speaker import OFF, ON, OPEN, faces_of, owner, voices_of
from filters.sync.envelope import ENVELOPE_RATE, envelope, without_slow
from filters.sync.lip_match import FPS, REACH_S, Match, match
from filters.sync.lip_rows import FACES, TURNS, face_rows, places, turn_rows
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views


class Lips:
    """`av_offset_s` > 0: the sound comes after the picture. NULL unless `certainty` is "measured"; else "unsure",
    "no face" (none whose lips can be seen) or "no speech". Offsets beyond 0.62 s are never measured.

    correlation: of the best face at its best lag, in [-1, 1]; confidence: 1 - (best other lag / peak); chance: that
    other lips, as active at the same times, do as well (over all faces tried). faces: `FACES`. turns: `TURNS`.
    on_screen_ratio, off_screen_ratio: shares of the spoken time whose voice is a face's in view, or nobody's in view;
    the rest is unsure. A voice is a face's at the measured offset, or at about none where there is no measured one.
    voice_place: where it is for at least 80 %, "mixed" for both, "unsure"; place_confidence: the share of the spoken
    time that is told, times the confidence of the turns. All NULL when nobody speaks.
    max_chance, min_correlation: from which on a match is measured.
    """

    NAME = "sync.lips"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "av_offset_s": pa.float64(),
        "certainty": pa.string(),
        "correlation": pa.float64(),
        "confidence": pa.float64(),
        "chance": pa.float64(),
        "faces": FACES,
        "turns": TURNS,
        "on_screen_ratio": pa.float64(),
        "off_screen_ratio": pa.float64(),
        "voice_place": pa.string(),
        "place_confidence": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "av_offset_s": (-REACH_S, REACH_S),
        "correlation": (-1.0001, 1.0001),
        "confidence": (0, 1),
        "chance": (0, 1),
        "place_confidence": (0, 1),
    }
    VALUES: ClassVar[Mapping[str, Sequence[str]]] = {
        "certainty": ("measured", "unsure", "no face", "no speech"),
        "voice_place": (ON, OFF, "mixed", OPEN),
    }
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("video.faces", "audio.classes", "audio.voices")
    REQUIRES: tuple[str, ...] = ("video.faces", "audio.classes")
    BACKEND = "formula, over the landmarks of video.faces"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.004

    def __init__(self, max_chance: float = 0.01, min_correlation: float = 0.3) -> None:
        self.max_chance, self.min_correlation = max_chance, min_correlation

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz audio, its faces and its speech."""
        audio = views[AUDIO_16K]
        frames = round(len(audio) / 16_000 * FPS)
        turns = speech(facts)
        if not turns or not frames:
            return {"certainty": "no speech"}
        sound = without_slow(envelope(audio), ENVELOPE_RATE)
        faces = faces_of(facts["video.faces"]["tracks"] or (), frames)
        matches = {face.track: match(face.lips, sound) for face in faces if face.seen}
        row = self._offset(matches)
        offset = row.get("av_offset_s", 0.0)
        answers = [owner(voice, faces, sound, offset, self.max_chance) for voice in voices_of(turns, frames)]
        return row | {"faces": face_rows(faces, matches, answers), "turns": turn_rows(answers)} | places(answers)

    def _offset(self, matches: Mapping[str, Match | None]) -> dict[str, Any]:
        """The columns about the offset."""
        if not matches:
            return {"certainty": "no face"}
        tried = [found for found in matches.values() if found]
        if not tried:
            return {"certainty": "unsure"}
        best = min(tried, key=lambda found: (found.chance, -found.correlation))
        row: dict[str, Any] = {"certainty": "unsure", "correlation": best.correlation, "confidence": best.confidence}
        row["chance"] = min(1.0, best.chance * len(tried))
        inside = abs(best.offset_s) < REACH_S - 0.02
        if row["chance"] <= self.max_chance and best.correlation >= self.min_correlation and inside:
            row |= {"certainty": "measured", "av_offset_s": best.offset_s}
        return row


def speech(facts: Facts) -> list[tuple[str, Span]]:
    """(voice, span) of each turn: of `audio.voices` where it ran, else the spans of speech, as of one voice."""
    if "audio.voices" in facts:
        turns = facts["audio.voices"]["turns"] or ()
        return [(turn["speaker"], (turn["start_s"], turn["end_s"])) for turn in turns]
    if facts["audio.classes"]["audio_class"] not in ("speech", "singing"):
        return []
    return [("S1", (span["start_s"], span["end_s"])) for span in facts["audio.classes"]["speech_spans"] or ()]


STAGE = Lips
