"""Text that is burned into the picture, read by RapidOCR (PP-OCRv6 small, Apache-2.0) on a frame every two seconds.

It reads Latin and Chinese. One character alone is no text here: the detector takes shapes for letters.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import VideoView, View, Views
from media.weights import PackagedFile, digest_of

SIDE = 640
"""Longest side that is read, px: letters of 10 px at 640 are read, smaller ones rarely."""
STEP_S = 2.0
TEXT_FRAMES = VideoView("text_frames", fps=1, box=(SIDE, SIDE), pixels="rgb24", max_frames=16)
LEAST = 0.6
"""Confidence of the reader from which a line counts."""
MOST_AREA = 0.9
DETECTOR = PackagedFile(
    "rapidocr", "3.10.0", "rapidocr", "models/PP-OCRv6_det_small.onnx",
    "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
)  # fmt: skip
READER = PackagedFile(
    "rapidocr", "3.10.0", "rapidocr", "models/PP-OCRv6_rec_small.onnx",
    "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
)  # fmt: skip
LINES = pa.list_(
    pa.struct(
        [("text", pa.string()), ("confidence", pa.float64())] + [(side, pa.float64()) for side in ("x", "y", "w", "h")]
    )
)
"""Each text once, as it was read best: where (left, top, width, height) as shares of the picture."""


class Text:
    """`text_area`: largest share of the picture that text covers on a frame; `text_ratio`: share of the frames that
    hold text; `text_lines`: what was read (`LINES`), by first appearance."""

    NAME = "video.text"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "text_area": pa.float64(),
        "text_ratio": pa.float64(),
        "text_lines": LINES,
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"text_area": (0, 1)}
    VIEWS: tuple[View, ...] = (TEXT_FRAMES,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "RapidOCR 3.10.0 (PP-OCRv6 small)"
    LICENCE = "Apache-2.0 (PaddleOCR)"
    COST = 0.1

    def digest(self) -> str:
        """Digest of both models' files."""
        return digest_of(DETECTOR, READER)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames (T, H, W, 3) uint8 RGB."""
        frames = views[TEXT_FRAMES][:: round(STEP_S)]
        if not len(frames):
            return {}
        found = [lines(frame) for frame in frames]
        return {
            "text_area": max(covered(rows) for rows in found),
            "text_ratio": float(np.mean([bool(rows) for rows in found])),
            "text_lines": once(row for rows in found for row in rows),
        }


def lines(frame: np.ndarray) -> list[dict[str, Any]]:
    """Rows of `LINES` of one frame (H, W, 3) uint8 RGB."""
    read = _engine()(np.ascontiguousarray(frame[..., ::-1]))
    if read.boxes is None or read.txts is None:
        return []
    size = np.array([frame.shape[1], frame.shape[0]], np.float64)
    rows = []
    for box, text, confidence in zip(read.boxes, read.txts, read.scores):
        (x, y), (right, bottom) = np.clip(box.min(0) / size, 0, 1), np.clip(box.max(0) / size, 0, 1)
        place = {"x": float(x), "y": float(y), "w": float(right - x), "h": float(bottom - y)}
        if sum(map(str.isalnum, text)) > 1 and confidence >= LEAST and place["w"] * place["h"] <= MOST_AREA:
            rows.append({"text": text.strip(), "confidence": float(confidence), **place})
    return rows


def covered(rows: Iterable[Mapping[str, Any]], grid: int = 256) -> float:
    """Share of the picture inside the boxes, each place counted once, on a grid of `grid` x `grid`."""
    inside = np.zeros((grid, grid), bool)
    for row in rows:
        x, y, w, h = (round(row[side] * grid) for side in ("x", "y", "w", "h"))
        inside[y : y + h, x : x + w] = True
    return float(inside.mean())


def once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each text (case apart) once, where it was read with most confidence."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = best.setdefault(row["text"].lower(), row)
        if row["confidence"] > known["confidence"]:
            best[row["text"].lower()] = row
    return list(best.values())


@lru_cache(maxsize=1)
def _engine() -> Any:
    """The models from the package's own folder: paths are given, so that nothing is fetched."""
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Det.model_path": str(DETECTOR.locate()),
            "Rec.model_path": str(READER.locate()),
            "Det.limit_type": "max",
            "Det.limit_side_len": SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


STAGE = Text
