"""What a track of a face is as numbers over time: places at 5 Hz, lip opening at 25 Hz."""

from typing import Any

import numpy as np
import pyarrow as pa

from filters.video.face_tracks import Track

FPS = 25
PLACE_STEP = 5
"""Frames from one place to the next: heads move little in 0.2 s."""
NEAR = 13
"""Frames of the running medians of places and of eye distances, half a second, as in SyncNet's pipeline."""
LEAST_LIPS_PX = 40.0
"""Narrower faces have lips of a few pixels: their opening is not a number worth having."""

TRACKS = pa.list_(
    pa.struct(
        [
            ("track", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("x", pa.float64()),
            ("y", pa.float64()),
            ("width", pa.float64()),
            ("height", pa.float64()),
            ("width_px", pa.float64()),
            ("lip_activity", pa.float64()),
            ("lip_opening", pa.list_(pa.float32())),
            ("places", pa.list_(pa.float32())),
        ]
    )
)
"""track: F1, F2, ... by appearance. start_s, end_s: of its first frame and after its last. x, y, width, height: medians
of its box (left, top; forehead to chin), as shares of the picture. width_px: median width in the view. lip_activity:
standard deviation of the lip opening. lip_opening: gap of the inner lips over the distance of the outer corners of the
eyes, one a frame from start_s at 25 Hz, None where the face was away; both NULL for a face below 40 px.
places: flat rows of left, top, right, bottom, as shares of the picture, one at start_s and every 0.2 s on."""


def row(number: int, track: Track, shape: tuple[int, ...]) -> dict[str, Any]:
    """One entry of `TRACKS`, for frames of `shape` (T, H, W, 3)."""
    size = np.array([shape[2], shape[1]] * 2, np.float64)
    boxes = smooth_boxes(track)
    left, top, right, bottom = np.median(boxes / size, 0)
    width_px = float(np.median(boxes[:, 2] - boxes[:, 0]))
    lips = opening(track) if width_px >= LEAST_LIPS_PX else None
    return {
        "track": f"F{number}",
        "start_s": track.first / FPS,
        "end_s": (track.last + 1) / FPS,
        **{"x": float(left), "y": float(top), "width": float(right - left), "height": float(bottom - top)},
        "width_px": width_px,
        "lip_activity": None if lips is None else float(np.nanstd(lips)),
        "lip_opening": None if lips is None else [None if np.isnan(v) else round(float(v), 4) for v in lips],
        "places": [round(float(v), 4) for v in (boxes / size)[::PLACE_STEP].ravel()],
    }


def smooth_boxes(track: Track) -> np.ndarray:
    """Boxes (n, 4) px of each frame from the first to the last: gaps bridged by straight lines, running medians."""
    seen = np.array(sorted(track.boxes))
    every = np.arange(seen[0], seen[-1] + 1)
    known = np.array([track.boxes[i] for i in seen])
    return np.stack([running_median(np.interp(every, seen, side)) for side in known.T], 1)


def opening(track: Track) -> np.ndarray:
    """Lip opening (n,) of each frame from the first to the last, NaN where the face was away.

    The distance of the eyes is a running median: it changes slowly, its noise does not.
    """
    seen = np.array(sorted(track.gaps))
    every = np.arange(seen[0], seen[-1] + 1)
    eyes = running_median(np.interp(every, seen, [track.eyes[i] for i in seen]))
    gaps = np.full(len(every), np.nan)
    gaps[seen - seen[0]] = [track.gaps[i] for i in seen]
    return np.asarray(gaps / np.maximum(eyes, 1e-6))


def running_median(values: np.ndarray, width: int = NEAR) -> np.ndarray:
    """Median over `width` neighbours, the ends repeated."""
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=-1))


def lips_of(entry: dict[str, Any], frames: int) -> np.ndarray:
    """The lip opening of an entry on the clip's own frames at 25 fps: (frames,), NaN where it is not known."""
    series = np.full(frames, np.nan)
    start = round(entry["start_s"] * FPS)
    values = np.array([np.nan if v is None else v for v in entry["lip_opening"] or ()], np.float64)[: frames - start]
    series[start : start + len(values)] = values
    return series


def boxes_of(entry: dict[str, Any]) -> np.ndarray:
    """Boxes (n, 4) of an entry on each frame from start_s, as shares of the picture."""
    places = np.array(entry["places"], np.float64).reshape(-1, 4)
    count = round((entry["end_s"] - entry["start_s"]) * FPS)
    at = np.arange(len(places)) * PLACE_STEP
    return np.stack([np.interp(np.arange(count), at, side) for side in places.T], 1)
