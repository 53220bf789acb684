"""Silence by voice activity and by energy."""

import numpy as np
import pytest

from filters.audio.silence import RATE, STAGE
from media.views import AUDIO_16K, Views


def measure(audio: np.ndarray, spans: list[tuple[float, float]], **params: float) -> dict:
    rows = [{"start_s": s, "end_s": e} for s, e in spans]
    return STAGE(**params)(None, Views({AUDIO_16K: audio}), {"audio.classes": {"speech_spans": rows}})


def noise(seconds: float, level: float) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_pauses_between_words_are_speech_but_the_ends_are_not() -> None:
    spans = [(1.0, 2.0), (2.25, 3.0), (4.0, 5.0)]
    assert measure(noise(5, 0.1), spans)["vad_silence_ratio"] == pytest.approx(2 / 5)


def test_no_speech_is_all_silence() -> None:
    assert measure(noise(2, 0.1), [])["vad_silence_ratio"] == 1.0


def test_a_dropout_counts() -> None:
    audio = noise(5, 0.1)
    audio[2 * RATE : 4 * RATE] = 0
    assert measure(audio, [])["energy_silence_ratio"] == pytest.approx(0.4, abs=0.01)


def test_quiet_is_not_silent_and_nothing_is() -> None:
    assert measure(noise(3, 0.003), [])["energy_silence_ratio"] == 0.0
    assert measure(np.zeros(3 * RATE, np.float32), [])["energy_silence_ratio"] == 1.0
    assert measure(np.zeros(0, np.float32), [])["energy_silence_ratio"] == 1.0
    assert measure(noise(0.02, 0.1), [])["energy_silence_ratio"] == 0.0
