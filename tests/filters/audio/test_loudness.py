"""Loudness against values that BS.1770 itself defines."""

import numpy as np
import pytest

from filters.audio.loudness import FLOOR_LUFS, STAGE, loudness, true_peak
from media.views import AUDIO_NATIVE, Views

RATE = 48_000


def sine(hertz: float, seconds: float, peak: float = 1.0, phase: float = 0.0) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE + phase)).astype(np.float32)


def measure(audio: np.ndarray) -> dict:
    return STAGE()(None, Views({AUDIO_NATIVE: audio}, rates={AUDIO_NATIVE: RATE}), {})


def test_a_full_scale_sine_in_one_channel_is_minus_3() -> None:
    assert loudness(sine(997, 3)[:, None], RATE) == pytest.approx(-3.01, abs=0.05)


def test_both_channels_add_3_db() -> None:
    stereo = np.stack([sine(997, 3, 0.1)] * 2, axis=1)
    assert loudness(stereo, RATE) == pytest.approx(-20.0, abs=0.05)


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.39, 0.4, 0.5])
def test_short_clips_read_like_long_ones(seconds: float) -> None:
    assert loudness(sine(997, seconds)[:, None], RATE) == pytest.approx(-3.01, abs=0.3)


def test_lfe_of_surround_is_left_out() -> None:
    surround = np.zeros((RATE, 6), np.float32)
    surround[:, 3] = sine(60, 1)
    assert loudness(surround, RATE) == FLOOR_LUFS
    surround[:, 2] = sine(997, 1)
    assert loudness(surround, RATE) == pytest.approx(-3.01, abs=0.1)


def test_true_peak_sees_between_the_samples() -> None:
    between = sine(RATE / 4, 1, phase=np.pi / 4)
    assert np.abs(between).max() == pytest.approx(0.707, abs=1e-3)
    assert true_peak(between[:, None]) == pytest.approx(1.0, abs=0.02)


def test_columns_of_a_tone_and_of_silence() -> None:
    tone = measure(sine(997, 2, 0.5))
    assert tone["peak_db"] == pytest.approx(-6.02, abs=0.01) and tone["rms_db"] == pytest.approx(-9.03, abs=0.01)
    quiet = measure(np.zeros(RATE, np.float32))
    assert quiet == {"lufs": -70.0, "peak_db": -120.0, "true_peak_db": -120.0, "rms_db": -120.0}
    assert measure(np.zeros(0, np.float32)) == {}
