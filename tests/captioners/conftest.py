"""A clip and its sound for the captioners: arrays in `Views`, facts by hand."""

import csv
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from media.clip import Clip


@pytest.fixture
def clip() -> Clip:
    """Three seconds of 640x360 at 25 fps; its path is never opened."""
    return Clip(bytes(16), bytes(16), "/nowhere.mp4", 0, 75, Fraction(25), 640, 360, 44_100, 2)


@pytest.fixture
def sound(media_dir: Path) -> Callable[..., np.ndarray]:
    """`sound("grid/bbaf2n.mpg", 16000)`: the file's first audio track, mono float32 at that rate."""

    def read(name: str, rate: int = 16_000) -> np.ndarray:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(media_dir / name), "-map", "0:a:0"]
        command += ["-ac", "1", "-ar", str(rate), "-f", "f32le", "-"]
        return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)

    return read


@pytest.fixture
def transcripts(media_dir: Path) -> dict[str, str]:
    """File name -> its true transcript, for the files of MEDIA.tsv that have one."""
    with (media_dir / "MEDIA.tsv").open(newline="") as file:
        return {row["file"]: row["transcript"] for row in csv.DictReader(file, delimiter="\t") if row["transcript"]}


@pytest.fixture(scope="session")
def tiny_omni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random Qwen2.5-Omni, as published ones are laid out."""
    from tests.captioners import tiny_omni

    return tiny_omni.write(tmp_path_factory.mktemp("omni"))
