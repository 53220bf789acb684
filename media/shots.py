"""Where a source's shots begin and end: PySceneDetect's adaptive detector on frames from our own guarded child.

The detector never opens the file: OpenCV's readers know no allow-list. It sees small frames of the source's
constant-rate grid, one at a time, so memory does not grow with length; and because that decodes the whole source, it
also tells how much of it there really is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from manifests.errors import MediaError
from media import cut, ffmpeg, grid
from media.child import Child, Limits
from media.clip import clip_from_probe
from media.probe import Probe

WIDTH = 192
_MIN_SHARE = 0.95
_SLACK_S = 2


@dataclass(frozen=True)
class Shots:
    """ranges: [start, end) grid frames of each shot, in order, together covering [0, frames_decoded)."""

    ranges: tuple[tuple[int, int], ...]
    frames_decoded: int


def detect_shots(
    path: Path,
    found: Probe,
    *,
    threshold: float = 3.0,
    min_content: float = 15.0,
    min_shot_s: float = 0.6,
    timeout_s: float = 1800.0,
    max_rss: int = 3 << 30,
) -> Shots:
    """Decode the whole source on its grid and find its shots (scenedetect 0.7.2 AdaptiveDetector).

    threshold: how many times more a cut changes than the frames around it. min_content: least change of a cut, mean
    over hue, saturation and value, 0-255. min_shot_s: shortest distance of two cuts, seconds.
    Raises MediaError: media:truncated when less than 95% of the promised frames decode, and as `media.ffmpeg.run`.
    """
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    fps = float(found.video.fps)
    detector = AdaptiveDetector(threshold, max(1, round(min_shot_s * fps)), min_content_val=min_content)
    cuts: list[int] = []
    total = 0
    for frame in small_frames(path, found, timeout_s=timeout_s, max_rss=max_rss):
        cuts += [at.frame_num for at in detector.process_frame(FrameTimecode(total, fps), frame)]
        total += 1
    check_decoded(path, found, total)
    edges = [0, *sorted(set(cuts) - {0, total}), total]
    return Shots(ranges=tuple(pairwise(edges)), frames_decoded=total)


def check_decoded(path: Path, found: Probe, frames: int) -> None:
    """Raise MediaError media:truncated when `frames` are fewer than 95% of what the probe was promised."""
    if frames < max(1, _MIN_SHARE * found.video.frames - 1):
        raise MediaError(
            "media:truncated", f"{path.name} promises {found.video.frames} frames but only {frames} decode"
        )


def small_frames(path: Path, found: Probe, *, timeout_s: float, max_rss: int) -> Iterator[np.ndarray]:
    """Every grid frame of a source, BGR uint8 of shape (H, W, 3), W = 192 or less. Streamed. Raises MediaError."""
    video = found.video
    width, height = grid.fit_inside((video.width, video.height), (WIDTH, 4 * WIDTH))
    # A file may hold a little more than it promises; a timestamp hours ahead must not make hours of repeated frames.
    most = video.frames + int(_SLACK_S * video.fps) + 1
    clip = clip_from_probe(path, found, 0, most, clip_id=bytes(16), source_id=bytes(16))
    frames = cut.on_grid(cut.open_range(clip)[0], clip).filter("scale", width, height, flags="area")
    node = frames.output("pipe:1", f="rawvideo", pix_fmt="bgr24", fps_mode="passthrough")
    with Child(
        ffmpeg.compile_argv(node), Limits(timeout_s, max_rss), failed="media:ffmpeg_failed", piped=True
    ) as child:
        while (data := _read(child.stdout, width * height * 3)) is not None:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
        try:
            child.finish()
        except MediaError as error:
            raise ffmpeg.explain(error) from None


def _read(pipe: IO[bytes], size: int) -> Any:
    data = pipe.read(size)
    return data if len(data) == size else None


def seconds(shots: Shots, fps: Fraction) -> list[tuple[float, float]]:
    """The shots in seconds from the grid's origin."""
    return [(float(start / fps), float(end / fps)) for start, end in shots.ranges]
