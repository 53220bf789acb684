"""PySceneDetect's adaptive detector: a frame that changes several times as much as its neighbours starts a shot.

Finds hard cuts; a dissolve or a fade changes a little on every frame and stays inside a shot.
"""

import importlib.metadata
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from media import grid
from media.detect import Transition

WIDTH = 192


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
        return f"scenedetect=={version} adaptive {self.threshold} {self.min_content} {self.min_shot_s}"

    def size(self, shown: tuple[int, int]) -> tuple[int, int]:
        """192 wide in the source's own shape."""
        return grid.fit_inside(shown, (WIDTH, 4 * WIDTH))

    def transitions(self, frames: Iterable[np.ndarray], fps: Fraction) -> list[Transition]:
        """Hard cuts, each as (n, n)."""
        from scenedetect import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        apart = max(1, round(self.min_shot_s * float(fps)))
        detector = AdaptiveDetector(self.threshold, apart, min_content_val=self.min_content)
        cuts = [
            cut.frame_num
            for number, frame in enumerate(frames)
            for cut in detector.process_frame(FrameTimecode(number, float(fps)), frame)
        ]
        return [(cut, cut) for cut in sorted(set(cuts))]
