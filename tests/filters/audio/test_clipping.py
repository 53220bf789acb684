"""Clipping on tones that are cut at a known gain, and on loud sound that nobody cut."""

import numpy as np
import pytest

from filters.audio.clipping import clipping

RATE = 44_100


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


@pytest.mark.parametrize("level", [1.0, 0.6])
@pytest.mark.parametrize("gain_db", [12, 24])
def test_an_overdriven_sine_is_mostly_clipped(gain_db: float, level: float) -> None:
    sine = np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE) * 10 ** (gain_db / 20)
    share = 1 - 2 / np.pi * np.arcsin(1 / 10 ** (gain_db / 20))
    assert clipping(level * np.clip(sine, -1, 1)[:, None]) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("hertz", [20, 50, 110, 440, 1_000, 3_000])
@pytest.mark.parametrize("peak", [1.0, 0.99, 0.3])
def test_a_loud_tone_that_nobody_cut_is_not_clipped(hertz: int, peak: float) -> None:
    sine = peak * np.sin(2 * np.pi * hertz * np.arange(3 * RATE) / RATE)
    as_16_bit = np.round(sine * 32_767) / 32_767
    assert clipping(as_16_bit[:, None].astype(np.float32)) == 0.0


def test_what_is_cut_in_one_channel_counts() -> None:
    sine = np.sin(2 * np.pi * 110 * np.arange(RATE) / RATE)
    both = np.stack([0.5 * sine, np.clip(2 * sine, -1, 1)], 1)
    assert clipping(both) == pytest.approx(2 / 3, abs=0.01)


def test_silence_and_a_few_samples() -> None:
    assert clipping(np.zeros((100, 2))) == 0.0 and clipping(np.ones((1, 1))) == 0.0
