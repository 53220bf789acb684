"""A folder of any number of clips to measure on: a few encoded ones, copied, each copy with content of its own.

A copy differs by a `free` box at its end, which every reader skips, so all copies cost the same and none is a
duplicate.
"""

import struct
from pathlib import Path

import numpy as np

from media.writer import write_mp4

BASES = 8
SIZE = (640, 360)
FPS = 25


def make(folder: Path, count: int, seconds: float = 6.0, size: tuple[int, int] = SIZE, bases: int = BASES) -> Path:
    """`count` clips of `seconds` at 25 fps, moving texture and modulated noise, of `bases` kinds.

    Resumes where it was. size: width, height of a frame, pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = f"{size[0]}x{size[1]}-{seconds:g}"
    made = [_base(folder.parent / f"base-{kind}-{i}.mp4", i, seconds, size) for i in range(min(bases, count))]
    for number in range(count):
        path = folder / f"clip-{number:05d}.mp4"
        if not path.exists():
            mark = number.to_bytes(8, "big")
            path.write_bytes(made[number % bases] + struct.pack(">I4s", 16, b"free") + mark)
    return folder


def _base(path: Path, seed: int, seconds: float, size: tuple[int, int]) -> bytes:
    if not path.exists():
        rng = np.random.default_rng(seed)
        count, (width, height) = round(seconds * FPS), size
        canvas = rng.integers(0, 255, (height + 64, width + 4 * count, 3), dtype=np.uint8)
        canvas = (canvas.astype(np.float32) + np.roll(canvas, 3, 0) + np.roll(canvas, 3, 1)) / 3
        frames = np.stack([canvas[i % 64 : i % 64 + height, 3 * i : 3 * i + width] for i in range(count)])
        times = np.arange(round(seconds * 44_100)) / 44_100
        sound = 0.1 * rng.standard_normal(len(times)) * (1 + np.sin(2 * np.pi * 1.5 * times)) / 2
        sound += 0.1 * np.sin(2 * np.pi * (200 + 40 * seed) * times)
        write_mp4(path, frames.astype(np.uint8), FPS, np.stack([sound, sound], 1).astype(np.float32), crf=26)
    return path.read_bytes()
