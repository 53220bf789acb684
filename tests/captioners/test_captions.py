"""Template captions: they say what was measured, leave out what was not, and never change for a clip."""

from fractions import Fraction
from typing import Any

import pytest

from captioners.caption import audio_template, video_template
from captioners.caption.phrases import listing, pick, share
from media.clip import Clip
from media.views import Views

AUDIO: dict[str, dict[str, Any]] = {
    "audio.classes": {
        "audio_class": "speech",
        "speech_ratio": 0.9,
        "singing_ratio": 0.0,
        "music_ratio": 0.6,
        "tags": [{"label": "Speech", "score": 0.9}, {"label": "Music", "score": 0.3}, {"label": "Dog", "score": 0.15}],
    },
    "audio.loudness": {"lufs": -20.0},
    "audio.silence": {"energy_silence_ratio": 0.3},
    "audio.voices": {"speakers": 2},
}
VIDEO: dict[str, dict[str, Any]] = {
    "video.technical": {"width": 1280, "height": 720, "fps": 25.0},
    "video.motion": {"motion_px": 3.0, "static_ratio": 0.0},
    "video.stills": {
        "sharpness": 900.0,
        "luma_mean": 200.0,
        "luma_std": 50.0,
        "colourfulness": 70.0,
        "colours": ["green", "blue"],
    },
}


def caption(module: Any, facts: dict[str, Any], number: int = 0) -> str | None:
    clip = Clip(number.to_bytes(16, "big"), bytes(16), "", 0, 75, Fraction(25), 640, 360, 44_100, 2)
    row = module.STAGE()(clip, Views({}), facts)
    assert set(row) == set(module.STAGE.COLUMNS)
    assert (row["backend"], row["model"], row["prompt_version"]) == ("template", None, "template-2")
    return row["caption"]


@pytest.mark.parametrize("number", range(8))
def test_the_audio_caption_says_what_was_measured(number: int) -> None:
    text = (caption(audio_template, AUDIO, number) or "").lower()
    for said in ("two people", "throughout", "music", "for most of the clip", "dog", "medium level", "silen"):
        assert said in text
    assert "speech" not in text  # the tag repeats the class


@pytest.mark.parametrize("number", range(8))
def test_the_video_caption_says_what_was_measured(number: int) -> None:
    text = (caption(video_template, VIDEO, number) or "").lower()
    for said in ("bright", "vividly coloured", "green and blue", "fast", "wide and high-definition"):
        assert said in text


@pytest.mark.parametrize(("module", "facts"), [(audio_template, AUDIO), (video_template, VIDEO)])
def test_the_wording_varies_between_clips(module: Any, facts: dict[str, Any]) -> None:
    first, second = ([caption(module, facts, number) for number in range(40)] for _ in range(2))
    assert first == second and len(set(first)) > 8


@pytest.mark.parametrize(("module", "facts"), [(audio_template, AUDIO), (video_template, VIDEO)])
def test_missing_facts_are_left_out(module: Any, facts: dict[str, Any]) -> None:
    assert caption(module, {}) is None
    for stage, row in facts.items():
        whole, less = caption(module, facts), caption(module, {k: v for k, v in facts.items() if k != stage})
        assert less and len(less) < len(whole or "")
        empty = {**facts, stage: dict.fromkeys(row)}
        assert caption(module, empty) == less


def test_music_needs_two_witnesses() -> None:
    horn = {"audio_class": "sound", "music_ratio": 0.9, "tags": [{"label": "Vehicle horn", "score": 0.77}]}
    text = caption(audio_template, {"audio.classes": horn}) or ""
    assert "vehicle horn" in text and "music" not in text.lower()


def test_speech_outside_the_class_needs_two_witnesses() -> None:
    birds = {"audio_class": "music", "speech_ratio": 0.4, "omni_speech_ratio": 0.0, "tag_speech": 0.02}
    assert caption(audio_template, {"audio.classes": birds}) is None
    assert caption(audio_template, {"audio.classes": {**birds, "tag_speech": 0.2}}) is not None


def test_silence_says_nothing_else() -> None:
    text = caption(audio_template, {**AUDIO, "audio.loudness": {"lufs": -70.0}}) or ""
    assert text.count(".") == 1 and "two people" not in text


def test_grey_film_has_no_colours() -> None:
    stills = {**VIDEO["video.stills"], "colourfulness": 3.0, "colours": ["grey", "black", "brown"]}
    text = caption(video_template, {"video.stills": stills}) or ""
    assert "black-and-white" in text and "brown" not in text


def test_phrases() -> None:
    assert [listing(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [share(r) for r in (1.0, 0.6, 0.3, 0.1)] == [
        "throughout",
        "for most of the clip",
        "for part of the clip",
        "briefly",
    ]
    assert pick(["x", "y"], b"1" * 16, "slot") in {"x", "y"}
