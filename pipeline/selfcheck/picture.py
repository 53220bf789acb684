"""Measures of the picture on frames whose truth follows from how they were made."""

from collections.abc import Iterator

import cv2
import numpy as np

from media.synth import edits
from media.views import LUMA_25, Views
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, detection, errors

SIZE = (256, 144)
SPEEDS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
"""Pixels a frame of the 256-wide view."""


def check() -> Iterator[Finding]:
    """Speed of a panning camera; what moves by itself in front of a still one; still pictures."""
    yield _pan()
    yield from _subject()
    yield _static()


def _motion(frames: np.ndarray) -> dict[str, float]:
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    return through.on("video.motion", Views({LUMA_25: grey}))


def _wide(seed: int) -> np.ndarray:
    """A picture four views wide, with texture everywhere: where there is none, nobody can see what moves."""
    texture = np.random.default_rng(seed).integers(0, 255, (SIZE[1] + 8, 4 * SIZE[0], 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(texture, (0, 0), 3)
    low, high = float(blurred.min()), float(blurred.max())
    return ((blurred - low) * (255 / (high - low))).astype(np.uint8)


def noisy(frames: np.ndarray, seed: int) -> np.ndarray:
    """With the noise of a camera: 1.5 grey levels."""
    rng = np.random.default_rng(seed)
    return np.clip(frames + rng.normal(0, 1.5, frames.shape), 0, 255).astype(np.uint8)


def _pan() -> Finding:
    pairs = []
    for seed, speed in enumerate(SPEEDS[1:]):
        pairs.append((speed, _motion(noisy(edits.panned(_wide(seed), 40, SIZE, speed), seed))["camera_px"]))
    relative = [(1.0, measured / truth) for truth, measured in pairs]
    return Finding(
        "video.motion.camera_px",
        "pans of 0.5 to 12 px",
        len(pairs),
        errors(relative, "%", 100),
        {"95% %": (None, 20.0)},
        pairs,
    )


def _subject() -> Iterator[Finding]:
    """A textured square that crosses a still picture: the camera stands, and the square's area moves."""
    camera, area = [], []
    for seed, side in enumerate((30, 45, 60, 80)):
        rng = np.random.default_rng(seed)
        back = _wide(seed)[: SIZE[1], : SIZE[0]]
        thing = cv2.GaussianBlur(rng.integers(0, 255, (side, side, 3)).astype(np.uint8), (0, 0), 1.5)
        frames = np.repeat(back[None], 40, 0).copy()
        for i, frame in enumerate(frames):
            frame[30 : 30 + side, 10 + 3 * i : 10 + 3 * i + side] = thing
        row = _motion(noisy(frames, seed))
        camera.append((0.0, row["camera_px"]))
        area.append((side * side / (SIZE[0] * SIZE[1]), row["subject_area"]))
    yield Finding(
        "video.motion.camera_px",
        "a still camera, something moves",
        4,
        errors(camera, "px"),
        {"95% px": (None, 0.3)},
        camera,
    )
    yield Finding(
        "video.motion.subject_area",
        "a square of 2 to 17%",
        4,
        errors(area, "of the picture"),
        {"95% of the picture": (None, 0.2)},
        area,
    )


def _static() -> Finding:
    """Pictures that stand, with coding noise, against slow pans."""
    truths, found = [], []
    for seed in range(6):
        still = np.repeat(_wide(seed)[None, : SIZE[1], : SIZE[0]], 30, 0)
        moving = edits.panned(_wide(seed), 30, SIZE, 0.5 + 0.5 * seed)
        for frames, truth in ((still, True), (moving, False)):
            truths.append(truth)
            found.append(_motion(frames)["static_ratio"] > 0.9)
    return Finding(
        "video.motion.static_ratio",
        "stills against slow pans",
        12,
        detection(truths, found),
        {"precision": (0.95, None), "recall": (0.95, None)},
    )
