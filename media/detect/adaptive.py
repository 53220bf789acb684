"""PySceneDetect's adaptive detector: a frame that changes several times as much as its neighbours starts a shot.

Finds hard cuts; a dissolve or a fade changes a little on every frame and stays inside a shot. A flash would be a cut
to the detector, so a cut after which the picture comes back to what it was is taken back.
"""

import importlib.metadata
from collections import deque
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from media import grid
from media.detect import Transition

WIDTH = 192
_FLASH = 6
_BACK = 0.25
"""A flash: within 6 frames the picture is back to within a quarter of the jump that it made."""
_THUMB = (32, 18)


class Adaptive:
    """scenedetect's AdaptiveDetector on frames 192 wide.

    threshold: how many times more a cut changes than the frames around it. min_content: least change of a cut, mean
    over hue, saturation and value, 0-255. min_shot_s: shortest distance of two cuts, seconds.
    """

    BACKEND = "PySceneDetect 0.7.2 (adaptive)"
    LICENCE = "BSD-3-Clause"
    PIXELS = "bgr24"

    def __init__(self, threshold: float = 3.0, min_content: float = 15.0, min_shot_s: float = 0.6) -> None:
        self.threshold, self.min_content, self.min_shot_s = threshold, min_content, min_shot_s

    def digest(self) -> str:
        """The package's version and the thresholds."""
        version = importlib.metadata.version("scenedetect-headless")
        flashes = f"flash {_FLASH} {_BACK}"
        return f"scenedetect=={version} adaptive {self.threshold} {self.min_content} {self.min_shot_s} {flashes}"

    def size(self, shown: tuple[int, int]) -> tuple[int, int]:
        """192 wide in the source's own shape."""
        return grid.fit_inside(shown, (WIDTH, 4 * WIDTH))

    def transitions(self, frames: Iterable[np.ndarray], fps: Fraction) -> list[Transition]:
        """Hard cuts, each as (n, n)."""
        from scenedetect import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        apart = max(1, round(self.min_shot_s * float(fps)))
        detector = AdaptiveDetector(self.threshold, apart, min_content_val=self.min_content)
        seen: deque[np.ndarray] = deque(maxlen=3 * _FLASH)
        cuts: list[int] = []
        maybe: list[int] = []
        number = -1
        for number, frame in enumerate(frames):
            seen.append(_thumb(frame))
            maybe += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, float(fps)), frame)]
            while maybe and number >= maybe[0] + _FLASH:
                cuts += [maybe[0]] if not _is_flash(seen, number + 1 - maybe[0]) else []
                del maybe[0]
        cuts += [cut for cut in maybe if not _is_flash(seen, number + 1 - cut)]
        return [(cut, cut) for cut in sorted(set(cuts))]


def _thumb(frame: np.ndarray) -> np.ndarray:
    """A grey 32 x 18 picture of a frame, float32."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32)


def _is_flash(seen: deque[np.ndarray], ago: int) -> bool:
    """Whether the change `ago` frames before the end of `seen` undoes itself in the frames after it."""
    recent = list(seen)[-ago - 1 :]
    before, jumped, after = recent[0], recent[1], recent[2:]
    jump = np.abs(jumped - before).mean()
    return any(np.abs(frame - before).mean() < _BACK * jump for frame in after)
