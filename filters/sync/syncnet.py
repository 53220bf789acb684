"""SyncNet (Chung and Zisserman 2016): lip sync of the faces in view. Its weights are not shipped with any package.

Its usual names: LSE-D (less is better) and LSE-C (more is better), on whose scale MOVA takes at most 9.5 and at least
4.5; Ovi and SkyReels-V4 take at most 3 frames at an LSE-C above 1.5. Equal to the authors' code on the same crops and
the same sound. Unlike their pipeline, faces are followed by `video.faces`, whose boxes reach from forehead to chin, and
cut out of frames of at most 640 x 360; tracks count from 2 s on (theirs: 4 s), faces from 40 px of those (theirs: 100
of the source's). So compare figures with those of the same harness only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.sync.syncnet_scorer import FPS, SAMPLES_A_FRAME, VSHIFT, Answer, Scorer
from filters.video.face_series import boxes_of
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, FACES_25, View, Views
from media.weights_at import Published

WEIGHTS = Published(
    "sync.syncnet",
    "syncnet",
    "syncnet_v2.model",
    "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
    "MIT (code, joonson/syncnet_python, whose script fetches them); no licence of their own is stated",
)
TRACKS = pa.list_(
    pa.struct(
        [
            ("track", pa.string()),
            ("offset_frames", pa.int32()),
            ("lse_c", pa.float64()),
            ("lse_d", pa.float64()),
        ]
    )
)
"""Of each face that is long enough in view, as `Syncnet` has them of the best one."""


class Syncnet:
    """Of the face with the highest LSE-C: `offset_frames` of 1/25 s and `av_offset_s`, > 0 where the sound comes after
    the picture, from -15 to 15 frames; `lse_d`, the least mean distance of lips and sound; `lse_c`, the median over the
    lags less it. tracks: `TRACKS`. judged: "measured", "no face" (of 40 px or more), "too short" (all of them).

    It judges whatever is heard: only speech makes sense. least_frames: of a track. Others as of `Scorer`; the default
    weights: $KLEAR_WEIGHTS/syncnet/syncnet_v2.model.
    """

    NAME = "sync.syncnet"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "judged": pa.string(),
        "offset_frames": pa.int32(),
        "av_offset_s": pa.float64(),
        "lse_c": pa.float64(),
        "lse_d": pa.float64(),
        "tracks": TRACKS,
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "offset_frames": (-VSHIFT, VSHIFT),
        "av_offset_s": (-VSHIFT / FPS, VSHIFT / FPS),
        "lse_c": (0, None),
        "lse_d": (0, None),
    }
    VALUES: ClassVar[Mapping[str, Sequence[str]]] = {"judged": ("measured", "no face", "too short")}
    VIEWS: tuple[View, ...] = (AUDIO_16K, FACES_25)
    INPUTS: tuple[str, ...] = ("video.faces",)
    REQUIRES = INPUTS
    BACKEND = "SyncNet v2"
    LICENCE = "MIT (code, joonson/syncnet_python); none stated for the weights"
    COST = 1.1

    def __init__(
        self,
        weights: str | None = None,
        least_frames: int = 50,
        precision: str = "float32",
        on: str = "auto",
        at_once: int = 16,
    ) -> None:
        self.least_frames = least_frames
        self.scorer = Scorer(WEIGHTS, weights, precision, on, at_once)

    def digest(self) -> str:
        """As of `Scorer.digest`."""
        return self.scorer.digest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz audio, its frames at 25 fps and its faces."""
        seen = [entry for entry in facts["video.faces"]["tracks"] or () if entry["lip_opening"] is not None]
        if not seen:
            return {"judged": "no face"}
        found = [(entry["track"], self._track(entry, views)) for entry in seen]
        told = [(track, heard) for track, heard in found if heard]
        if not told:
            return {"judged": "too short"}
        best = max((heard for _, heard in told), key=lambda heard: heard.lse_c)
        rows = [{"track": track, **vars(heard)} for track, heard in told]
        return {"judged": "measured", "av_offset_s": best.offset_frames / FPS, **vars(best), "tracks": rows}

    def _track(self, entry: Mapping[str, Any], views: Views) -> Answer | None:
        boxes = boxes_of(dict(entry))
        if len(boxes) < self.least_frames:
            return None
        first = round(entry["start_s"] * FPS)
        frames = views[FACES_25][first : first + len(boxes)]
        audio = views[AUDIO_16K][first * SAMPLES_A_FRAME : (first + len(boxes)) * SAMPLES_A_FRAME]
        size = np.array([frames.shape[2], frames.shape[1]] * 2)
        return self.scorer.track(frames, boxes[: len(frames)] * size, audio)


STAGE = Syncnet
