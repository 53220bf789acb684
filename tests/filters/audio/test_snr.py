"""The SNR estimate on mixes of known ratio: the error that its docstring states."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from filters.audio.snr import RATE, snr


def mix(voice: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    gain = np.sqrt(np.mean(voice**2) / np.mean(noise**2) / 10 ** (ratio_db / 10))
    return voice + gain * noise


@pytest.mark.parametrize(("ratio_db", "allowed"), [(20, 2.0), (10, 1.0), (5, 1.0), (0, 1.0)])
def test_read_speech_in_white_noise(media_dir: Path, ratio_db: float, allowed: float) -> None:
    errors = []
    for path in sorted(media_dir.glob("librispeech/*.flac")):
        voice = soundfile.read(path, frames=3 * RATE)[0]
        noise = np.random.default_rng(0).standard_normal(len(voice))
        errors.append(abs(snr(mix(voice, noise, ratio_db)) - ratio_db))
    assert len(errors) == 8 and np.mean(errors) < allowed


def test_bursts_in_noise_follow_the_ratio() -> None:
    rng = np.random.default_rng(2)
    bursts = rng.standard_normal(4 * RATE) * (np.sin(2 * np.pi * np.arange(4 * RATE) / RATE) > 0)
    found = [snr(mix(bursts, rng.standard_normal(4 * RATE), ratio)) for ratio in (20, 10, 0)]
    assert found == pytest.approx([20, 10, 0], abs=1.5)


def test_ends_of_the_scale() -> None:
    assert snr(np.zeros(2 * RATE)) is None and snr(np.ones(100)) is None
    assert snr(np.random.default_rng(0).standard_normal(2 * RATE)) < -5
    pulse = np.zeros(2 * RATE)
    pulse[RATE : RATE + 4000] = np.random.default_rng(0).standard_normal(4000)
    assert snr(pulse) == 60.0
