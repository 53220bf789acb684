"""Views: decoded forms of a clip's media. A stage names the views it needs; one ffmpeg child renders them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class AudioView:
    """Float32 samples in [-1, 1], shape (n,) when `channels` is 1, else (n, channels).

    rate: Hz, None for the source's own. channels: 1 for the mean of the channels, None for the source's own.
    """

    name: str
    rate: int | None = None
    channels: int | None = None


@dataclass(frozen=True)
class VideoView:
    """Uint8 frames, shape (T, H, W) for `gray`, (T, H, W, 3) for `rgb24`.

    fps: frames per second (nearest source frame), None for the clip's own.
    box: (width, height) that the frame is scaled to, keeping its shape; None for full size.
    fit: "inside" for a frame that fits inside the box, "cover" for the smallest that covers it, "shrink" for the
    same but never larger than the frame, "crop" for exactly the box, cut out of the middle of one that covers it,
    "stretch" for exactly the box, whatever the frame's shape (bilinear, as torchvision's Resize).
    fragments: (count, px): instead of a box, the frame at full size is cut into count x count cells, and the middle of
    each, px x px, is kept; put together they are count * px square. A smaller frame is first scaled up to cover that.
    max_frames: keep at most this many, evenly spread over the clip; full-size views must set it (<= 16), or:
    stretches: (count, seconds): keep the first and the last frame of so many stretches of so many seconds, evenly from
    the start of the clip to its end (`grid.stretches`), each frame once.
    """

    name: str
    fps: int | None = None
    box: tuple[int, int] | None = None
    fit: Literal["inside", "cover", "shrink", "crop", "stretch"] = "inside"
    pixels: str = "gray"
    max_frames: int | None = None
    stretches: tuple[int, int] | None = None
    fragments: tuple[int, int] | None = None


View = AudioView | VideoView

AUDIO_16K = AudioView("audio_16k", rate=16_000, channels=1)
AUDIO_NATIVE = AudioView("audio_native")
LUMA_25 = VideoView("luma_25", fps=25, box=(256, 144))
FRAMES = VideoView("frames", pixels="rgb24", max_frames=8)
FACES_25 = VideoView("faces_25", fps=25, box=(640, 360), pixels="rgb24")
"""0.69 MB a frame, 173 MB for 10 s: as large as lips must be seen."""


@dataclass(frozen=True)
class Views:
    """The rendered views of one clip: read-only arrays by view, with the audio rates (Hz) and frame times (s)."""

    arrays: Mapping[View, np.ndarray]
    rates: Mapping[View, int] = field(default_factory=dict)
    times: Mapping[View, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, view: View) -> np.ndarray:
        """The array of `view`; raises KeyError when it was not asked for."""
        return self.arrays[view]
