"""Pictures for the synthetic clips: textured backdrops seen by a gently swaying camera, and things drawn on them.

Frames are RGB uint8 (H, W, 3). Drawing is done with OpenCV at 1/16 pixel, so that slow movement is smooth.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 200
_MARGIN = 16
_SHIFT = 4
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Backdrop:
    """A picture larger than the frame by 16 pixels a side; `period_s` is how long the camera takes to sway."""

    image: np.ndarray
    period_s: float = 7.0

    def at(self, t: float) -> np.ndarray:
        """The part of the picture that the camera sees at `t` seconds, a fresh frame to draw on."""
        x = _MARGIN + 0.9 * _MARGIN * np.sin(2 * np.pi * t / self.period_s)
        y = _MARGIN + 0.4 * _MARGIN * np.sin(2 * np.pi * t / (1.7 * self.period_s))
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(self.image, move, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)


def backdrop(seed: int, top: Colour, bottom: Colour) -> Backdrop:
    """A sky of soft clouds over a tiled floor, between two colours; every seed another texture."""
    rng = np.random.default_rng(seed)
    width, height = WIDTH + 2 * _MARGIN, HEIGHT + 2 * _MARGIN
    fade = np.linspace(0, 1, height)[:, None, None]
    image = np.array(top) * (1 - fade) + np.array(bottom) * fade + np.zeros((height, width, 3))
    for cells, strength in ((5, 34.0), (14, 16.0), (40, 8.0)):
        clouds = rng.standard_normal((cells * height // width + 2, cells + 2))
        image += strength * cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)[..., None] * 0.5
    floor = height * 3 // 4
    tile = int(rng.integers(18, 34))
    rows, columns = np.mgrid[0 : height - floor, 0:width]
    image[floor:] += np.where((rows // (tile // 2) + columns // tile) % 2, 14, -14)[..., None]
    return Backdrop(np.clip(image, 0, 255).astype(np.uint8), period_s=float(rng.uniform(5, 9)))


def disc(frame: np.ndarray, x: float, y: float, radius: float, colour: Colour, squash: float = 1.0) -> None:
    """A shaded ball at (x, y); `squash` > 1 makes it wider and flatter."""
    axes = (radius * squash**0.5, radius / squash**0.5)
    ellipse(frame, x, y, axes, colour)
    light = tuple(min(255, c + 70) for c in colour)
    ellipse(frame, x - 0.3 * axes[0], y - 0.35 * axes[1], (0.35 * axes[0], 0.28 * axes[1]), light)  # type: ignore[arg-type]


def ellipse(frame: np.ndarray, x: float, y: float, axes: tuple[float, float], colour: Colour, angle: float = 0) -> None:
    """A filled ellipse with half axes in pixels and its angle in degrees."""
    centre, half = (_fine(x), _fine(y)), (max(1, _fine(axes[0])), max(1, _fine(axes[1])))
    cv2.ellipse(frame, centre, half, angle, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)


def line(frame: np.ndarray, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: int) -> None:
    """A straight line, `width` pixels wide."""
    a, b = (_fine(start[0]), _fine(start[1])), (_fine(end[0]), _fine(end[1]))
    cv2.line(frame, a, b, colour, width, cv2.LINE_AA, _SHIFT)


def film(seconds: float, fps: int, draw: Callable[[float], np.ndarray]) -> np.ndarray:
    """Frames (T, H, W, 3) of a scene: `draw` gives the frame at a time in seconds."""
    return np.stack([draw(i / fps) for i in range(round(seconds * fps))])


def _fine(value: float) -> int:
    return round(value * (1 << _SHIFT))
