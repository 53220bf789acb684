"""Bandwidth of real speech through low rates, of coders' shelves, and of wide sound however quiet."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import soxr

from filters.audio.bandwidth import bandwidth

RATE = 44_100


def bursts(slope: float = 0.0, seconds: float = 4.0) -> np.ndarray:
    """Noise (n,) that comes and goes like syllables; its spectrum falls as 1/f^slope, as wide as the rate allows."""
    n = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(n))
    shaped = np.fft.irfft(spectrum * np.maximum(np.fft.rfftfreq(n, 1 / RATE), 30) ** (-slope / 2), n)
    envelope = np.maximum(0.003, np.sin(2 * np.pi * 2 * np.arange(n) / RATE)) ** 2
    return 0.1 * shaped / shaped.std() * envelope


def rounded(audio: np.ndarray) -> np.ndarray:
    return np.round(audio * 32768 + np.random.default_rng(2).random(len(audio)) - 0.5) / 32768


@pytest.mark.parametrize("through", [8_000, 11_025, 16_000])
@pytest.mark.parametrize("hiss_db", [None, -80, -65])
def test_speech_through_a_low_rate(media_dir: Path, through: int, hiss_db: float | None) -> None:
    for path in sorted(media_dir.glob("librispeech/*.flac"))[::2]:
        audio, rate = soundfile.read(path, frames=4 * 16_000)
        wide = soxr.resample(soxr.resample(audio, rate, through), through, RATE)
        if hiss_db is not None:
            wide = wide + 10 ** (hiss_db / 20) * np.random.default_rng(0).standard_normal(len(wide))
        assert bandwidth(rounded(wide), RATE) == pytest.approx(through / 2, rel=0.05), path.name


@pytest.mark.parametrize(
    ("coder", "bitrate", "shelf"),
    [
        ("libmp3lame", "320k", 20_300),
        ("libmp3lame", "128k", 16_900),
        ("libmp3lame", "64k", 11_200),
        ("aac", "128k", 17_400),
    ],
)
@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_shelves_of_coders(tmp_path: Path, coder: str, bitrate: str, shelf: float, slope: float) -> None:
    sound = bursts(slope)
    soundfile.write(tmp_path / "in.wav", np.stack([sound, sound], axis=1), RATE)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i"]
    coded = tmp_path / ("out.mp3" if coder == "libmp3lame" else "out.m4a")
    subprocess.run([*ffmpeg, str(tmp_path / "in.wav"), "-c:a", coder, "-b:a", bitrate, str(coded)], check=True)
    subprocess.run([*ffmpeg, str(coded), "-c:a", "pcm_f32le", str(tmp_path / "out.wav")], check=True)
    audio, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == RATE and bandwidth(audio.mean(axis=1), rate) == pytest.approx(shelf, rel=0.05)


@pytest.mark.parametrize("gain_db", [0, -20, -40, -60])
def test_honest_quiet_sound_is_wide(gain_db: float) -> None:
    assert bandwidth(rounded(bursts() * 10 ** (gain_db / 20)), RATE) == RATE / 2


def test_steady_rain_is_wide_too() -> None:
    assert bandwidth(0.05 * np.random.default_rng(0).standard_normal(3 * RATE), RATE) == RATE / 2
