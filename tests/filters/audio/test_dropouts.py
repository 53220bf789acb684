"""Gaps put into real sound are found; digital silence, coarse quantisation and clipping are told apart."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from filters.audio.dropouts import dropouts
from media.synth import sounds

RATE = 44_100


def speech(media_dir: Path) -> list[tuple[np.ndarray, int]]:
    return [soundfile.read(p, dtype="float32", always_2d=True) for p in sorted(media_dir.glob("*/*.flac"))]


@pytest.mark.parametrize("seconds", [0.0055, 0.02, 0.5])
@pytest.mark.parametrize("frozen", [False, True])
def test_gaps_in_speech_are_found(media_dir: Path, seconds: float, frozen: bool) -> None:
    rng, found, made = np.random.default_rng(0), 0, 0
    for audio, rate in speech(media_dir):
        assert dropouts(audio, rate)[:2] == (0, 0.0)
        for _ in range(6):
            damaged, length = audio.copy(), round(seconds * rate)
            start = int(rng.integers(rate // 2, len(audio) - rate // 2 - length))
            damaged[start : start + length] = damaged[start] if frozen else 0
            count, share, _ = dropouts(damaged, rate)
            found, made = found + count, made + 1
            assert count == 0 or share == pytest.approx(length / len(audio), rel=0.05)
    assert found / made > 0.85


def test_one_channel_is_enough(media_dir: Path) -> None:
    audio, rate = soundfile.read(media_dir / "speech/jfk.flac", dtype="float32")
    audio[3 * rate : 3 * rate + 4410, 1] = 0
    count, share, silent = dropouts(audio, rate)
    assert count == 1 and share == pytest.approx(0.1 / 11, rel=0.05) and silent < 0.01


def test_clean_beeps_over_digital_silence_have_no_gaps() -> None:
    track = sounds.silence(6)
    for at in np.arange(0.5, 5.5, 0.4):
        sounds.place(track, sounds.beep(), at)
    assert dropouts(track[:, None], RATE) == (0, 0.0, pytest.approx(0.827, abs=0.01))


def test_a_tone_switched_without_a_ramp_looks_like_one_with_gaps() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    tone[20_000:22_000] = 0
    assert dropouts(tone[:, None], RATE)[0] == 1


def test_coarse_and_clipped_sound_and_silence(media_dir: Path) -> None:
    audio, rate = speech(media_dir)[0]
    assert dropouts(np.round(audio * 127) / 127, rate)[0] == 0
    low = np.clip(16 * np.sin(2 * np.pi * 40 * np.arange(RATE) / RATE), -1, 1)[:, None]
    assert dropouts(low, RATE) == (0, 0.0, 0.0)
    assert dropouts(np.zeros((RATE, 2)), RATE) == (0, 0.0, 1.0)
    assert dropouts(np.zeros((3, 1)), RATE)[0] == 0


def test_sound_that_starts_late_and_ends_early_has_no_gaps() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((2 * RATE, 1))
    noise[:1000] = noise[-1000:] = 0
    assert dropouts(noise, RATE)[:2] == (0, 0.0)
