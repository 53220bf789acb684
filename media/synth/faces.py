"""Drawn talking heads: the mouth opens with the loudness of the speech, so lips and voice agree to the frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from media.synth.picture import HEIGHT, WIDTH, Backdrop, Colour, ellipse, film, line
from media.synth.scenes import Scene
from media.synth.sounds import RATE


@dataclass(frozen=True)
class Head:
    """How a speaker looks. x: centre as a share of the width; size: 1 fills most of the height."""

    skin: Colour
    hair: Colour
    shirt: Colour
    x: float = 0.5
    size: float = 1.0


def talking(back: Backdrop, heads: Sequence[Head], voices: Sequence[np.ndarray], fps: int, sound: np.ndarray) -> Scene:
    """Heads side by side, each moved by its own voice (float32 (n,), as long as `sound`, which is what is heard)."""
    seconds = len(sound) / RATE
    openings = [opening(voice, round(seconds * fps), fps) for voice in voices]

    def draw(t: float) -> np.ndarray:
        frame = back.at(t)
        for number, head in enumerate(heads):
            mouth = openings[number]
            _head(frame, head, float(mouth[min(len(mouth) - 1, round(t * fps))]), t + 1.3 * number)
        return frame

    return Scene(film(seconds, fps, draw), fps, sound)


def opening(voice: np.ndarray, frames: int, fps: int) -> np.ndarray:
    """How far a mouth is open, (frames,) in [0, 1]: RMS of the 40 ms around each frame, against the loudest ones."""
    half = round(0.02 * RATE)
    padded = np.pad(voice.astype(np.float64), (half, 2 * half))
    starts = [round(i / fps * RATE) for i in range(frames)]
    level = np.array([np.sqrt(np.mean(padded[s : s + 2 * half] ** 2)) for s in starts])
    return np.clip(level / max(1e-6, float(np.quantile(level, 0.95))), 0, 1)


def _head(frame: np.ndarray, head: Head, mouth: float, t: float) -> None:
    s = head.size * HEIGHT / 200
    x = head.x * WIDTH + 4 * np.sin(2 * np.pi * t / 3.1)
    y = 92 * HEIGHT / 200 + 2 * np.sin(2 * np.pi * t / 2.3)
    ellipse(frame, x, y + 118 * s, (78 * s, 52 * s), head.shirt)
    ellipse(frame, x, y + 62 * s, (18 * s, 24 * s), _darker(head.skin))
    ellipse(frame, x, y - 16 * s, (56 * s, 62 * s), head.hair)
    ellipse(frame, x, y, (48 * s, 62 * s), head.skin)
    blink = 0.15 if (t % 2.7) < 0.12 else 1.0
    for side in (-1, 1):
        ellipse(frame, x + side * 19 * s, y - 12 * s, (9 * s, 6 * s * blink), (245, 245, 242))
        ellipse(frame, x + side * 19 * s, y - 12 * s, (4 * s, 4.5 * s * blink), (50, 35, 30))
        line(frame, (x + side * 10 * s, y - 26 * s), (x + side * 28 * s, y - 27 * s), head.hair, 3)
    line(frame, (x, y - 4 * s), (x - 3 * s, y + 12 * s), _darker(head.skin), 2)
    ellipse(frame, x, y + 32 * s, (20 * s - 4 * s * mouth, (2.5 + 15 * mouth) * s), (165, 70, 75))
    ellipse(frame, x, y + 32 * s, (16 * s - 4 * s * mouth, max(0.3, 12.5 * mouth) * s), (55, 15, 20))


def _darker(colour: Colour) -> Colour:
    return (colour[0] * 4 // 5, colour[1] * 4 // 5, colour[2] * 4 // 5)
