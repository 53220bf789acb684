"""A clip: one single-shot range of a source, on the frame grid of its constant-rate rendering."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from media.look import ORDINARY, Look

if TYPE_CHECKING:
    from media.probe import Probe


@dataclass(frozen=True)
class Clip:
    """A range of a source file. Frame i of the clip shows the source at `start_s + i / fps`; sample 0 is at `start_s`.

    path: local path of the source (never shown to a shell).
    start_frame, frames: the range on the source's constant-rate grid, in frames of `fps`.
    width, height: size as shown, in square pixels, upright and without borders.
    audio_rate, audio_channels: of the source's chosen audio track, in Hz and channels.
    origin_s: where the grid's frame 0 lies on the file's own clock (`Probe.video.start_s`), in seconds.
    audio_anchor_s, audio_step, audio_slack_s: the clock of its sound (`AudioTrack`); step 0 when there is none.
    video_index, audio_index: the chosen streams of the file (from its probe); None for the first of the kind.
    look: how the stored picture becomes the shown one. decoder: `cpu`, or `cuda` to decode on a GPU what it can.
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
    origin_s: float = 0.0
    video_index: int | None = None
    audio_index: int | None = None
    audio_anchor_s: float = 0.0
    audio_step: int = 0
    audio_slack_s: float = 0.04
    look: Look = ORDINARY
    decoder: str = "cpu"

    @property
    def start(self) -> Fraction:
        """Time of frame 0 on the file's own clock, exactly, in seconds."""
        return Fraction(self.origin_s) + self.start_frame / self.fps

    @property
    def start_s(self) -> float:
        """Start in the source, in seconds of presentation time counted from the source's first video frame grid."""
        return float(self.start_frame / self.fps)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.frames / self.fps)


def clip_from_probe(
    path: Path, found: "Probe", start_frame: int, frames: int, *, clip_id: bytes, source_id: bytes
) -> Clip:
    """The clip of `frames` grid frames of a probed source, from grid frame `start_frame` on."""
    video, audio = found.video, found.audio
    return Clip(
        clip_id=clip_id,
        source_id=source_id,
        path=str(path),
        start_frame=start_frame,
        frames=frames,
        fps=video.fps,
        width=video.width,
        height=video.height,
        audio_rate=audio.rate if audio else 0,
        audio_channels=audio.channels if audio else 0,
        origin_s=video.start_s,
        video_index=video.index,
        audio_index=audio.index if audio else None,
        audio_anchor_s=audio.anchor_s if audio else 0.0,
        audio_step=audio.step if audio else 0,
        audio_slack_s=audio.slack_s if audio else 0.0,
        look=video.look,
    )
