"""The probing child: opens one file with PyAV and prints what it holds as one line of JSON. Run by `media.probe`.

It decodes one frame of each track and reads packets near both ends: enough to know the origin of the frame grid, the
real frame rate and whether the file ends where it says.
"""

import itertools
import json
import statistics
import sys
from fractions import Fraction
from typing import Any

import av

from manifests.errors import MediaError
from media import grid

_HEAD_PACKETS = 120
_TAIL_SHARE = 0.03
_MIN_SHARE = 0.95
_MAX_ASPECT = 4
_MAX_TRIES = 500


def main(path: str, demuxers: str) -> None:
    """Print {"container", "video", "audio"} or {"error": [code, message]}."""
    av.logging.set_level(av.logging.PANIC)
    try:
        found = look(path, demuxers)
    except MediaError as error:
        found = {"error": [error.code, error.message]}
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        found = {"error": ["media:unreadable", f"{type(error).__name__}: {getattr(error, 'strerror', error)}"]}
    print(json.dumps(found))


def look(path: str, demuxers: str) -> dict[str, Any]:
    """Open, choose the tracks, decode the first frame of each, check the end."""
    options = {"protocol_whitelist": "file,pipe", "format_whitelist": demuxers}
    with av.open("file:" + path, options=options, metadata_errors="replace") as file:
        video, audio = _best_video(file), file.streams.best("audio")
        if video is None and audio is None:
            raise MediaError("media:unreadable", "no audio or video track could be read")
        if video is None:
            raise MediaError("media:no_video", f"audio only ({file.format.name})")
        frame, steps = _first_frame(file, video)
        sound = _first_sound(file, audio) if audio else None
        end_s, video_end_s = _ends(file, video, audio)
        start_s = _seconds(frame.pts if frame.pts is not None else video.start_time, frame.time_base)
        fps = grid.choose_rate(video.average_rate, video.base_rate, statistics.median(steps) if steps else None)
        _check_end(file, end_s)
        return {
            "container": file.format.name,
            "video": _video_row(video, frame, start_s, _grid_end(video, video_end_s, start_s), fps),
            "audio": sound,
        }


def _best_video(file: Any) -> Any:
    best = file.streams.best("video")
    tracks = [track for track in file.streams.video if not track.disposition & av.stream.Disposition.attached_pic]
    return best if best in tracks else next(iter(tracks), None)


def _first_frame(file: Any, video: Any) -> tuple[Any, list[float]]:
    """The first frame that decodes, and the times between the first frames in display order, in seconds."""
    first, stamps = None, []
    for number, packet in enumerate(file.demux(video)):
        if packet.pts is not None:
            stamps.append(packet.pts)
        if first is None:
            first = next(iter(_decode(packet)), None)
        if (first is not None and len(stamps) >= _HEAD_PACKETS) or number >= _MAX_TRIES:
            break
    if first is None:
        raise MediaError("media:unreadable", f"no frame of the {video.codec_context.name} track decodes")
    # The last stamps may miss frames that are stored later but shown earlier.
    shown = sorted(set(stamps))[: max(2, len(stamps) - 8)]
    return first, [float((b - a) * video.time_base) for a, b in itertools.pairwise(shown)]


def _first_sound(file: Any, audio: Any) -> dict[str, Any] | None:
    _rewind(file)
    first = None
    for number, packet in enumerate(file.demux(audio)):
        first = next(iter(_decode(packet)), None)
        if first is not None or number >= _MAX_TRIES:
            break
    if first is None:
        return None
    pts = first.pts if first.pts is not None else audio.start_time
    return {
        "index": audio.index,
        "codec": audio.codec_context.name,
        "rate": first.sample_rate,
        "channels": first.layout.nb_channels,
        "start_s": _seconds(pts, first.time_base),
        "duration_s": _seconds(audio.duration, audio.time_base),
    }


def _decode(packet: Any) -> list[Any]:
    """Frames of a packet; a damaged packet has none. Whether enough of a file decodes is known when it is decoded."""
    try:
        return list(packet.decode())
    except av.error.FFmpegError:
        return []


def _ends(file: Any, video: Any, audio: Any) -> tuple[float | None, float | None]:
    """Where the last packets near the end of the file end, in seconds: of any track, and of the video."""
    tracks = [track for track in (video, audio) if track is not None]
    if not file.duration:
        return None, None
    _rewind(file, ((file.start_time or 0) + int(file.duration * (1 - _TAIL_SHARE))))
    ends: dict[int, float] = {}
    try:
        for packet in file.demux(tracks):
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
    except av.error.FFmpegError:
        pass  # the part before the damage counts
    return max(ends.values(), default=0.0), ends.get(video.index)


def _rewind(file: Any, to_us: int = 0) -> None:
    try:
        file.seek(to_us, backward=True)
    except av.error.FFmpegError:
        file.seek(file.start_time or 0, backward=True, any_frame=True)


def _check_end(file: Any, end_s: float | None) -> None:
    if not file.duration or end_s is None:
        return
    promised, found = file.duration / av.time_base, end_s - (file.start_time or 0) / av.time_base
    if found < _MIN_SHARE * promised and promised - found > 0.25:
        where = f"ends after {found:.2f} s" if found > 0 else "holds no packet near its end"
        raise MediaError("media:truncated", f"promises {promised:.2f} s but {where}")


def _grid_end(video: Any, video_end_s: float | None, start_s: float) -> float:
    """Where the video ends, in seconds of the file's clock: by its header and its last packet."""
    if video.duration:
        said = _seconds((video.start_time or 0) + video.duration, video.time_base)
        return max(said, video_end_s or said)  # MPEG streams leave out the last frame
    if video_end_s is not None:
        return video_end_s
    stamp = next((v for k, v in video.metadata.items() if k.upper().startswith("DURATION")), "")
    hours, _, rest = stamp.partition(":")
    minutes, _, seconds = rest.partition(":")
    return start_s + (int(hours) * 3600 + int(minutes) * 60 + float(seconds) if seconds else 0.0)


def _video_row(video: Any, frame: Any, start_s: float, end_s: float, fps: Fraction) -> dict[str, Any]:
    turned = round(frame.rotation) % 180 == 90
    width, height = frame.width * _aspect(video), Fraction(frame.height)
    width, height = (height, width) if turned else (width, height)
    return {
        "index": video.index,
        "codec": video.codec_context.name,
        "width": max(2, round(width / 2) * 2) if _aspect(video) != 1 else int(width),
        "height": max(2, round(height / 2) * 2) if _aspect(video) != 1 else int(height),
        "fps": str(fps),
        "frames": max(1, grid.count(Fraction(max(0.0, end_s - start_s)), fps)),
        "start_s": start_s,
        "rotation": round(frame.rotation) % 360,
        "pix_fmt": frame.format.name,
    }


def _aspect(video: Any) -> Fraction:
    """Width of a pixel over its height; nonsense counts as square."""
    ratio = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio
    sane = ratio and Fraction(1, _MAX_ASPECT) <= ratio <= _MAX_ASPECT
    return Fraction(ratio) if sane else Fraction(1)


def _seconds(stamp: int | None, base: Fraction | None) -> float:
    return float((stamp or 0) * (base or 0))


if __name__ == "__main__":
    main(*sys.argv[1:3])
