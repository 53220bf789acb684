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
    """Speed of a panning camera, and how much it shakes; what moves by itself; still pictures."""
    yield from (_pan(), _shake())
    yield from _subject()
    yield _faint()
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


def _stand(seed: int, frames: int) -> np.ndarray:
    """A picture that stands, (frames, H, W, 3)."""
    return np.repeat(_wide(seed)[None, : SIZE[1], : SIZE[0]], frames, 0)


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


def _shake() -> Finding:
    """A camera that stands, pans evenly, or is held by a hand that is each frame somewhere else, about its place."""
    pairs = [(0.0, _motion(noisy(_stand(7, 40), 7))["shake_px"])]
    pairs += [(0.0, _motion(noisy(edits.panned(_wide(8), 40, SIZE, speed), 8))["shake_px"]) for speed in (1.0, 4.0)]
    for seed, pixels in enumerate((0.25, 0.5, 1.0, 2.0)):
        places = pixels * np.random.default_rng(seed).standard_normal((40, 2))
        changes = np.diff(places, n=2, axis=0)
        held = [cv2.getRectSubPix(_wide(seed), SIZE, (500 + x, 76 + y)) for x, y in places]
        truth = float(np.hypot(changes[:, 0], changes[:, 1]).mean())
        pairs.append((truth, _motion(noisy(np.stack(held), seed))["shake_px"]))
    figures, floors = errors(pairs, "px"), {"95% px": (None, 0.3)}
    return Finding("video.motion.shake_px", "still, pans, hands of 0.25 to 2 px", len(pairs), figures, floors, pairs)


SQUARES = ((30, 3), (45, 4), (60, 2), (80, 3))
"""Sides of what moves, px, and its steps, px a frame."""


def _subject() -> Iterator[Finding]:
    """A textured square that crosses a still picture, and one that a camera pans over: the camera's motion, the share
    of the picture that moves by itself, and by how much (of the whole picture, in the mean)."""
    camera, area, moved = [], [], []
    for seed, (side, step) in enumerate(SQUARES):
        for speed in (0, 2):
            back = edits.panned(_wide(seed), 40, SIZE, speed) if speed else _stand(seed, 40)
            row = _motion(noisy(_crossed(back, _square(side, seed), step), seed))
            share = side * side / (SIZE[0] * SIZE[1])
            camera.append((float(speed), row["camera_px"]))
            area.append((share, row["subject_area"]))
            if not speed:
                moved.append((share * step, row["subject_px"]))
    relative = [(1.0, measured / truth) for truth, measured in moved]
    for column, case, pairs, figures, floors in (
        ("camera_px", "still or panning, something moves", camera, errors(camera, "px"), {"95% px": (None, 0.3)}),
        (
            "subject_area",
            "a square of 2 to 17%",
            area,
            errors(area, "of the picture"),
            {"95% of the picture": (None, 0.04)},
        ),
        (
            "subject_px",
            "a square of 2 to 17%, still camera",
            moved,
            errors(relative, "%", 100),
            {"95% %": (None, 30.0)},
        ),
    ):
        yield Finding(f"video.motion.{column}", case, len(pairs), figures, floors, pairs)


def _square(side: int, seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    return cv2.GaussianBlur(rough, (0, 0), 1.5)


def _crossed(frames: np.ndarray, thing: np.ndarray, step: int) -> np.ndarray:
    """The frames with a thing in front that moves `step` px a frame to the right."""
    passed, side = frames.copy(), len(thing)
    for i, frame in enumerate(passed):
        frame[30 : 30 + side, 10 + step * i : 10 + step * i + side] = thing
    return passed


def _faint() -> Finding:
    """The same squares before a wall whose texture is a sixth as strong: flow bleeds over the edges of what moves, and
    more of the picture seems to. Reported without a floor."""
    area = []
    for seed, (side, step) in enumerate(SQUARES):
        wall = (128 + (_stand(seed, 40).astype(np.int16) - 128) // 6).astype(np.uint8)
        row = _motion(noisy(_crossed(wall, _square(side, seed), step), seed))
        area.append((side * side / (SIZE[0] * SIZE[1]), row["subject_area"]))
    return Finding(
        "video.motion.subject_area", "before a faint wall", len(area), errors(area, "of the picture"), {}, area
    )


def _static() -> Finding:
    """Pictures that stand, with coding noise, against slow pans."""
    truths, found = [], []
    for seed in range(6):
        still = _stand(seed, 30)
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
