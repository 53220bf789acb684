"""Sources with known truth for the tests of media: flashes with chirps, in any container ffmpeg can write."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from media import ffmpeg

RATE = 48_000


@dataclass(frozen=True)
class Flashes:
    """A file in which frames `flash_frames` and the ones after them are bright, each with a chirp at its start."""

    path: Path
    fps: Fraction
    flash_frames: tuple[int, ...]
    chirp: np.ndarray


def chirp() -> np.ndarray:
    """60 ms from 600 Hz to 3.6 kHz at 48 kHz: its place can be told to the sample."""
    t = np.arange(int(0.06 * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * (600 * t + 25_000 * t**2)) * np.hanning(len(t)) ** 0.3).astype(np.float32)


MakeFlashes = Callable[..., Flashes]


@pytest.fixture(scope="session")
def make_flashes(tmp_path_factory: pytest.TempPathFactory) -> MakeFlashes:
    """make_flashes(name, fps=25, seconds=8, options=[...]): `options` go between the inputs and the output."""

    def make(name: str, fps: Fraction | int = 25, seconds: float = 8.0, options: list[str] | None = None) -> Flashes:
        folder, rate = tmp_path_factory.mktemp("flashes"), Fraction(fps)
        total, rng, sound = int(seconds * rate), np.random.default_rng(3), chirp()
        events, at = [], 8
        while at < total - 8:
            events.append(at)
            at += int(rng.integers(int(rate * 0.4), int(rate * 0.9)))
        frames = np.full((total, 96, 128), 30, np.uint8)
        track = np.zeros(int(seconds * RATE), np.float32)
        for event in events:
            frames[event : event + 2, 20:76, 30:98] = 230
            start = round(event / rate * RATE)
            track[start : start + len(sound)] += sound[: len(track) - start]
        frames.tofile(folder / "frames.raw")
        track.tofile(folder / "sound.raw")
        shown = [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "-s",
            "128x96",
            "-r",
            str(rate),
            "-i",
            str(folder / "frames.raw"),
        ]
        heard = ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", str(folder / "sound.raw")]
        argv = [ffmpeg.binary(), "-y", "-nostdin", "-loglevel", "error", *shown, *heard]
        subprocess.run([*argv, *(options or H264_AAC), ffmpeg.file_url(folder / name)], check=True)
        return Flashes(folder / name, rate, tuple(events), sound)

    return make


H264_AAC = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "3", "-c:a", "aac"]


@pytest.fixture(scope="session")
def flashes(make_flashes: MakeFlashes) -> Flashes:
    """An ordinary 8 s MP4: 128x96, 25 fps, H.264 with B-frames, AAC."""
    return make_flashes("plain.mp4")
