"""A clip: one single-shot range of a source, on the frame grid of its constant-rate rendering."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Clip:
    """A range of a source file. Frame i of the clip shows the source at `start_s + i / fps`; sample 0 is at `start_s`.

    path: local path of the source (never shown to a shell).
    start_frame, frames: the range on the source's constant-rate grid, in frames of `fps`.
    width, height: display size in pixels, after rotation, of the source.
    audio_rate, audio_channels: of the source's chosen audio track, in Hz and channels.
    """

    clip_id: bytes
    source_id: bytes
    path: str
    start_frame: int
    frames: int
    fps: Fraction
    width: int
    height: int
    audio_rate: int
    audio_channels: int

    @property
    def start_s(self) -> float:
        """Start in the source, in seconds of presentation time counted from the source's first video frame grid."""
        return float(self.start_frame / self.fps)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.frames / self.fps)
