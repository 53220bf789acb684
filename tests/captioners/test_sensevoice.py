"""SenseVoice: a tiny random model in sherpa-onnx's format, read as sherpa-onnx reads it, through the stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioners.transcribe import sensevoice, sensevoice_model
from captioners.transcribe.sensevoice import STAGE
from captioners.transcribe.sensevoice_model import SenseVoice, Spoken
from manifests.errors import BackendAbsent, ConfigError
from media.clip import Clip
from media.views import AUDIO_16K, Views
from tests.captioners import tiny_sensevoice

TIME_S = np.arange(24_000) / 16_000
GLIDE = sum(np.sin(2 * np.pi * k * (120 * TIME_S + 90 * np.sin(5 * TIME_S))) / k for k in range(1, 20))
SOUND = (0.05 * GLIDE * (1.2 + np.sin(20 * TIME_S))).astype(np.float32)
SHERPA = ["▁keeper", "▁2", ".", ",", ".", "▁old", ".", "▁old", "▁light", ",", ".", "▁light", "▁2", "▁keeper", "▁2", "."]
FRAMES = [0, 1, 3, 4, 5, 6, 8, 9, 11, 12, 13, 15, 17, 20, 22, 24]
"""What sherpa-onnx 2.0.1 reads in SOUND with this model, and in which frames of 60 ms."""
SPEECH = {"audio_class": "speech", "speech_ratio": 0.9, "speech_spans": [{"start_s": 0.0, "end_s": 1.5}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_sensevoice.write(tmp_path_factory.mktemp("sensevoice")))


def run(folder: str, sound: np.ndarray, classes: dict[str, Any] | None = SPEECH, **params: Any) -> dict[str, Any]:
    facts = {"audio.classes": classes} if classes else {}
    return STAGE(model=folder, limits={"avg_logprob": -9.0}, **params)(None, Views({AUDIO_16K: sound}), facts)


def test_tokens_and_times_are_sherpas(folder: str) -> None:
    (spoken,) = SenseVoice(folder).hear([SOUND])
    assert [piece for piece, _, _ in spoken.tokens] == SHERPA
    assert [round(at / 0.06) for _, at, _ in spoken.tokens] == FRAMES
    assert (spoken.language, spoken.event) == ("en", "Speech") and spoken.language_probability > 0.9


def test_a_padded_batch_is_its_sounds_one_by_one(folder: str) -> None:
    model = SenseVoice(folder)
    sounds = [SOUND, SOUND[:7_000], SOUND[5_000:5_200]]
    assert model.hear(sounds) == [model.hear([sound])[0] for sound in sounds]


def test_the_stage_gives_words_with_times(folder: str) -> None:
    row = run(folder, SOUND)
    assert row["text"] == "keeper 2.,. old. old light,. light 2 keeper 2." == " ".join(w["word"] for w in row["words"])
    assert (row["language"], row["event"], row["word_times"], row["guard"]) == ("en", "Speech", "ctc", None)
    starts = [w["start_s"] for w in row["words"]]
    assert starts == pytest.approx([0.06 * f for f in (0, 1, 6, 9, 11, 15, 17, 20, 22)])
    assert row["in_speech_ratio"] == 1.0 and row["avg_logprob"] < 0 <= row["no_speech_prob"] <= 1
    assert row.keys() <= STAGE.COLUMNS.keys()


def test_the_language_is_asked_for_or_found(folder: str, tmp_path: Path) -> None:
    assert run(folder, SOUND, language="zh")["language_probability"] is None
    chinese = run(str(tiny_sensevoice.write(tmp_path, lang_auto="3")), SOUND)
    assert chinese["language"] == "zh" and chinese["text"] == "keeper 2.,. old. old light,. light 2 keeper 2."


def test_chinese_is_timed_letter_by_letter() -> None:
    tokens = [("今", 0.0, 0.9), ("天", 0.12, 0.9), ("。", 0.18, 0.8)]
    segment = sensevoice._segment((2.0, 3.0), Spoken(tokens, "zh", 0.99, 0.0, "Speech"))
    assert [w.word for w in segment.words] == ["今", "天。"] and segment.text == "今天。"
    assert segment.keeping(segment.words).text == "今天。" and segment.words[1].start_s == 2.12


def test_only_speech_is_heard_and_silence_asks_nobody(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    late = np.concatenate([np.zeros(16_000, np.float32), SOUND])
    row = run(folder, late, {**SPEECH, "speech_spans": [{"start_s": 1.0, "end_s": 2.5}]})
    assert row["heard"] == run(folder, late[12_800:], None)["heard"]  # 0.2 s before and after are heard as well
    assert 0.8 <= row["words"][0]["start_s"] < 1.1
    monkeypatch.setattr(sensevoice_model, "load", lambda *options: pytest.fail("the model was asked"))
    assert run(folder, SOUND, {**SPEECH, "speech_spans": []}) == {"text": "", "words": [], "guard": "no_speech"}


def test_several_clips_together_are_those_alone(folder: str, clip: Clip) -> None:
    given = [(clip, Views({AUDIO_16K: s}), {}) for s in (SOUND[:9_000], SOUND, np.tile(SOUND, 25))]
    stage = STAGE(model=folder, batch=3, limits={"avg_logprob": -9.0, "compression_ratio": 99.0})
    together = stage.many(given)
    assert together == [stage(*one) for one in given]
    assert max(w["end_s"] for w in together[2]["words"]) > 35  # 37.5 s are heard in two pieces


def test_what_is_wrong_is_named(folder: str, tmp_path: Path) -> None:
    with pytest.raises(BackendAbsent, match="sherpa-onnx-sense-voice"):
        STAGE(model=str(tmp_path)).digest()
    with pytest.raises(ConfigError, match="language = 'fr'"):
        STAGE(model=folder, language="fr")
    assert STAGE(model=folder).digest() == STAGE(model=folder).digest()
