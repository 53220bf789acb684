"""Lips against voices: known offsets, strangers' voices, whose voice it is, and voices of nobody in view."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.sync.envelope import envelope, without_slow
from filters.sync.lip_match import SURROGATES, match, moving, surrogates
from filters.sync.lips import STAGE
from filters.video.faces import STAGE as FACES
from media.render import render_views
from media.views import AUDIO_16K, FACES_25, Views
from media.whole import whole_clip

RATE, FPS = 16_000, 25
Turns = list[tuple[str, float, float]]


def voice(seconds: float, seed: int, spans: list[tuple[float, float]] | None = None) -> np.ndarray:
    """Syllables of noise of uneven length and loudness, only within `spans` (s)."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.1, 0.3, round(seconds / 0.1))
    level = np.repeat(rng.uniform(0, 1, len(lengths)), np.round(lengths * RATE).astype(int))[: round(seconds * RATE)]
    sound = level * rng.normal(0, 0.2, len(level))
    if spans is not None:
        t = np.arange(len(sound)) / RATE
        sound *= np.any([(start <= t) & (t < end) for start, end in spans], axis=0)
    return (sound + rng.normal(0, 1e-4, len(sound))).astype(np.float32)


def face(name: str, said: np.ndarray, x: float = 0.3, noise: float = 0.02, **other: Any) -> dict[str, Any]:
    """A track whose lips open as loud as `said` is, in about the numbers that `video.faces` gives."""
    frames = round(len(said) / RATE * FPS)
    t = (np.arange(frames) / FPS * RATE).astype(int)
    level = np.sqrt(np.convolve(said.astype(np.float64) ** 2, np.ones(640) / 640, "same"))[t]
    lips = 0.1 * level / level.max() + np.random.default_rng(7).normal(0, noise * 0.1, frames)
    entry = {"track": name, "start_s": 0.0, "end_s": frames / FPS, "x": x, "lip_opening": lips.tolist()}
    return entry | other


def measure(sound: np.ndarray, faces: list[dict[str, Any]], turns: Turns | None = None) -> dict[str, Any]:
    seconds = len(sound) / RATE
    rows = [{"speaker": name, "start_s": start, "end_s": end} for name, start, end in turns or [("S1", 0.0, seconds)]]
    facts = {
        "video.faces": {"tracks": faces},
        "audio.classes": {"audio_class": "speech"},
        "audio.voices": {"turns": rows},
    }
    row = STAGE()(None, Views({AUDIO_16K: sound}), facts)  # type: ignore[arg-type]
    assert set(row) <= set(STAGE.COLUMNS)
    assert row["certainty"] in STAGE.VALUES["certainty"]
    return row


@pytest.mark.parametrize("offset", [-0.4, -0.113, 0.0, 0.05, 0.4])
@pytest.mark.parametrize("seconds", [3.0, 8.0])
def test_known_offsets(offset: float, seconds: float) -> None:
    for seed in range(3):
        source = voice(seconds + 1, seed)
        at = RATE // 2
        lips = face("F1", source[at : at + round(seconds * RATE)])
        start = at - round(offset * RATE)
        row = measure(source[start : start + round(seconds * RATE)], [lips])
        assert row["certainty"] == "measured" and row["av_offset_s"] == pytest.approx(offset, abs=0.02), row
        assert row["voice_place"] == "on_screen" and row["on_screen_ratio"] == 1.0 and row["place_confidence"] > 0.99


def test_strangers_are_unsure() -> None:
    rows = [measure(voice(4.0, seed), [face("F1", voice(4.0, 100 + seed))]) for seed in range(40)]
    assert sum(row["certainty"] == "measured" for row in rows) <= 2
    assert sum(row["voice_place"] == "on_screen" for row in rows) <= 2
    assert all(row["off_screen_ratio"] == 0.0 for row in rows), "lips that move leave it open"


def test_the_chance_of_strangers_is_even() -> None:
    told = [match(moving(lips(100 + seed)), heard(seed)) for seed in range(60)]
    chances = np.array([found.chance for found in told if found])
    assert len(chances) == 60 and 0.3 < np.mean(chances < 0.5) < 0.7


def lips(seed: int) -> np.ndarray:
    return np.array(face("F1", voice(4.0, seed))["lip_opening"])


def heard(seed: int) -> np.ndarray:
    return without_slow(envelope(voice(4.0, seed)), 100)


def test_surrogates_are_as_active_at_the_same_times() -> None:
    quiet_then_lively = moving(lips(3)) * np.repeat([0.1, 1.0], 50)
    other = surrogates(quiet_then_lively)
    assert other.shape == (SURROGATES, 100)
    assert np.std(other[:, :40]) < 0.5 * np.std(other[:, 60:])
    assert abs(np.mean([np.corrcoef(one, quiet_then_lively)[0, 1] for one in other])) < 0.05


