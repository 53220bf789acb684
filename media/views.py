"""Views: decoded forms of a clip's media. A stage names the views it needs; one ffmpeg child renders them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    box: (width, height) that the frame is scaled to fit inside, keeping its shape; None for full size.
    crop: scale so that the frame covers `box`, then cut the centre to exactly `box`.
    max_frames: keep at most this many, evenly spread over the clip; full-size views must set it (<= 16).
    """

    name: str
    fps: int | None = None
    box: tuple[int, int] | None = None
    crop: bool = False
    pixels: str = "gray"
    max_frames: int | None = None


View = AudioView | VideoView

AUDIO_16K = AudioView("audio_16k", rate=16_000, channels=1)
AUDIO_NATIVE = AudioView("audio_native")
LUMA_25 = VideoView("luma_25", fps=25, box=(256, 144))
FRAMES = VideoView("frames", pixels="rgb24", max_frames=8)


@dataclass(frozen=True)
class Views:
    """The rendered views of one clip: read-only arrays by view, with the audio rates (Hz) and frame times (s)."""

    arrays: Mapping[View, np.ndarray]
    rates: Mapping[View, int] = field(default_factory=dict)
    times: Mapping[View, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, view: View) -> np.ndarray:
        """The array of `view`; raises KeyError when it was not asked for."""
        return self.arrays[view]
