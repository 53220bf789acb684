"""Marks that stand still over a picture that moves: logos, channel names, handles.

A formula, after Dekel 2017 (watermarks are what gradients agree on): an edge belongs to a mark when it is in the same
place, with the same sign, on nearly every frame. In a picture that itself stands, every edge does, and nothing can be
told: such clips are said to be still, not clean.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import VideoView, View, Views

MARK_FRAMES = VideoView("mark_frames", box=(640, 640), max_frames=32)
FEWEST = 8
EDGE = 10.0
"""Slope of luma, grey levels a pixel, from which there is an edge: above coding noise, below faint lettering."""
SCHARR = 32
"""What Scharr's filter makes of a slope of one grey level a pixel."""
AGREE = 0.85
"""Share of the frames on which an edge of a mark is seen: a few may hide it against a picture of its own colour."""
CELL = 16
"""Side, px, of the squares in which edges are counted to tell what moves from what stands."""
JOIN = 13
"""Edges no further apart, px, are of one mark."""
LEAST_EDGES, LEAST_SIDE, DENSE = 50, 8, 0.12
"""Of a mark: pixels of standing edge, px of its shorter side, edges a pixel of its box. Chance agreement is thin."""
LINE = 8
"""A thin strip this many times longer than wide is the end of a black bar, no mark."""
BARS = 0.2
"""Share of the rows, or columns, that ends of bars may take: more of them are a scene that stands."""
ONE, ALL, COUNT = 0.08, 0.12, 4
"""Largest share of the picture of one mark, of all, and how many: beyond, it is the scene that stands."""
STILL = 0.06
"""Share of the cells with edges, outside of marks, that may stand in a picture that moves."""
MOVING = 0.05
"""Share of the cells in which edges must come and go, for anything to be told."""
MARKS = pa.list_(pa.struct([(name, pa.float64()) for name in ("x", "y", "w", "h", "contrast")]))
"""Each mark: left, top, width and height as shares of the picture; median slope of its edges, grey levels a pixel."""


class Watermark:
    """`watermark_area`: share of the picture in the boxes of marks, 0 for none; `watermarks`: the marks (`MARKS`),
    largest first. judged: "measured", "still" (too much of the picture stands) or "too short" (fewer than 8 frames);
    the other columns are NULL unless it is measured.

    Whatever stands for the whole clip is a mark here: a subtitle that does, too, and a dashboard. Lettering that is
    narrower than 5 % of the picture, or as bright as what lies behind it, is missed; what moves or fades is no mark.
    """

    NAME = "video.watermark"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "judged": pa.string(),
        "watermark_area": pa.float64(),
        "watermarks": MARKS,
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"watermark_area": (0, ALL)}
    VALUES: ClassVar[Mapping[str, Sequence[str]]] = {"judged": ("measured", "still", "too short")}
    VIEWS: tuple[View, ...] = (MARK_FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.03

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its grey frames (T, H, W) uint8."""
        frames = views[MARK_FRAMES]
        if len(frames) < FEWEST:
            return {"judged": "too short"}
        slope, standing, passing = edges(frames)
        boxes = marks(standing)
        if not moves(standing, passing, boxes):
            return {"judged": "still"}
        found = [_row(slope, standing, box) for box in boxes]
        found.sort(key=lambda row: -row["w"] * row["h"])
        return {
            "judged": "measured",
            "watermark_area": sum((row["w"] * row["h"] for row in found), 0.0),
            "watermarks": found,
        }


Box = tuple[slice, slice]
"""Rows and columns."""


def edges(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of frames (T, H, W) uint8, three (H, W): slope, standing, passing.

    slope: of the median gradient, grey levels a pixel (the upper middle one, where their number is even), float32.
    standing: where an edge stands. passing: share of the frames with an edge, where none stands.
    """
    import cv2

    axes = ((1, 0), (0, 1))
    gradients = [np.stack([cv2.Scharr(frame, cv2.CV_16S, *axis) for frame in frames]) for axis in axes]
    middle = len(frames) // 2
    # A pixel's values in one piece are quicker to put in order.
    each_pixel = (np.ascontiguousarray(np.moveaxis(each, 0, -1)) for each in gradients)
    x, y = (np.partition(values, middle, -1)[..., middle].astype(np.float32) for values in each_pixel)
    across, down = (each.astype(np.float32) for each in gradients)
    slope = np.hypot(x, y)
    agrees = (across * x + down * y >= slope**2 / 2).mean(0)
    standing = (slope >= EDGE * SCHARR) & (agrees >= AGREE)
    passing = (across**2 + down**2 >= (EDGE * SCHARR) ** 2).mean(0) * ~standing
    return slope / SCHARR, without_lines(standing), passing


def without_lines(standing: np.ndarray) -> np.ndarray:
    """`standing` (H, W) without the few rows and columns that stand over two fifths of their length: ends of bars."""
    import cv2

    kept = standing.copy()
    for axis, near in ((0, (1, 5)), (1, (5, 1))):
        whole = cv2.dilate(standing.astype(np.uint8), np.ones(near, np.uint8)).mean(axis) > 0.4
        gone = np.convolve(whole, np.ones(9))[4 : 4 + len(whole)] > 0
        if gone.mean() <= BARS:
            kept[(slice(None), gone) if axis == 0 else gone] = False
    return kept


def marks(standing: np.ndarray) -> list[Box]:
    """Boxes of the compact, dense groups of standing edges (H, W) bool."""
    import cv2

    count, labels = cv2.connectedComponents(cv2.dilate(standing.astype(np.uint8), np.ones((JOIN, JOIN), np.uint8)))
    labels = labels * standing
    groups = [np.nonzero(labels == label) for label in range(1, count)]
    boxes = [
        ((slice(int(y.min()), int(y.max()) + 1), slice(int(x.min()), int(x.max()) + 1)), len(y)) for y, x in groups
    ]
    return [box for box, pixels in boxes if pixels >= LEAST_EDGES and _compact(box, pixels, standing)]


def _compact(box: Box, pixels: int, standing: np.ndarray) -> bool:
    height, width = (side.stop - side.start for side in box)
    short, long = sorted((height, width))
    line = short <= LEAST_SIDE + 2 and long > LINE * short
    dense = pixels >= DENSE * height * width
    return dense and not line and short >= LEAST_SIDE and height * width <= ONE * standing.size


def moves(standing: np.ndarray, passing: np.ndarray, boxes: Sequence[Box]) -> bool:
    """Whether the picture outside of the boxes moves, so that what stands is a mark."""
    if len(boxes) > COUNT or sum(standing[box].size for box in boxes) > ALL * standing.size:
        return False
    rest = standing.copy()
    for box in boxes:
        rest[box] = False
    still, alive = cells(rest) >= 6, cells(passing >= 0.08) >= 10
    return bool(alive.mean() >= MOVING and still.sum() <= STILL * (still | alive).sum())


def cells(mask: np.ndarray) -> np.ndarray:
    """How many pixels of `mask` (H, W) bool are in each cell."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % CELL), (0, -width % CELL)))
    return padded.reshape(-(-height // CELL), CELL, -(-width // CELL), CELL).sum((1, 3))


def _row(slope: np.ndarray, standing: np.ndarray, box: Box) -> dict[str, float]:
    (height, width), (rows, columns) = standing.shape, box
    place = {"x": columns.start / width, "y": rows.start / height}
    size = {"w": (columns.stop - columns.start) / width, "h": (rows.stop - rows.start) / height}
    return {**place, **size, "contrast": float(np.median(slope[box][standing[box]]))}


STAGE = Watermark
