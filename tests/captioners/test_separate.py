"""Separation of a known mix: how much nearer the voice stem is to the voice than the mix was (SI-SDR, dB)."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from captioners.separate import splitters
from captioners.separate.stems import MONO, RATE, STAGE, level_db
from manifests.errors import ConfigError
from media.clip import Clip
from media.views import Views

BACKENDS = sorted(splitters.SPLITTERS)


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux 2019)."""
    reference, estimate = reference - reference.mean(), estimate - estimate.mean()
    target = reference * (estimate @ reference) / (reference @ reference)
    return float(10 * np.log10((target @ target) / np.sum((estimate - target) ** 2)))


def mixed(voice: np.ndarray, music: np.ndarray, snr_db: float) -> np.ndarray:
    """Voice plus music at a ratio of powers in dB."""
    gain = np.sqrt((voice @ voice) / (music @ music) / 10 ** (snr_db / 10))
    return (voice + gain * music).astype(np.float32)


@pytest.mark.parametrize(
    ("backend", "rate", "gain_db"),
    # measured: hpss_residual +6.6 at both rates; deepfilternet +2.4 at 16 kHz, +4.9 at 48 kHz
    [("hpss_residual", 16_000, 5.5), ("hpss_residual", 48_000, 5.5), ("deepfilternet", 48_000, 4.0)],
)
def test_the_voice_stem_is_nearer_to_the_voice(
    sound: Callable[..., np.ndarray], backend: str, rate: int, gain_db: float
) -> None:
    voice, music = sound("speech/jfk.flac", rate)[: 9 * rate], sound("video/chaplin.mp4", rate)[: 9 * rate]
    mix = mixed(voice, music, 0.0)
    stem, background = splitters.split(backend, mix, rate)
    assert si_sdr(voice, mix) == pytest.approx(0.0, abs=0.1)
    assert si_sdr(voice, stem) > gain_db
    assert si_sdr(music, background) > gain_db - 1.0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("samples", "rate"), [(44_100, 44_100), (16_001, 16_000), (100, 16_000), (0, 48_000)])
def test_the_stems_add_up_to_the_mix(backend: str, samples: int, rate: int) -> None:
    mix = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    stem, background = splitters.split(backend, mix, rate)
    assert stem.dtype == background.dtype == np.float32 and stem.shape == background.shape == mix.shape
    np.testing.assert_allclose(stem + background, mix, atol=1e-6)


def test_deepfilternet_is_not_late(sound: Callable[..., np.ndarray]) -> None:
    voice = sound("speech/jfk.flac", 48_000)[48_000:192_000]
    stem, _ = splitters.split("deepfilternet", voice, 48_000)
    lags = np.correlate(stem, voice[2_000:-2_000], "valid")
    assert int(lags.argmax()) == 2_000


@pytest.mark.parametrize("backend", BACKENDS)
def test_stage_reports_levels_and_keeps_files_when_asked(clip: Clip, backend: str) -> None:
    mix = (0.1 * np.random.default_rng(1).normal(size=RATE)).astype(np.float32)
    speech = {"audio.classes": {"audio_class": "speech", "speech_ratio": 0.9}}
    plain = STAGE(backend=backend, floor_db=-200.0)(clip, Views({MONO: mix}), speech)
    kept = STAGE(backend=backend, keep=True, floor_db=-200.0)(clip, Views({MONO: mix}), speech)
    files = kept.pop("_files")
    assert kept == plain and set(plain) == set(STAGE.COLUMNS)
    voice, rate = soundfile.read(io.BytesIO(files["voice.flac"]))
    assert rate == RATE and level_db(voice) == pytest.approx(plain["voice_db"], abs=0.2)
    again = STAGE(backend=backend, keep=True, floor_db=-200.0)(clip, Views({MONO: mix}), speech)
    assert again["_files"] == files


def test_a_clip_without_voice_is_all_background(clip: Clip) -> None:
    tone = np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    music = {"audio.classes": {"audio_class": "music", "speech_ratio": 0.0, "singing_ratio": 0.0}}
    row = STAGE()(clip, Views({MONO: tone}), music)
    assert row == {"background_db": pytest.approx(-3.01, abs=0.01), "empty": ["voice"]}
    assert STAGE(floor_db=-3.0)(clip, Views({MONO: tone}), music)["empty"] == ["voice", "background"]


def test_silence_has_a_finite_level(clip: Clip) -> None:
    row = STAGE()(clip, Views({MONO: np.zeros(RATE, np.float32)}), {})
    assert (row["voice_db"], row["background_db"], row["empty"]) == (-120.0, -120.0, ["voice", "background"])
    assert STAGE(keep=True)(clip, Views({MONO: np.zeros(RATE, np.float32)}), {})["_files"] == {}


@pytest.mark.parametrize(("level_db", "empty"), [(-34.9, []), (-35.1, ["voice"])])
def test_a_stem_below_the_floor_is_empty_and_not_kept(
    clip: Clip, monkeypatch: pytest.MonkeyPatch, level_db: float, empty: list[str]
) -> None:
    voice = np.full(RATE, 10 ** (level_db / 20), np.float32)
    monkeypatch.setattr(splitters.hpss_residual, "split", lambda mix, rate: (voice, mix - voice))
    row = STAGE(keep=True)(clip, Views({MONO: np.full(RATE, 0.1, np.float32)}), {})
    assert row["voice_db"] == pytest.approx(level_db, abs=1e-3) and row["empty"] == empty
    assert set(row["_files"]) == {"voice.flac", "background.flac"} - {f"{name}.flac" for name in empty}


def test_an_unknown_backend_or_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="hpss_residual"):
        STAGE(backend="spleeter")
    with pytest.raises(ConfigError, match="deepfilternet.*takes no.*model"):
        STAGE(backend="deepfilternet", model="/models")
    assert {len(STAGE(backend=b).digest()) for b in BACKENDS} == {64}
