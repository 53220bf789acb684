"""From the MP4 of a triplet to what the codecs take: 24 fps RGB of one size, and mono sound at 44,100 Hz."""

import os
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from manifests.errors import MediaError
from media.clip import Clip
from media.render import render_views
from media.scratch import Scratch
from media.views import AudioView, VideoView

FPS, RATE, GROUP = 24, 44_100, 8
_CHANNELS = 2
_PICTURES = 2 * GROUP - 7
"""Frames of the shortest sample: frame 0 and one group of 8."""


@dataclass(frozen=True)
class Media:
    """frames: uint8 (8k + 1, H, W, 3) RGB at 24 fps. samples: float32 (n,), n = round(44,100 (8k + 1) / 24)."""

    frames: np.ndarray
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        """Length of the encoded range."""
        return len(self.frames) / FPS


def usable_frames(duration_s: float, max_s: float) -> int:
    """The largest 8k + 1 frames at 24 fps within both durations; 0 when not even 9 fit (under 0.375 s)."""
    frames = int(min(duration_s, max_s) * FPS + 1e-6)
    count = frames - (frames - 1) % GROUP
    return count if count >= _PICTURES else 0


def decode(mp4: bytes, described: dict[str, Any], size: tuple[int, int], max_s: float) -> Media:
    """Decode the start of a triplet's MP4 in a guarded child; described: its JSON.

    Frames are the nearest in time to i / 24 s, scaled to cover `size` (width, height) and cut to its centre; sound is
    the mean of the channels, untouched otherwise. Raises MediaError `media:too_short` under 9 frames, and as
    `media.render.render_views`.
    """
    count = usable_frames(described["duration_s"], max_s)
    if not count:
        raise MediaError("media:too_short", f"{described['duration_s']:.3f} s is under 9 frames at {FPS} fps")
    video = VideoView("codec", fps=FPS, box=size, fit="crop", pixels="rgb24")
    audio = AudioView("codec", rate=RATE, channels=1)
    with Scratch(mp4) as file:
        path = f"/proc/{os.getpid()}/fd/{file.fd}"  # the child of render_views does not inherit this descriptor
        with render_views(_range(path, described, count), [video, audio]) as views:
            return Media(np.array(views[video][:count]), np.array(views[audio][: round(count * RATE / FPS)]))


def _range(path: str, described: dict[str, Any], count: int) -> Clip:
    """The part of the file to decode: just enough of its frames for `count` at 24 fps."""
    fps = Fraction(described["fps"]).limit_denominator(1001)
    return Clip(
        clip_id=bytes.fromhex(described["clip_id"]),
        source_id=bytes.fromhex(described["source_id"]),
        path=path,
        start_frame=0,
        frames=min(described["frames"], ceil(count * fps / FPS) + 1),
        fps=fps,
        width=described["width"],
        height=described["height"],
        audio_rate=RATE,
        audio_channels=_CHANNELS,
    )
