"""Watermarks: drawn over moving pictures, which must be found where they are, and pictures without any."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from filters.video.watermark import MARK_FRAMES
from media.render import render_views
from media.synth import edits
from media.views import Views
from media.whole import whole_clip
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, detection
from pipeline.selfcheck.picture import noisy

SIZE = (640, 360)
WIDTHS = {"logo": (0.02, 0.05, 0.1), "text": (0.05, 0.1, 0.2)}
"""Of the mark, as shares of the picture's; eight letters that fill 5 % are three pixels wide each."""
STRENGTHS = {"opaque": 1.0, "40 %": 0.4}
CORNERS = ((0.05, 0.05), (0.95, 0.05), (0.05, 0.95), (0.95, 0.95), (0.5, 0.5))
"""Shares of the room to the left of the mark and above it."""
SCENES = 5
OVERLAP = 0.3
"""Intersection over union of a found box and the true one, from which the mark is found."""
REAL = (
    "video/big_buck_bunny_small.mp4",
    "video/nasa_13013.mp4",
    "video/chaplin.mp4",
    "grid/lwbsza.mpg",
    "grid/sbia1a.mpg",
)


def check(media: Path | None = None) -> Iterator[Finding]:
    """Recall by size and strength, precision against clean moving pictures, stills, and real clips without marks."""
    for kind, widths in WIDTHS.items():
        yield from (_drawn(kind, width) for width in widths)
    yield _precision()
    yield _still()
    if media is not None:
        yield _real(media)


def measured(frames: np.ndarray) -> dict[str, Any]:
    """The stage's columns of grey frames (T, H, W) uint8."""
    return through.on("video.watermark", Views({MARK_FRAMES: frames}))


def _drawn(kind: str, width: float) -> Finding:
    """How many are found where they are; the smallest of each kind are reported without a floor."""
    recall = {name: _recall(kind, width, alpha) for name, alpha in STRENGTHS.items()}
    floors = dict.fromkeys(recall, (0.8, None)) if width > min(WIDTHS[kind]) else {}
    return Finding("video.watermark.watermarks", f"{kind} of {width:.0%} of the width", SCENES, recall, floors)


def _recall(kind: str, width: float, alpha: float) -> float:
    hits = 0
    for seed in range(SCENES):
        frames, truth = marked(scene(seed), kind, width, alpha, CORNERS[seed % len(CORNERS)])
        hits += any(overlap(row, truth) >= OVERLAP for row in measured(frames).get("watermarks") or [])
    return hits / SCENES


def _precision() -> Finding:
    truths, found = [], []
    for seed in range(SCENES):
        faint = marked(scene(seed), "text", 0.1, STRENGTHS["40 %"], CORNERS[seed % len(CORNERS)])[0]
        for frames, truth in ((scene(seed), False), (faint, True)):
            truths.append(truth)
            found.append(bool(measured(frames).get("watermark_area")))
    figures = detection(truths, found)
    return Finding(
        "video.watermark.watermark_area",
        "marked against clean, moving",
        2 * SCENES,
        figures,
        {"precision": (1.0, None), "recall": (0.6, None)},
    )


def _still() -> Finding:
    """A picture that stands, with a camera's noise, marked or not: nothing may be said of it. Of what moves, it may."""
    truths, found = [], []
    for seed in range(4):
        still = noisy(np.repeat(scene(seed)[:1], 32, 0), seed)
        for frames, truth in (
            (still, True),
            (marked(still, "logo", 0.1, 1.0, CORNERS[seed])[0], True),
            (scene(seed), False),
        ):
            truths.append(truth)
            found.append(measured(frames)["judged"] == "still")
    figures, floors = detection(truths, found), {"precision": (1.0, None), "recall": (1.0, None)}
    return Finding("video.watermark.judged", "stills against what moves", len(truths), figures, floors)


def _real(media: Path) -> Finding:
    """Clips of which a person has seen that they hold no mark, as they are and with a logo drawn over them. What is
    found to stand (talking heads, a camera on its legs) is not judged, and does not count."""
    truths, found = [], []
    for number, name in enumerate(REAL):
        with render_views(whole_clip(media / name), [MARK_FRAMES]) as views:
            clean = np.array(views[MARK_FRAMES])
        for frames, truth in ((clean, False), (marked(clean, "logo", 0.1, 1.0, CORNERS[number])[0], True)):
            row = measured(frames)
            if row["judged"] == "measured":
                truths.append(truth)
                found.append(bool(row["watermark_area"]))
    figures = detection(truths, found) | {"judged": len(found) / (2 * len(REAL))}
    floors = {"precision": (1.0, None), "recall": (0.6, None)}
    return Finding("video.watermark.watermark_area", "real clips, marked or not", len(found), figures, floors)


@cache
def scene(seed: int) -> np.ndarray:
    """32 grey frames (32, 360, 640) of a camera that sweeps over texture of all sizes."""
    rng = np.random.default_rng(seed)
    wide = np.zeros((SIZE[1], 2 * SIZE[0]), np.float32)
    for blur, strength in ((2, 15), (6, 22), (30, 36)):
        grain = cv2.GaussianBlur(rng.standard_normal(wide.shape).astype(np.float32), (0, 0), blur)
        wide += strength * grain / grain.std()
    image = np.clip(110 + wide, 0, 255).astype(np.uint8)
    return noisy(edits.panned(image, 32, SIZE, 4.0 + seed), seed)


def marked(
    frames: np.ndarray, kind: str, width: float, alpha: float, at: tuple[float, float]
) -> tuple[np.ndarray, dict[str, float]]:
    """The frames with a nearly white "text" or "logo" blended in, and where: x, y, w, h as shares of the picture."""
    drawing = _text() if kind == "text" else _logo()
    tall, wide = frames.shape[1:]
    size = max(2, round(width * wide)), max(2, round(width * wide * drawing.shape[0] / drawing.shape[1]))
    mask = alpha * cv2.resize(drawing, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    x, y = round(at[0] * (wide - size[0])), round(at[1] * (tall - size[1]))
    done = frames.astype(np.float32)
    place = (slice(None), slice(y, y + size[1]), slice(x, x + size[0]))
    done[place] = done[place] * (1 - mask) + 235 * mask
    return np.round(done).astype(np.uint8), {"x": x / wide, "y": y / tall, "w": size[0] / wide, "h": size[1] / tall}


def _text() -> np.ndarray:
    drawing = np.zeros((150, 600), np.uint8)
    cv2.putText(drawing, "klear.tv", (12, 115), cv2.FONT_HERSHEY_DUPLEX, 4, 255, 10, cv2.LINE_AA)
    x, y, width, height = cv2.boundingRect(drawing)
    return drawing[y : y + height, x : x + width]


def _logo() -> np.ndarray:
    drawing = np.zeros((400, 400), np.uint8)
    cv2.circle(drawing, (200, 200), 175, 255, 40, cv2.LINE_AA)
    cv2.fillPoly(drawing, [np.array([[140, 100], [140, 300], [310, 200]])], 255, cv2.LINE_AA)
    return drawing


def overlap(a: dict[str, float], b: dict[str, float]) -> float:
    """Intersection over union of two boxes x, y, w, h."""
    wide = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
    tall = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
    both = max(0.0, wide) * max(0.0, tall)
    return both / (a["w"] * a["h"] + b["w"] * b["h"] - both)
