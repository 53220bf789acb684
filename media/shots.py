"""Where a source's shots begin and end: a detector looks at frames that our own guarded child decodes.

No detector opens the file: readers of their own know no allow-list. It sees small frames of the source's
constant-rate grid, one at a time, so memory does not grow with length; and because that decodes the whole source, it
also tells how much of it there really is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from manifests.errors import MediaError
from media import cut, ffmpeg, patience, picture
from media.child import Child, Limits
from media.clip import clip_from_probe
from media.detect import Detector, Transition
from media.detect.adaptive import Adaptive
from media.probe import Probe

_MIN_SHARE = 0.95
_MORE = 4
"""Frames by which a container may promise too much: MPEG streams only guess the times of their last ones."""
_SLACK_S = 2


@dataclass(frozen=True)
class Shots:
    """ranges: [start, end) grid frames of each shot, in order, within [0, frames_decoded). Frames of a gradual
    transition belong to none."""

    ranges: tuple[tuple[int, int], ...]
    frames_decoded: int


def detect_shots(
    path: Path,
    found: Probe,
    detector: Detector | None = None,
    *,
    decoder: str = "cpu",
    see: Callable[[np.ndarray], None] | None = None,
    timeout_s: float | None = None,
    max_rss: int = 3 << 30,
) -> Shots:
    """Decode the whole source on its grid and find its shots. detector: by default PySceneDetect's adaptive one.

    decoder: `cpu` or `cuda`. see: called with every small frame, uint8 (H, W, 3), for whoever else wants to know.
    timeout_s: of decoding and detecting together; by default as `media.patience` has it.
    Raises MediaError: media:truncated when less than 95% of the promised frames decode, and as `media.ffmpeg.run`.
    """
    detector = detector or Adaptive()
    total = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal total
        limit = timeout_s or default_timeout(found)
        for frame in small_frames(path, found, detector, decoder=decoder, timeout_s=limit, max_rss=max_rss):
            total += 1
            if see:
                see(frame)
            yield frame

    transitions = detector.transitions(counted(), found.video.fps)
    check_decoded(path, found, total)
    return Shots(ranges=between(transitions, total), frames_decoded=total)


def default_timeout(found: Probe) -> float:
    """Seconds that a look at a whole source may take."""
    video = found.video
    pixels = video.frames * video.stored_width * video.stored_height
    return patience.looking_s(float(video.frames / video.fps), pixels)


def between(transitions: list[Transition], total: int) -> tuple[tuple[int, int], ...]:
    """The ranges of [0, total) that no transition touches, without empty ones."""
    starts = [0, *(after for _, after in transitions)]
    ends = [*(first for first, _ in transitions), total]
    return tuple((start, end) for start, end in zip(starts, ends) if start < end)


def check_decoded(path: Path, found: Probe, frames: int) -> None:
    """Raise MediaError media:truncated when `frames` are fewer than 95% of what the probe was promised, less four."""
    if frames < max(1, _MIN_SHARE * found.video.frames - _MORE):
        raise MediaError(
            "media:truncated", f"{path.name} promises {found.video.frames} frames but only {frames} decode"
        )


def small_frames(
    path: Path, found: Probe, detector: Detector, *, decoder: str = "cpu", timeout_s: float, max_rss: int
) -> Iterator[np.ndarray]:
    """Every grid frame of a source, uint8 (H, W, 3), in the size and pixels of the detector. Streamed. MediaError."""
    video = found.video
    width, height = detector.size((video.width, video.height))
    # A file may hold a little more than it promises; a timestamp hours ahead must not make hours of repeated frames.
    most = video.frames + int(_SLACK_S * video.fps) + 1
    clip = clip_from_probe(path, found, 0, most, clip_id=bytes(16), source_id=bytes(16))
    clip = replace(clip, decoder=decoder)
    frames = cut.on_grid(cut.open_range(clip)[0], clip)
    frames = picture.scaled(frames, clip.look, (width, height), detector.PIXELS, flags="area")
    node = frames.output("pipe:1", f="rawvideo", fps_mode="passthrough")
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