def test_of_two_faces_the_one_that_is_heard_speaks() -> None:
    said, other = voice(6.0, 1), voice(6.0, 2)
    for faces, speaker in (
        ([face("F1", said), face("F2", other)], "F1"),
        ([face("F1", other), face("F2", said)], "F2"),
    ):
        row = measure(said, faces)
        assert {one["track"]: one["speaks_ratio"] for one in row["faces"]} == {"F1": 0, "F2": 0} | {speaker: 1.0}
        assert [(turn["place"], turn["track"]) for turn in row["turns"]] == [("on_screen", speaker)]


def test_a_dialogue_belongs_to_two_faces_in_turn() -> None:
    first, second = [(0.0, 2.0), (4.0, 6.0)], [(2.0, 4.0), (6.0, 8.0)]
    one, two = voice(8.0, 1, first), voice(8.0, 2, second)
    turns = sorted([("S1", *span) for span in first] + [("S2", *span) for span in second], key=lambda turn: turn[1])
    row = measure(one + two, [face("F1", two), face("F2", one)], turns)
    assert [turn["track"] for turn in row["turns"]] == ["F2", "F1", "F2", "F1"]
    assert [one["speaks_ratio"] for one in row["faces"]] == pytest.approx([0.5, 0.5], abs=0.02)
    half = measure(one + two, [face("F1", one)], turns)
    assert [turn["place"] for turn in half["turns"]] == ["on_screen", "off_screen"] * 2 and half[
        "voice_place"
    ] == "mixed"


def test_nobody_in_view_speaks() -> None:
    sound = voice(4.0, 1)
    still = face("F1", sound)
    still["lip_opening"] = (0.05 + np.random.default_rng(0).normal(0, 0.002, 100)).tolist()
    for faces in ([], [still]):
        row = measure(sound, faces)
        assert (row["voice_place"], row["off_screen_ratio"], row["place_confidence"]) == ("off_screen", 1.0, 1.0)
        assert [turn["place"] for turn in row["turns"]] == ["off_screen"]
    assert measure(sound, [])["certainty"] == "no face" and measure(sound, [still])["certainty"] == "unsure"


def test_a_face_too_small_to_read_leaves_it_open() -> None:
    row = measure(voice(4.0, 1), [face("F1", voice(4.0, 1), lip_opening=None)])
    assert (row["certainty"], row["voice_place"], row["faces"]) == ("no face", "unsure", [])
    assert row["on_screen_ratio"] == row["off_screen_ratio"] == 0.0


def test_a_speaker_who_leaves_is_off_screen_then() -> None:
    said = voice(8.0, 5)
    entry = face("F1", said)
    entry |= {"lip_opening": entry["lip_opening"][:125], "end_s": 5.0}
    row = measure(said, [entry], [("S1", 0.0, 4.5), ("S1", 5.5, 8.0)])
    assert [turn["place"] for turn in row["turns"]] == ["on_screen", "off_screen"]


def test_no_speech_says_nothing() -> None:
    sound = voice(3.0, 1)
    facts = {"video.faces": {"tracks": [face("F1", sound)]}, "audio.classes": {"audio_class": "music"}}
    assert STAGE()(None, Views({AUDIO_16K: sound}), facts) == {"certainty": "no speech"}  # type: ignore[arg-type]
    facts["audio.classes"] = {"audio_class": "speech", "speech_spans": [{"start_s": 0.0, "end_s": 3.0}]}
    assert STAGE()(None, Views({AUDIO_16K: sound}), facts)["certainty"] == "measured"  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [0, 300, 8000])
def test_tiny_clips_are_unsure(samples: int) -> None:
    sound = voice(3.0, 1)[:samples]
    row = measure(sound, [face("F1", voice(3.0, 1))], [("S1", 0.0, 0.5)])
    assert row["certainty"] in ("no speech", "unsure") and row.get("av_offset_s") is None


def test_a_real_head_with_its_sound_late(media_dir: Path) -> None:
    with render_views(whole_clip(media_dir / "grid/lwbsza.mpg"), [FACES_25, AUDIO_16K]) as views:
        faces = FACES()(None, views, {})["tracks"]  # type: ignore[arg-type]
        sound = np.array(views[AUDIO_16K])
    late = np.concatenate([np.zeros(3200, np.float32), sound[:-3200]])
    for audio, offset in ((sound, 0.0), (late, 0.2)):
        row = measure(audio, faces)
        assert row["certainty"] == "measured" and row["av_offset_s"] == pytest.approx(offset, abs=0.03)
        assert row["voice_place"] == "on_screen"
