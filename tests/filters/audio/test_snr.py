"""The SNR estimate on mixes of known ratio: the error that its docstring states."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from filters.audio.known_mixes import band_power, errors, mix
from filters.audio.snr import RATE, snr
from media.synth import sounds


def readers(media_dir: Path) -> list[np.ndarray]:
    return [soundfile.read(path, frames=3 * RATE)[0] for path in sorted(media_dir.glob("librispeech/*.flac"))]


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_read_speech_in_stationary_noise(media_dir: Path, slope: float) -> None:
    noise = soxr.resample(sounds.noise(6, np.random.default_rng(0), slope), sounds.RATE, RATE)
    found = errors(readers(media_dir), {"noise": noise}, (-10, -5, 0, 5, 10, 15, 20, 25))
    assert {e.mixes for e in found} == {8}
    for e in found:
        assert abs(e.bias_db) < (1.5 if e.ratio_db < 20 else 3) and e.mae_db < (1.5 if e.ratio_db < 20 else 3), e


def test_the_known_miss_of_babble_is_no_worse_than_stated(media_dir: Path) -> None:
    voices = readers(media_dir)
    babble = np.sum([np.roll(v / v.std(), 7919 * i) for i, v in enumerate(voices)], axis=0)
    found = {e.ratio_db: e.bias_db for e in errors(voices, {"babble": babble}, (-5, 0, 10))}
    assert found[10] < 4 and 2 < found[0] < 7 and 5 < found[-5] < 11


def test_ratios_of_mixes_are_those_of_the_band() -> None:
    t = np.arange(4 * RATE) / RATE
    voice = np.sin(2 * np.pi * 1000 * t)
    rumble = np.sin(2 * np.pi * 500 * t) + 10 * np.sin(2 * np.pi * 20 * t)
    added = mix(voice, rumble, 6.0) - voice
    assert band_power(voice) == pytest.approx(0.5, rel=1e-3)
    assert 10 * np.log10(band_power(voice) / band_power(added)) == pytest.approx(6.0, abs=0.01)


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
