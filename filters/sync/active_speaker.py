"""Whose voice is it: one of the faces in view, or somebody's out of view?

All that one voice says is taken together, since a turn of a second is too short to tell. A voice belongs to the face
that moves its lips with it; where nobody in view moves the lips it is off screen; lips that move otherwise, or are too
small to see, leave it open. Faces in profile are not seen, so whoever speaks in profile is off screen here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from filters.audio.spans import Span
from filters.sync.lip_match import FPS, Match, match, moving
from filters.video.face_series import lips_of

STILL = 0.005
"""Lips whose opening (over the distance of the eyes, its slow part taken out) moves less than this in seven of ten
frames do not speak. Measured: who talks, 0.010 to 0.030; stills with noise, up to 0.004, one of 0.007 at 45 px."""
ROOM_S = 0.3
"""Around what one voice says: lips open before it and close after it."""
ON, OFF, OPEN = "on_screen", "off_screen", "unsure"


@dataclass(frozen=True)
class Face:
    """track: its name. lips: (frames,), as `moving` gives them. inview: (frames,) bool. seen: are its lips known?"""

    track: str
    lips: np.ndarray
    inview: np.ndarray
    seen: bool


@dataclass(frozen=True)
class Voice:
    """name: S1, S2, ... turns: spans in s. heard: (frames,) bool. alone: (frames,) bool, when it counts in a match."""

    name: str
    turns: list[Span]
    heard: np.ndarray
    alone: np.ndarray


@dataclass(frozen=True)
class Answer:
    """Whose a voice is: face None for nobody's; match: of the two; on, off: (frames,) bool, where it is on, and off,
    screen."""

    voice: Voice
    face: Face | None
    match: Match | None
    on: np.ndarray
    off: np.ndarray

    def place(self, span: Span) -> str:
        """Where the voice is for most of a span."""
        part = slice(round(span[0] * FPS), max(round(span[0] * FPS) + 1, round(span[1] * FPS)))
        shares = {ON: self.on[part].mean(), OFF: self.off[part].mean()} if len(self.on[part]) else {}
        return next((name for name, share in shares.items() if share > 0.5), OPEN)


def faces_of(tracks: Sequence[dict[str, Any]], frames: int) -> list[Face]:
    """The tracks of `video.faces` on a clip's frames."""
    found = []
    for entry in tracks:
        inview = np.zeros(frames, bool)
        inview[round(entry["start_s"] * FPS) : round(entry["end_s"] * FPS)] = True
        found.append(Face(entry["track"], moving(lips_of(entry, frames)), inview, entry["lip_opening"] is not None))
    return found


def voices_of(turns: Sequence[tuple[str, Span]], frames: int) -> list[Voice]:
    """Named turns as voices. One voice counts everywhere, several where no other is heard."""
    names = list(dict.fromkeys(name for name, _ in turns))
    spans = {name: [span for other, span in turns if other == name] for name in names}
    heard = {name: _frames(spans[name], frames) for name in names}
    if len(names) == 1:
        return [Voice(names[0], spans[names[0]], heard[names[0]], np.ones(frames, bool))]
    voices = []
    for name in names:
        others = np.any([heard[other] for other in names if other != name], axis=0)
        voices.append(Voice(name, spans[name], heard[name], _frames(spans[name], frames, ROOM_S) & ~others))
    return voices


def owner(voice: Voice, faces: Sequence[Face], sound: np.ndarray, offset: float, max_chance: float) -> Answer:
    """Whose voice it is, at lags within 0.12 s of `offset` (s). sound: the envelope, its slow part taken out."""
    known = [face for face in faces if face.seen]
    tried = [(face, match(face.lips, sound, voice.alone, offset)) for face in known]
    told = [(face, m) for face, m in tried if m and m.chance * len(known) <= max_chance]
    face, best = max(told, key=lambda pair: pair[1].correlation, default=(None, None))
    on = voice.heard & face.inview if face else np.zeros_like(voice.heard)
    could = np.zeros_like(on)
    for other in faces:
        if not other.seen or moves(other, voice.heard):
            could |= other.inview
    return Answer(voice, face, best, on, voice.heard & ~on & ~could)


def moves(face: Face, at: np.ndarray) -> bool:
    """Do its lips move in the frames `at` (bool)?"""
    values = face.lips[at & ~np.isnan(face.lips)]
    return len(values) > 0 and float(np.quantile(np.abs(values), 0.7)) >= STILL


def _frames(spans: Sequence[Span], frames: int, room_s: float = 0.0) -> np.ndarray:
    inside = np.zeros(frames, bool)
    for start, end in spans:
        inside[max(0, round((start - room_s) * FPS)) : max(0, round((end + room_s) * FPS))] = True
    return inside
