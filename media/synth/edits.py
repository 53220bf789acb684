"""Edited films with known transitions: hard cuts, dissolves, fades through black, and what only looks like one."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from media.detect import Transition

KINDS = ("cut", "dissolve", "fade")


@dataclass(frozen=True)
class Film:
    """frames: RGB uint8 (T, H, W, 3); transitions, in order, each with its kind."""

    frames: np.ndarray
    transitions: tuple[Transition, ...]
    kinds: tuple[str, ...]


def join(shots: Sequence[np.ndarray], kinds: Sequence[str], length: int = 16) -> Film:
    """The shots, each (n, H, W, 3), one after the other; kinds: how each goes over into the next.

    A dissolve blends the last `length` frames of one shot with the first of the next; a fade takes as many to go
    through black. Those frames, [first, after), are the transition; a cut's is empty.
    """
    film, transitions = list(shots[0]), []
    for shot, kind in zip(shots[1:], kinds, strict=True):
        start = list(shot)
        if kind == "dissolve":
            span = (len(film) - length, len(film))
            pairs = zip(film[span[0] :], start[:length], _ramp(length))
            film[span[0] :] = [cv2.addWeighted(a, 1 - t, b, t, 0) for a, b, t in pairs]
            start = start[length:]
        elif kind == "fade":
            half = length // 2
            span = (len(film) - half, len(film) + half)
            film[-half:] = [_dark(frame, 1 - t) for frame, t in zip(film[-half:], _ramp(half))]
            start[:half] = [_dark(frame, t) for frame, t in zip(start, _ramp(half))]
        else:
            span = (len(film), len(film))
        film += start
        transitions.append(span)
    return Film(np.stack(film), tuple(transitions), tuple(kinds))


def _ramp(length: int) -> list[float]:
    """`length` times inside (0, 1), evenly."""
    return [(i + 1) / (length + 1) for i in range(length)]


def _dark(frame: np.ndarray, light: float) -> np.ndarray:
    return (frame * light).astype(np.uint8)


def flashed(frames: np.ndarray, at: int, length: int = 2) -> np.ndarray:
    """The frames with a photographer's flash: `length` of them nearly white."""
    lit = frames.copy()
    lit[at : at + length] = np.clip(lit[at : at + length].astype(np.int32) * 0.3 + 180, 0, 255).astype(np.uint8)
    return lit


def panned(image: np.ndarray, frames: int, size: tuple[int, int], speed: float) -> np.ndarray:
    """A camera that sweeps over a wide picture (h, w, 3) at `speed` pixels a frame, to and fro; (frames, H, W, 3)."""
    width, height = size
    room = image.shape[1] - width
    places = [room - abs((i * speed) % (2 * room) - room) for i in range(frames)]
    return np.stack([cv2.getRectSubPix(image, (width, height), (p + width / 2, height / 2)) for p in places])


def shaken(frames: np.ndarray, pixels: float, seed: int) -> np.ndarray:
    """The frames as a running cameraman would hold them: moved by up to about `pixels` from frame to frame."""
    moves = pixels * np.random.default_rng(seed).standard_normal((len(frames), 2))
    height, width = frames.shape[1:3]
    shift = [np.array([[1, 0, x], [0, 1, y]], np.float32) for x, y in moves]
    return np.stack(
        [cv2.warpAffine(f, m, (width, height), borderMode=cv2.BORDER_REFLECT) for f, m in zip(frames, shift)]
    )


def crossed(frames: np.ndarray, colour: tuple[int, int, int], speed: float) -> np.ndarray:
    """The frames with something dark and near that passes the lens: a wide bar, from left to right."""
    passed = frames.copy()
    width = frames.shape[2]
    for i, frame in enumerate(passed):
        x = int(i * speed - width * 0.6)
        cv2.rectangle(frame, (x, 0), (x + int(width * 0.6), frame.shape[1]), colour, -1)
    return passed
