"""Lips and voices: offsets of talking heads, whose voice it is of two, and voices of nobody in view."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from media.render import render_views
from media.synth.faces import Head, talking
from media.synth.picture import backdrop
from media.synth.sounds import RATE
from media.synth.speech import Line, speak
from media.views import AUDIO_16K, FACES_25, Views
from media.whole import whole_clip
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, errors

OFFSETS = (-0.4, -0.21, -0.1, -0.053, 0.0, 0.033, 0.15, 0.4)
"""Seconds; some are fractions of a frame."""
WRONG_S = 0.1
"""An answer that is further from the truth is false."""
LINES = (
    Line("The old keeper counts every ship that passes the harbour and writes its name in a thick blue book"),
    Line("Tomorrow morning the train will leave ten minutes early because the bridge is under repair", "en-us+f2"),
)
Facts = dict[str, Any]


@dataclass(frozen=True)
class Sound:
    """Samples (n,) at 16 kHz, and what is known of the speech in them."""

    samples: np.ndarray
    facts: Facts


@dataclass(frozen=True)
class Taken:
    """A clip: its frames (T, H, W, 3) at 25 fps, what is known of the faces in them, and its sound."""

    frames: np.ndarray
    facts: Facts
    sound: Sound


def check(media: Path | None) -> Iterator[Finding]:
    """Drawn heads; with real clips (grid/, video/) real ones too."""
    yield from _offsets("drawn talking heads", drawn_heads(), 0.9)
    if media is None:
        return
    heads = [_taken(path) for path in sorted((media / "grid").glob("*.mpg"))]
    yield from _offsets("talking heads of 3 s", heads, 0.5)
    yield _strangers(heads)
    yield _side_by_side(heads)
    yield _out_of_view(heads, media)


def drawn_heads() -> list[Taken]:
    """Heads whose mouths open as loud as the voice is."""
    import soxr

    made = []
    for seed, said in enumerate(speak(list(LINES))):
        head = Head(skin=(224, 178, 146), hair=(70, 45, 30), shirt=(60, 90, 150))
        voice = np.pad(said.samples, round(0.3 * RATE))
        scene = talking(backdrop(seed, (60, 60, 80), (70, 60, 60)), [head], [voice], 25, voice)
        frames = np.repeat(np.repeat(scene.frames, 2, 1), 2, 2)
        made.append(Taken(frames, _seen(frames), _heard(soxr.resample(scene.sound, RATE, 16_000))))
    return made


def late(audio: np.ndarray, by_s: float) -> np.ndarray:
    """16 kHz samples `by_s` seconds later, or earlier: as many, silence where nothing is known."""
    moved, by = np.zeros_like(audio), round(by_s * 16_000)
    if by >= 0:
        moved[by:] = audio[: len(audio) - by]
    else:
        moved[:by] = audio[-by:]
    return moved


def _offsets(case: str, heads: Sequence[Taken], least: float) -> Iterator[Finding]:
    cases = [(head, offset) for head in heads for offset in OFFSETS]
    pairs = [(offset, _answer(head.facts, _heard(late(head.sound.samples, offset)))) for head, offset in cases]
    answered = [(offset, row["av_offset_s"]) for offset, row in pairs if row["certainty"] == "measured"]
    right = [(offset, found) for offset, found in answered if abs(found - offset) <= WRONG_S]
    shares = {"answered": len(answered) / len(pairs), "false": (len(answered) - len(right)) / len(pairs)}
    floors = {"median ms": (None, 20.0), "95% ms": (None, 40.0), "answered": (least, None), "false": (None, 0.0)}
    figures = {**errors(right, "ms", 1000), **shares}
    yield Finding("sync.lips.av_offset_s", case, len(pairs), figures, floors, right)


def _strangers(heads: Sequence[Taken]) -> Finding:
    """Other sentences of the same length and at the same times, over these lips; and their own."""
    rows = [_answer(one.facts, other.sound) for one, other in permutations(heads, 2)]
    own = [_answer(one.facts, one.sound) for one in heads]
    shares = {
        "false": float(np.mean([row["certainty"] == "measured" for row in rows])),
        "on screen": float(np.mean([row["voice_place"] == "on_screen" for row in rows])),
        "own answered": float(np.mean([row["certainty"] == "measured" for row in own])),
    }
    floors = {"false": (None, 0.04), "on screen": (None, 0.04), "own answered": (0.5, None)}
    return Finding("sync.lips.certainty", "another's voice over a talking head", len(rows), shares, floors)


def _side_by_side(heads: Sequence[Taken]) -> Finding:
    """Two who talk, each left once; one of them is heard."""
    right = wrong = cases = 0
    for number, left in enumerate(heads):
        other = heads[(number + 1) % len(heads)]
        seen = _seen(together(left.frames, other.frames))
        is_left = {face["track"]: face["x"] + face["width"] / 2 < 0.5 for face in seen["video.faces"]["tracks"]}
        for truth, sound in ((True, left.sound), (False, other.sound)):
            told = [is_left[face["track"]] for face in _answer(seen, sound)["faces"] if face["speaks_ratio"] > 0.5]
            right, wrong, cases = right + (told == [truth]), wrong + ((not truth) in told), cases + 1
    shares: dict[str, float | None] = {"right": right / cases, "wrong": wrong / cases}
    return Finding(
        "sync.lips.faces", "two heads, one is heard", cases, shares, {"right": (0.5, None), "wrong": (None, 0)}
    )


def together(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures (T, H, W, 3) of one size side by side in 640 x 360 at most."""
    import cv2

    both = np.concatenate([left, right], 2)
    size = 640, round(both.shape[1] * 640 / both.shape[2])
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in both])


