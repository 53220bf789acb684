"""What a source holds: container, video, audio. Read in a child process, so that a hostile file costs one source."""

import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from manifests.errors import MediaError
from media import colours, magic, tracks
from media.child import Limits
from media.look import Look
from media.tracks import Track
from media.warm import Warm

_LEAST_BYTES_A_SECOND = 16
_EXACT = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})  # MPEG-2, MPEG-4 and JPEG leave rounding to the decoder


@dataclass(frozen=True)
class VideoTrack:
    """The video stream that klear uses: the best one that is not an attached picture.

    index: stream index in the file. width, height: display size in pixels, after rotation and sample aspect ratio.
    fps: rate of the constant-rate grid. frames: grid frames that the container promises (decoding tells the truth).
    start_s: time of the first decoded frame on the file's own clock, the origin of the grid. rotation: degrees.
    stored_width, stored_height: upright, before its pixels are made square. bits: of its deepest component.
    matrix, transfer, primaries, colour_range: as tagged, named as in `media.colours`. alpha: as in `media.look`.
    turn: how it becomes upright, as in `media.look`.
    field_order: `progressive`, `interlaced`, or `tt`, `bb`, `tb`, `bt`, as flagged (the last two either way round).
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
    stored_width: int
    stored_height: int
    bits: int = 8
    matrix: str = colours.UNKNOWN
    transfer: str = colours.UNKNOWN
    primaries: str = colours.UNKNOWN
    colour_range: str = colours.UNKNOWN
    field_order: str = "progressive"
    alpha: str = ""
    turn: str = ""

    @property
    def look(self) -> Look:
        """How its pictures are to be understood, by its tags and flags alone."""
        size = (self.stored_width, self.stored_height)
        size = size[::-1] if "clock" in self.turn else size
        look = colours.look_of(self.matrix, self.transfer, self.primaries, self.colour_range, size)
        field = "" if self.field_order == "progressive" else "auto"
        pixels = colours.working(self.pix_fmt, self.bits, self.matrix, self.alpha)
        exact = "yes" if self.codec in _EXACT and not self.alpha else ""
        return replace(look, pixels=pixels, turn=self.turn, field=field, alpha=self.alpha, exact=exact)


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
    """What one file holds. container: demuxer name; duration_s: of the video grid, seconds; size: bytes.

    audio: the chosen track. audio_tracks: all of them, as the container describes them, most wanted first.
    """

    container: str
    duration_s: float
    size: int
    video: VideoTrack
    audio: AudioTrack | None
    audio_tracks: tuple[Track, ...] = ()


INELIGIBLE = frozenset({"media:no_video", "media:no_audio", "media:not_media"})
"""Codes of readable files that are not audio-video; every other code means that a file should have worked."""


def probe(
    path: Path,
    timeout_s: float = 30.0,
    max_rss: int = 1 << 30,
    need_audio: bool = True,
    audio_order: Sequence[str] = tracks.DEFAULT_ORDER,
) -> Probe:
    """Probe one file in this process's probing child (0.3 s for the first file, then about 20 ms).

    audio_order: which track is its sound (`media.tracks`).

    Raises ConfigError for a wrong audio_order, else MediaError.
    Ineligible: media:no_video, media:no_audio (unless `need_audio` is false), media:not_media.
    To quarantine: media:missing, media:empty, media:unreadable (damaged), media:truncated (ends before it promises),
    media:timestamps (they jump), media:too_large (a picture over `media.allowed.MAX_PIXELS`), media:colours (coded in a
    way that cannot be shown rightly), media:timeout, media:memory, media:crash.
    """
    return understood(path, ask(path, timeout_s, max_rss, audio_order), need_audio)


def ask(
    path: Path, timeout_s: float = 30.0, max_rss: int = 1 << 30, audio_order: Sequence[str] = tracks.DEFAULT_ORDER
) -> str:
    """What the probing child says of a file, as JSON, to be kept for `understood`. Raises as `probe`, but for what the
    answer itself says."""
    magic.check_file(path)
    tracks.check_order(audio_order)
    question = json.dumps({"path": str(path.absolute()), "order": list(audio_order)})
    return _prober().ask(question, Limits(timeout_s, max_rss)).rstrip("\n")


def understood(path: Path, answer: str, need_audio: bool = True) -> Probe:
    """The probe of a file from an answer of `ask`, without opening it again. Raises MediaError as `probe`."""
    found = json.loads(answer)
    if "error" in found:
        code, message = found["error"]
        if code == "media:unreadable" and not magic.claims_media(path):
            code = "media:not_media"
        raise MediaError(code, f"{path.name}: {message}")
    video, audio = found["video"], found["audio"]
    if audio is None and need_audio:
        raise MediaError("media:no_audio", f"{path.name} has video but no audio track")
    track = VideoTrack(**{**video, "fps": Fraction(video["fps"])})
    _check_colours(path, track)
    _check_pace(path, track)
    return Probe(
        container=found["container"],
        duration_s=float(track.frames / track.fps),
        size=path.stat().st_size,
        video=track,
        audio=AudioTrack(**audio) if audio else None,
        audio_tracks=tuple(Track(**{**t, "disposition": tuple(t["disposition"])}) for t in found["audio_tracks"]),
    )


def _check_pace(path: Path, track: VideoTrack) -> None:
    """Raise MediaError media:timestamps for a file too small for its length: a damaged timestamp hours ahead would be
    rendered as hours of one frame. Sound alone, at its poorest, is 100 bytes a second."""
    size, seconds = path.stat().st_size, float(track.frames / track.fps)
    if size < _LEAST_BYTES_A_SECOND * seconds:
        raise MediaError("media:timestamps", f"{path.name}: {size} bytes cannot last {seconds:.0f} s")


def _check_colours(path: Path, track: VideoTrack) -> None:
    try:
        str(track.look)
    except ValueError as error:
        raise MediaError("media:colours", f"{path.name}: {error}") from None


@functools.cache
def _prober() -> Warm:
    """This process's probing child: it reads what nobody vouches for, so it is guarded, and replaced now and then."""
    return Warm([sys.executable, "-P", "-m", "media.probe_child"])
