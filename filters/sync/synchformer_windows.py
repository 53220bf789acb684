"""From segments to windows to one answer: what Synchformer's logits over several windows of a clip say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FPS, FRAME_STEP = 25, 8
"""Of the pictures, and frames from one segment to the next."""
GRID_S = np.round(np.linspace(-2, 2, 21), 1)
"""Offsets of the classes (s), in Synchformer's own sign: > 0 when the sound is early."""
NEAR_S = 0.2
"""Offsets up to this are one class or none from 0: Synchformer's own tolerance, and its grid cannot tell finer."""


def starts(segments: int, window: int, step: int) -> list[int]:
    """First segments of the windows: every `step`, and the last that fits; none when there are too few."""
    last = segments - window
    return [] if last < 0 else sorted({*range(0, last + 1, step), last})


@dataclass(frozen=True)
class Answer:
    """av_offset_s: > 0 when the sound comes after the picture, of the most probable class of the mean over windows.

    expected_offset_s: mean of the offsets under those probabilities. p_in_sync: of at most `NEAR_S`. entropy: nats.
    desync_s: mean of |offset| of the first and the last window, each its own most probable: av-benchmark's
    DeSync, when the pictures were prepared as it does it (`preprocess` of the stage).
    """

    av_offset_s: float
    expected_offset_s: float
    p_in_sync: float
    entropy: float
    desync_s: float


def answer(probabilities: np.ndarray) -> Answer:
    """Of the windows of a clip, in order, (windows, 21)."""
    mean = probabilities.mean(0)
    own = -GRID_S + 0.0
    return Answer(
        av_offset_s=float(own[mean.argmax()]),
        expected_offset_s=float(mean @ own),
        p_in_sync=float(mean[np.abs(GRID_S) <= NEAR_S + 1e-9].sum()),
        entropy=float(-(mean * np.log(np.maximum(mean, 1e-300))).sum()),
        desync_s=desync(probabilities[[0, -1]]),
    )


def desync(probabilities: np.ndarray) -> float:
    """Mean over all windows of |offset| of the most probable class, s. probabilities, or logits: (..., 21)."""
    return float(np.abs(GRID_S[np.asarray(probabilities).argmax(-1)]).mean())


def window_offsets(probabilities: np.ndarray) -> list[float]:
    """Of each window its most probable offset, s, > 0 when the sound comes after the picture."""
    return [float(value) for value in (-GRID_S + 0.0)[probabilities.argmax(-1)]]


def seconds(first: Sequence[int]) -> list[float]:
    """When windows that begin at these segments begin, s."""
    return [start * FRAME_STEP / FPS for start in first]
