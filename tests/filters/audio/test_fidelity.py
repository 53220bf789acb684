"""Clipping, bandwidth and DC offset on signals whose truth is known."""

import numpy as np
import pytest
import soxr

from filters.audio.bandwidth import bandwidth
from filters.audio.fidelity import STAGE, clipping
from media.views import AUDIO_16K, AUDIO_NATIVE, Views

RATE = 44_100


def noise(seconds: float, level: float, rate: int = RATE) -> np.ndarray:
    return level * np.random.default_rng(1).standard_normal(round(seconds * rate))


def babble(rate: int, seconds: float = 3.0) -> np.ndarray:
    """Noise that comes and goes like syllables, as wide as the rate allows."""
    t = np.arange(round(seconds * rate)) / rate
    return noise(seconds, 0.1, rate) * np.maximum(0.003, np.sin(2 * np.pi * 2 * t)) ** 2


def test_clipping_counts_plateaus_and_not_peaks() -> None:
    audio = np.zeros((1000, 2), np.float32)
    audio[100:110, 0] = 1.0
    audio[200:205, 0] = -0.99
    audio[300, 0] = 1.0
    audio[400:402, 0] = 1.0
    assert clipping(audio) == pytest.approx(0.015)


def test_clipping_does_not_join_a_top_with_a_bottom() -> None:
    square = np.tile([1.0, 1.0, -1.0, -1.0], 100)[:, None].astype(np.float32)
    assert clipping(square) == 0.0


@pytest.mark.parametrize("gain_db", [12, 24])
def test_an_overdriven_sine_is_mostly_clipped(gain_db: float) -> None:
    sine = np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE) * 10 ** (gain_db / 20)
    share = 1 - 2 / np.pi * np.arcsin(0.985 / 10 ** (gain_db / 20))
    assert clipping(np.clip(sine, -1, 1)[:, None]) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("source", [8_000, 16_000, 22_050])
@pytest.mark.parametrize("floor_db", [None, -90, -75])
def test_bandwidth_of_upsampled_sound_ignores_the_noise_floor(source: int, floor_db: float | None) -> None:
    audio = soxr.resample(babble(source), source, RATE)
    if floor_db is not None:
        audio = audio + noise(3, 10 ** (floor_db / 20))[: len(audio)]
    assert bandwidth(audio, RATE) == pytest.approx(source / 2, rel=0.06)


def test_bandwidth_of_wide_narrow_and_no_sound() -> None:
    assert bandwidth(noise(3, 0.1), RATE) == RATE / 2
    assert bandwidth(0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE), RATE) == pytest.approx(1000, abs=250)
    assert bandwidth(np.zeros(3 * RATE), RATE) is None
    assert bandwidth(noise(0.02, 0.1), RATE) == RATE / 2


def test_columns() -> None:
    audio = (noise(2, 0.05) + 0.1).astype(np.float32)
    views = Views({AUDIO_NATIVE: audio, AUDIO_16K: audio[: 2 * 16_000]}, rates={AUDIO_NATIVE: RATE})
    row = STAGE()(None, views, {})
    assert row["dc_offset"] == pytest.approx(0.1, abs=0.002) and row["clipping_ratio"] == 0.0
