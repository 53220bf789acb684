"""Loudness and true peak against values that BS.1770 itself defines, and against ffmpeg's ebur128."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import soxr

from filters.audio.loudness import FLOOR_LUFS, STAGE, decibels, loudness, true_peak
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


def steady(cycles: float, phase: float, rate: int = RATE) -> np.ndarray:
    """Two seconds of a full-scale tone of `cycles` a sample with slow ends, so that its peak is 1."""
    n = np.arange(2 * rate)
    ends = np.clip(np.minimum(n, n[::-1]) / (0.1 * rate), 0, 1)
    return (np.sin(2 * np.pi * cycles * n + phase) * ends).astype(np.float32)[:, None]


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000])
@pytest.mark.parametrize("cycles", [0.02, 1 / 6, 0.25, 0.4, 0.45])
def test_true_peak_sees_between_the_samples(cycles: float, rate: int) -> None:
    times = 2 if rate == 96_000 else 4
    allowed = 20 * np.log10(np.cos(np.pi * cycles / times)) - 0.01
    for phase in np.linspace(0, np.pi / 2, 7):
        assert allowed < decibels(true_peak(steady(cycles, phase, rate), rate)) < 0.02
    assert decibels(float(np.abs(steady(0.25, np.pi / 4)).max())) == pytest.approx(-3.01, abs=0.01)


def test_true_peak_of_an_overloaded_master_is_above_full_scale() -> None:
    square = 0.99 * np.sign(steady(441 / RATE, 0.1))
    assert 1.0 < decibels(true_peak(square, RATE)) < 3.0


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 96_000])
def test_the_rate_does_not_change_the_loudness(rate: int) -> None:
    tone = sine(997, 3, 0.1)
    assert loudness(soxr.resample(tone, RATE, rate)[:, None], rate) == pytest.approx(-23.01, abs=0.05)


def ebur128(audio: np.ndarray, rate: int, folder: Path) -> tuple[float, float]:
    """Integrated loudness and true peak, to a tenth, as ffmpeg has them."""
    soundfile.write(folder / "sound.wav", audio, rate, subtype="FLOAT")
    given = ["-i", str(folder / "sound.wav"), "-af", "ebur128=peak=true", "-f", "null", "-"]
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", *given]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stderr.rpartition("Summary")[2]
    found = [re.search(rf"{key}:\s+(-?[\d.]+)", told) for key in ("I", "Peak")]
    return float(found[0][1]), float(found[1][1])


def test_speech_and_noise_read_as_ffmpeg_reads_them(media_dir: Path, tmp_path: Path) -> None:
    sounds = [soundfile.read(path, always_2d=True) for path in sorted(media_dir.glob("*/*.flac"))]
    sounds.append((0.2 * np.random.default_rng(0).standard_normal((3 * RATE, 2)), RATE))
    for audio, rate in sounds:
        at_48 = soxr.resample(audio, rate, RATE).astype(np.float32)
        lufs, peak = ebur128(at_48, RATE, tmp_path)
        assert loudness(audio, rate) == pytest.approx(lufs, abs=0.15)
        assert decibels(true_peak(at_48, RATE)) == pytest.approx(peak, abs=0.2)
        assert decibels(true_peak(audio, rate)) == pytest.approx(peak, abs=0.2)


def test_columns_of_a_tone_and_of_silence() -> None:
    tone = measure(sine(997, 2, 0.5))
    assert tone["peak_db"] == pytest.approx(-6.02, abs=0.01) and tone["rms_db"] == pytest.approx(-9.03, abs=0.01)
    quiet = measure(np.zeros(RATE, np.float32))
    assert quiet == {"lufs": -70.0, "peak_db": -120.0, "true_peak_db": -120.0, "rms_db": -120.0}
    assert measure(np.zeros(0, np.float32)) == {}
