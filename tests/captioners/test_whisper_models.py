"""Whisper models other than the default: a converted folder, and the multilingual base; several clips at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soxr

from captioners.transcribe.whisperx import STAGE
from media.synth import sounds
from media.synth.speech import Line, speak
from media.views import AUDIO_16K, Views

ALL = {"avg_logprob": -99.0, "compression_ratio": 999.0, "no_speech_prob": 1.0}
"""Limits that let everything through: what a random model writes is not believable."""


def given(sound: np.ndarray, speech: bool = True) -> tuple[Any, Views, dict[str, Any]]:
    spans = [{"start_s": 0.1, "end_s": len(sound) / 16_000 - 0.1}] if speech else []
    classes = {"audio_class": "speech", "speech_ratio": 0.9, "speech_spans": spans}
    return None, Views({AUDIO_16K: sound}), {"audio.classes": classes}


def noise(seed: int, seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))).astype(np.float32)


def test_a_converted_folder_is_run_through_whisperx(tiny_whisper: str) -> None:
    stage = STAGE(model=tiny_whisper, limits=ALL)
    row = stage(*given(noise(0, 2.0)))
    assert row["heard"] and row["text"] and row["language"] in {"en", "de", "fr"}
    assert 1 / 3 <= row["language_probability"] <= 1 and row["word_times"] == "whisper"
    assert all(0 <= w["start_s"] <= w["end_s"] <= 2.0 for w in row["words"])
    assert row["stem"] == "mix" and row.keys() <= STAGE.COLUMNS.keys()
    assert STAGE(model=tiny_whisper)(*given(noise(0, 2.0)))["text"] == ""  # under guard
    assert "ctranslate2" in stage.BACKEND and stage.digest() != STAGE().digest()


def test_a_given_language_has_no_probability(tiny_whisper: str) -> None:
    row = STAGE(model=tiny_whisper, language="fr", limits=ALL)(*given(noise(0, 1.5)))
    assert (row["language"], row["language_probability"]) == ("fr", None)


def test_several_clips_together_are_those_alone(tiny_whisper: str) -> None:
    clips = [given(noise(1, 1.0)), given(noise(2, 2.0), speech=False), given(noise(3, 2.5)), given(noise(4, 1.7))]
    alone = [STAGE(model=tiny_whisper, limits=ALL)(*clip) for clip in clips]
    together = STAGE(model=tiny_whisper, limits=ALL, batch=3).many(clips)
    for one, other in zip(alone, together, strict=True):
        assert {k: v for k, v in one.items() if isinstance(v, str)} == {
            k: v for k, v in other.items() if isinstance(v, str)
        }
        assert [w["word"] for w in one["words"]] == [w["word"] for w in other["words"]]
        assert other.get("language_probability") == pytest.approx(one.get("language_probability"), abs=1e-4)
    assert together[1] == {"text": "", "words": [], "guard": "no_speech", "stem": "mix"}


@pytest.mark.slow
def test_real_clips_together_are_those_alone(sound: Callable[..., np.ndarray]) -> None:
    clips = [given(sound(f"grid/{name}.mpg")) for name in ("lwbsza", "bbaf2n", "swiz3n")]
    alone = [STAGE()(*clip) for clip in clips]
    together = STAGE(batch=3).many(clips)
    assert [row["text"] for row in together] == [row["text"] for row in alone]
    assert together[0]["text"] == "Lay white by s zero again."
    for one, other in zip(alone, together):
        starts = [[w["start_s"] for w in row["words"]] for row in (one, other)]
        assert starts[0] == pytest.approx(starts[1], abs=0.05)


def test_the_multilingual_model_names_its_language(sound: Callable[..., np.ndarray]) -> None:
    row = STAGE(model="base")(*given(sound("speech/jfk.flac")))
    assert row["language"] == "en" and row["language_probability"] > 0.9
    assert row["text"].startswith("And so my fellow Americans") and row["in_speech_ratio"] == 1.0


@pytest.mark.slow
def test_german_is_written_as_german_or_not_at_all() -> None:
    (spoken,) = speak([Line("Morgen früh fährt der Zug zehn Minuten früher ab", "de")])
    said = np.asarray(soxr.resample(spoken.samples, sounds.RATE, 16_000), np.float32)
    row = STAGE(model="base")(*given(said))
    assert row["language"] == "de" and "Minuten" in row["text"]
    clip, views, facts = given(said)
    english = STAGE()(clip, views, facts | {"audio.language": {"language": "de", "probability": 0.9}})
    assert (english["text"], english["guard"]) == ("", "other_language") and english["heard"]
