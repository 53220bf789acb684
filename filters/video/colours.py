"""Names of the main colours of a few frames, for captions: eleven basic colour terms (Berlin and Kay 1969)."""

from collections.abc import Sequence

import numpy as np

HUES = [(15, "red"), (40, "orange"), (70, "yellow"), (165, "green"), (255, "blue"), (290, "purple"), (335, "pink")]
"""Upper hue bound in degrees of each name; above 335 is red again."""
GREYS = [(45, "black"), (205, "grey"), (256, "white")]
"""Upper bound of value (0-255) of each name, where saturation is low."""


def main_colours(frames: Sequence[np.ndarray], count: int = 3, share: float = 0.1) -> list[str]:
    """Up to `count` colour names that cover at least `share` of the pixels of RGB frames, most frequent first."""
    names = np.concatenate([name_pixels(frame[::4, ::4]) for frame in frames])
    labels, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [str(labels[i]) for i in order if counts[i] >= share * len(names)][:count]


def name_pixels(frame: np.ndarray) -> np.ndarray:
    """A colour name for each pixel of (H, W, 3) uint8 RGB; shape (H * W,), strings."""
    import cv2

    hsv = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2HSV).reshape(-1, 3).astype(np.int32)
    hue, saturation, value = hsv[:, 0] * 2, hsv[:, 1], hsv[:, 2]
    names = _lookup(hue, [*HUES, (361, "red")])
    # Dark orange and dark yellow are what people call brown.
    names[np.isin(names, ["orange", "yellow"]) & (value < 150)] = "brown"
    flat = (saturation < 40) | (value < GREYS[0][0])
    names[flat] = _lookup(value[flat], GREYS)
    return names


def _lookup(values: np.ndarray, table: list[tuple[int, str]]) -> np.ndarray:
    bounds, names = zip(*table)
    return np.array(names)[np.searchsorted(bounds, values, side="right")]
