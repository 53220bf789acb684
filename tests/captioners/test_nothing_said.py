"""No words where nobody speaks: music, tones, melodies, noise, rain, silence, through `audio.classes` and the stage."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soxr

from captioners.transcribe.whisperx import STAGE
from filters.audio.classes import STAGE as CLASSES
from media.synth import music, sounds
from media.views import AUDIO_16K, Views
from pipeline.selfcheck import drawn_sounds

RATE = 16_000
PHANTOM = ("wood", "siren")
"""Drawn sounds over which tiny.en writes something when it is asked: "Thank you.", "Ooooh!"."""


def transcribed(sound: np.ndarray, known: bool, **params: Any) -> dict[str, Any]:
    views = Views({AUDIO_16K: sound})
    facts = {"audio.classes": CLASSES()(None, views, {})} if known else {}  # type: ignore[arg-type]
    return STAGE(**params)(None, views, facts)  # type: ignore[arg-type]


def drawn(kind: str) -> np.ndarray:
    return next(piece.sound for piece in drawn_sounds.drawn() if piece.origin.startswith(kind))


def tone(hertz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(4 * RATE) / RATE)).astype(np.float32)


def melody(seed: int) -> np.ndarray:
    track, _ = music.melody(seed, 6.0, 220.0, music.MAJOR, 0.35)
    return np.asarray(soxr.resample(track, sounds.RATE, RATE), np.float32)


SOUNDS: dict[str, Callable[[], np.ndarray]] = {
    "tone": lambda: tone(440),
    "low tone": lambda: tone(110),
    "melody": lambda: melody(1),
    "white noise": lambda: drawn("white"),
    "pink noise": lambda: drawn("pink"),
    "rain": lambda: drawn("rain"),
    "silence": lambda: np.zeros(4 * RATE, np.float32),
    **{kind: lambda kind=kind: drawn(kind) for kind in PHANTOM},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("known", [True, False], ids=["with classes", "alone"])
def test_no_words_over_drawn_sounds(name: str, known: bool) -> None:
    row = transcribed(SOUNDS[name](), known)
    assert (row["text"], row["words"]) == ("", []) and row["guard"]


@pytest.mark.parametrize(
    "name",
    ["chaplin.mp4", "big_buck_bunny_0_30.webm", pytest.param("big_buck_bunny_small.mp4", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("model", ["tiny.en", pytest.param("base", marks=pytest.mark.slow)])
def test_no_words_over_films_without_speech(sound: Callable[..., np.ndarray], name: str, model: str) -> None:
    for known in (True, False):
        row = transcribed(sound(f"video/{name}"), known, model=model)
        assert (row["text"], row["words"]) == ("", []) and row["guard"]


@pytest.mark.parametrize("kind", PHANTOM)
def test_what_is_made_up_is_kept_beside(kind: str) -> None:
    """The guard has something to do: alone, the model writes words over these."""
    row = transcribed(drawn(kind), known=False)
    assert row["heard"] and row["guard"] in {"low_logprob", "no_speech", "repetition", "phantom_phrase"}
