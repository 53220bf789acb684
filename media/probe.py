"""What a source holds: container, video, audio. Read in a child process, so that a hostile file costs one source."""

import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from manifests.errors import MediaError
from media import magic
from media.child import Child, Limits
from media.ffmpeg import DEMUXERS

_MAX_ANSWER = 1 << 20


@dataclass(frozen=True)
class VideoTrack:
    """The video stream that klear uses: the best one that is not an attached picture.

    index: stream index in the file. width, height: display size in pixels, after rotation and sample aspect ratio.
    fps: rate of the constant-rate grid. frames: grid frames that the container promises (decoding tells the truth).
    start_s: time of the first decoded frame on the file's own clock, the origin of the grid. rotation: degrees.
    """

    index: int
    codec: str
    width: int
    height: int
    fps: Fraction
    frames: int
    start_s: float
    rotation: int
    pix_fmt: str


@dataclass(frozen=True)
class AudioTrack:
    """The audio stream that goes with the video. start_s: time of its first decoded sample on the file's own clock.

    anchor_s, step, slack_s: its blocks begin at anchor_s plus whole multiples of `step` samples, and their timestamps
    say so to within `slack_s` seconds. step is 0 when they do not.
    """

    index: int
    codec: str
    rate: int
    channels: int
    start_s: float
    duration_s: float
    anchor_s: float
    step: int
    slack_s: float


@dataclass(frozen=True)
class Probe:
    """What one file holds. container: demuxer name; duration_s: of the video grid, seconds; size: bytes."""

    container: str
    duration_s: float
    size: int
    video: VideoTrack
    audio: AudioTrack | None


INELIGIBLE = frozenset({"media:no_video", "media:no_audio", "media:not_media"})
"""Codes of readable files that are not audio-video; every other code means that a file should have worked."""


def probe(path: Path, timeout_s: float = 30.0, max_rss: int = 1 << 30, need_audio: bool = True) -> Probe:
    """Probe one file in a child of its own (about 0.2 s).

    Raises MediaError. Ineligible: media:no_video, media:no_audio (unless `need_audio` is false), media:not_media.
    To quarantine: media:missing, media:empty, media:unreadable (damaged), media:truncated (ends before it promises),
    media:timeout, media:memory, media:crash.
    """
    magic.check_file(path)
    found = _ask(path, Limits(timeout_s, max_rss, max_file=_MAX_ANSWER))
    if "error" in found:
        code, message = found["error"]
        if code == "media:unreadable" and not magic.claims_media(path):
            code = "media:not_media"
        raise MediaError(code, f"{path.name}: {message}")
    video, audio = found["video"], found["audio"]
    if audio is None and need_audio:
        raise MediaError("media:no_audio", f"{path.name} has video but no audio track")
    fps = Fraction(video.pop("fps"))
    return Probe(
        container=found["container"],
        duration_s=float(video["frames"] / fps),
        size=path.stat().st_size,
        video=VideoTrack(fps=fps, **video),
        audio=AudioTrack(**audio) if audio else None,
    )


def _ask(path: Path, limits: Limits) -> dict[str, Any]:
    argv = [sys.executable, "-P", "-m", "media.probe_child", str(path), DEMUXERS]
    with Child(argv, limits, failed="media:crash", piped=True) as child:
        answer = child.stdout.read(_MAX_ANSWER)
        child.finish()
    found: dict[str, Any] = json.loads(answer)
    return found