def _out_of_view(heads: Sequence[Taken], media: Path) -> Finding:
    """A narrator over machines; sentences over a rabbit, and over faces that stand still. Against heads that talk."""
    narrated = [_taken(path) for path in sorted((media / "video").glob("nasa*.mp4"))]
    rabbits = [_taken(path) for path in sorted((media / "video").glob("big_buck_bunny_small*"))]
    stills = [_seen(np.broadcast_to(head.frames[:1], head.frames.shape)) for head in heads]
    rows = [_answer(clip.facts, clip.sound) for clip in narrated]
    rows += [_answer(clip.facts, head.sound) for clip in rabbits for head in heads]
    rows += [_answer(still, head.sound) for still, head in zip(stills, heads)]
    own = [_answer(head.facts, head.sound) for head in heads]
    shares = {
        "off screen": float(np.mean([row["voice_place"] == "off_screen" for row in rows])),
        "own on screen": float(np.mean([row["voice_place"] == "on_screen" for row in own])),
    }
    floors = {"off screen": (0.95, None), "own on screen": (0.5, None)}
    return Finding("sync.lips.voice_place", "nobody in view speaks", len(rows), shares, floors)


def _taken(path: Path) -> Taken:
    with render_views(whole_clip(path), [FACES_25, AUDIO_16K]) as views:
        frames, samples = np.array(views[FACES_25]), np.array(views[AUDIO_16K])
    return Taken(frames, _seen(frames), _heard(samples))


def _seen(frames: np.ndarray) -> Facts:
    return {"video.faces": through.on("video.faces", Views({FACES_25: frames}))}


def _heard(samples: np.ndarray) -> Sound:
    facts: Facts = {}
    for name in ("audio.classes", "audio.voices"):
        facts[name] = through.on(name, Views({AUDIO_16K: samples}), facts)
    return Sound(samples, facts)


def _answer(faces: Facts, sound: Sound) -> dict[str, Any]:
    """The columns of `sync.lips` for the faces of a clip, with its own sound or another."""
    return through.on("sync.lips", Views({AUDIO_16K: sound.samples}), faces | sound.facts)
