"""The transcription stage on real clips: words where somebody speaks, none over music, equal in fresh processes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioners.transcribe import recogniser
from captioners.transcribe.guard import Limits
from captioners.transcribe.wer import word_error_rate
from captioners.transcribe.whisperx import STAGE
from manifests.errors import BackendAbsent, ConfigError
from media.clip import Clip
from media.views import AUDIO_16K, Views

Hear = Callable[..., dict[str, Any]]


@pytest.fixture
def hear(sound: Callable[..., np.ndarray], clip: Clip) -> Hear:
    """The stage's columns for a file of the media folder, given the facts of `audio.classes`."""

    def run(name: str, classes: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        facts = {"audio.classes": classes} if classes is not None else {}
        return STAGE(**params)(clip, Views({AUDIO_16K: sound(name)}), facts)

    return run


def test_grid_nasa_and_jfk_are_heard(hear: Hear, transcripts: dict[str, str]) -> None:
    speech = {"audio_class": "speech", "speech_ratio": 0.7, "speech_spans": [{"start_s": 0.4, "end_s": 13.0}]}
    rows = {name: hear(name, speech) for name in transcripts}
    assert {row["guard"] for row in rows.values()} == {None}
    clean = [n for n in transcripts if not n.startswith("grid/")]
    assert word_error_rate((transcripts[n], rows[n]["text"]) for n in clean) <= 0.02
    grid = [n for n in transcripts if n.startswith("grid/")]
    assert word_error_rate((transcripts[n], rows[n]["text"]) for n in grid) <= 0.25  # measured 0.194; odd grammar
    for row in rows.values():
        spans = [(w["start_s"], w["end_s"]) for w in row["words"]]
        assert " ".join(w["word"] for w in row["words"]) == row["text"]
        assert all(start <= end for start, end in spans) and spans == sorted(spans)
        assert (row["word_times"], row["stem"], row["language"]) == ("whisper", "mix", "en")


@pytest.mark.parametrize("name", ["video/chaplin.mp4", "video/big_buck_bunny_0_30.webm"])
def test_nothing_is_said_over_music(hear: Hear, sound: Callable[..., np.ndarray], name: str) -> None:
    """What Whisper makes up over music stays out of the text, and is kept. Which words, the processor decides, and so
    how sure Whisper is of them: those it doubts most are dropped for that, the others since it heard no speech."""
    (guessed,) = STAGE()._load().hear([(sound(name), None)])
    unaided = hear(name)
    assert (unaided["text"], unaided["words"]) == ("", [])
    sure = Limits().avg_logprob
    reasons = ["low_logprob" if (s.avg_logprob or 0.0) < sure else "no_speech" for s in guessed.segments]
    assert unaided["guard"] == "+".join(dict.fromkeys(reasons))
    assert guessed.segments and unaided["heard"] == " ".join(segment.text for segment in guessed.segments)
    music = {"audio_class": "music", "speech_ratio": 0.0, "speech_spans": []}
    assert hear(name, music)["guard"] == "no_speech"


def test_no_speech_skips_the_model(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = STAGE()
    monkeypatch.setattr(stage, "_load", lambda: pytest.fail("the model was loaded for a clip without speech"))
    views = Views({AUDIO_16K: np.zeros(48_000, np.float32)})
    row = stage(clip, views, {"audio.classes": {"audio_class": "sound", "speech_ratio": 0.0, "speech_spans": []}})
    assert (row["text"], row["words"], row["guard"]) == ("", [], "no_speech")


def test_silence_gives_no_text(clip: Clip) -> None:
    row = STAGE()(clip, Views({AUDIO_16K: np.zeros(48_000, np.float32)}), {})
    assert (row["text"], row["guard"]) == ("", "no_speech")


def test_a_freshly_loaded_model_agrees(hear: Hear) -> None:
    first = hear("grid/lwbsza.mpg")
    recogniser.load.cache_clear()
    assert hear("grid/lwbsza.mpg") == first


@pytest.mark.slow
def test_two_processes_agree(sound: Callable[..., np.ndarray], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sound("grid/lwbsza.mpg"))
    code = (
        "import numpy, sys; from captioners.transcribe.whisperx import STAGE; from media.views import *;"
        "print(sorted(STAGE()(None, Views({AUDIO_16K: numpy.load(sys.argv[1])}), {}).items()))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "a.npy")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    (first, errors), (second, _) = (run.communicate(timeout=200) for run in runs)
    assert "again" in first and first == second, errors


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendAbsent, match=r"model\.bin") as error:
        STAGE(model=str(tmp_path)).digest()
    assert error.value.code == "backend:weights"
    with pytest.raises(ConfigError, match="auto, mix or voice"):
        STAGE(stem="music")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="vad or spans"):
        STAGE(pieces="words")  # type: ignore[arg-type]


def test_digest_is_stable_hex() -> None:
    assert STAGE().digest() == STAGE().digest()
    assert len(bytes.fromhex(STAGE().digest())) == 32
