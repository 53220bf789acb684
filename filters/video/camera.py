"""The camera's motion and what moves beside it: a similarity fitted to optical flow, and what it leaves over."""

from dataclasses import dataclass

import numpy as np

GRID = 8
"""Every so many pixels of the flow take part in the fit, each way."""
ROUNDS = 8
_LEAST_SCALE_PX = 0.1


@dataclass(frozen=True)
class Camera:
    """Of n pairs of frames. shift: of the middle of the picture, px, (n, 2). global_px: mean length of the fitted flow.
    residual: length of what is left at each point of the grid, px, (n, points)."""

    shift: np.ndarray
    global_px: np.ndarray
    residual: np.ndarray

    @property
    def subject_area(self) -> float:
        """Mean share of the picture that moves otherwise than the camera: by over a pixel and over half of what moves
        otherwise most. Before faint texture flow bleeds some 10 px over the edges of things: a square of 64 px counts
        as one of 86. Before strong texture things lose their own edges: one of 60 px counts as one of 54."""
        most = np.percentile(self.residual, 99, axis=1, keepdims=True)
        return float(np.mean(self.residual > np.maximum(1.0, most / 2)))

    @property
    def shake_px(self) -> float:
        """Mean change of the shift from one pair to the next, px: 0 for a steady or evenly moving camera."""
        steps = np.diff(self.shift, axis=0)
        return float(np.hypot(steps[:, 0], steps[:, 1]).mean()) if len(steps) else 0.0


def fit(flow: np.ndarray) -> Camera:
    """Turn, zoom and shift of the picture behind a flow sampled every `GRID` pixels, (n, h, w, 2), px.

    Iteratively reweighted least squares (Geman-McClure's weights, scaled by the median of what is left), started at the
    median of the flow: up to about half of the points may belong to something that moves in front.
    """
    place = _places(*flow.shape[1:3])
    moved = (flow[..., 0] + 1j * flow[..., 1]).reshape(len(flow), -1)
    shown = np.median(moved.real, 1, keepdims=True) + 1j * np.median(moved.imag, 1, keepdims=True)
    shift = shown
    for _ in range(ROUNDS):
        left = np.abs(moved - shown)
        scale = np.maximum(1.48 * np.median(left, 1, keepdims=True), _LEAST_SCALE_PX)
        weight = 1 / (1 + (left / scale) ** 2) ** 2
        weight /= weight.sum(1, keepdims=True)
        middle, mean = ((weight * values).sum(1, keepdims=True) for values in (place, moved))
        around = place - middle
        turned = (weight * (moved - mean) * around.conj()).sum(1, keepdims=True)
        turned /= (weight * np.abs(around) ** 2).sum(1, keepdims=True)
        shift = mean - turned * middle
        shown = turned * place + shift
    return Camera(
        shift=np.concatenate([shift.real, shift.imag], 1),
        global_px=np.abs(shown).mean(1),
        residual=np.abs(moved - shown),
    )


def _places(height: int, width: int) -> np.ndarray:
    """The points of the grid as complex numbers, px from its middle: a turn and a zoom are then one factor."""
    y, x = np.mgrid[:height, :width] * float(GRID)
    return ((x - x.mean()) + 1j * (y - y.mean())).ravel()
