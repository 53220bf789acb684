"""Bandwidth and DC offset on signals whose truth is known."""

import numpy as np
import pytest
import soxr

from filters.audio.bandwidth import bandwidth
from filters.audio.fidelity import STAGE
from media.views import AUDIO_16K, AUDIO_NATIVE, Views

RATE = 44_100


def noise(seconds: float, level: float, rate: int = RATE) -> np.ndarray:
    return level * np.random.default_rng(1).standard_normal(round(seconds * rate))


def babble(rate: int, seconds: float = 3.0) -> np.ndarray:
    """Noise that comes and goes like syllables, as wide as the rate allows."""
    t = np.arange(round(seconds * rate)) / rate
    return noise(seconds, 0.1, rate) * np.maximum(0.003, np.sin(2 * np.pi * 2 * t)) ** 2


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


def test_opposite_channels_have_the_bandwidth_of_each() -> None:
    left = noise(2, 0.1).astype(np.float32)
    views = Views({AUDIO_NATIVE: np.stack([left, -left], 1), AUDIO_16K: 0 * left[:32_000]}, rates={AUDIO_NATIVE: RATE})
    row = STAGE()(None, views, {})
    assert row["bandwidth_hz"] == RATE / 2 and row["side_to_mid_db"] > 60
