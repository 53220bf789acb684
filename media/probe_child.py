"""The probing child: opens files with PyAV and prints what each holds as one line of JSON. Asked by `media.probe`.

It decodes one frame of each track and reads packets near both ends: enough to know the origin of the frame grid, the
real frame rate and whether the file ends where it says.
"""

import contextlib
import itertools
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import av

from manifests.errors import MediaError
from media import grid, tracks
from media.allowed import DEMUXERS, MAX_PIXELS, PROTOCOLS
from media.clock import sound_clock
from media.probe_colours import colour_row

_HEAD_PACKETS = 120
_TAIL_SHARE = 0.03
_VAGUE = frozenset({"asf", "flv", "avi"})
_UNSAID = frozenset({"mpegts", "mpeg"})
_SOUND_BLOCKS = 32
_MAX_ASPECT = 4
_MAX_TRIES = 500


def main() -> None:
    """Answer each line {"path", "order"} with {"container", "video", "audio", "audio_tracks"} or {"error"}."""
    av.logging.set_level(av.logging.PANIC)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_answer(asked["path"], asked["order"])), flush=True)


def _answer(path: str, order: list[str]) -> dict[str, Any]:
    try:
        return look(path, order)
    except MediaError as error:
        return {"error": [error.code, error.message]}
    except (av.error.FFmpegError, ValueError, LookupError, ArithmeticError, EOFError) as error:
        return {"error": ["media:unreadable", f"{type(error).__name__}: {getattr(error, 'strerror', error)}"]}


def look(path: str, audio_order: list[str]) -> dict[str, Any]:
    """Open, choose the tracks, decode the first frame of each, check the end."""
    options = {"protocol_whitelist": PROTOCOLS, "format_whitelist": DEMUXERS}
    with av.open("file:" + path, options=options, metadata_errors="replace") as file:
        video, sounds = _best_video(file), tracks.ordered(_audio_tracks(file), audio_order)
        if video is None and not sounds:
            raise MediaError("media:unreadable", "no audio or video track could be read")
        if video is None:
            raise MediaError("media:no_video", f"audio only ({file.format.name})")
        _check_size(video.codec_context)
        streams = {stream.index: stream for stream in file.streams.audio}
        frame, steps, blocks = _heads(file, video, [streams[track.index] for track in sounds])
        audio = next((streams[track.index] for track in sounds if blocks[track.index]), None)
        start_s = _seconds(frame.pts if frame.pts is not None else video.start_time, frame.time_base)
        fps = grid.choose_rate(video.average_rate, video.base_rate, statistics.median(steps) if steps else None)
        promised_s, own = _promised_end(file, video)
        ends = {} if promised_s is None else _ends(file, [track for track in (video, audio) if track], promised_s)
        if promised_s is not None:
            _check_end(file, video, start_s, ends, promised_s, own)
        end_s = ends.get(video.index, start_s if promised_s is None else promised_s)
        return {
            "container": file.format.name,
            "video": _video_row(video, frame, start_s, end_s, fps),
            "audio": _sound_row(file, audio, blocks[audio.index]) if audio else None,
            "audio_tracks": [asdict(track) for track in sounds],
        }


def _check_size(decoder: Any) -> None:
    """Raise MediaError media:too_large; and let the decoder refuse frames that turn out larger than was said."""
    if decoder is None:
        raise MediaError("media:unreadable", "the video track is in no codec that is known")
    if decoder.width * decoder.height > MAX_PIXELS:
        raise MediaError("media:too_large", f"{decoder.width}x{decoder.height} pixels are over {MAX_PIXELS}")
    decoder.options = {"max_pixels": str(MAX_PIXELS)}


def _best_video(file: Any) -> Any:
    best = file.streams.best("video")
    tracks = [track for track in file.streams.video if not track.disposition & av.stream.Disposition.attached_pic]
    return best if best in tracks else next(iter(tracks), None)


def _audio_tracks(file: Any) -> list[tracks.Track]:
    return [
        tracks.Track(
            index=stream.index,
            codec=stream.codec_context.name,
            rate=stream.codec_context.rate or 0,
            channels=stream.codec_context.channels,
            layout=stream.codec_context.layout.name,
            language=stream.language or "",
            disposition=tuple(sorted(str(flag.name) for flag in av.stream.Disposition if flag & stream.disposition)),
        )
        for stream in file.streams.audio
        if stream.codec_context is not None
    ]


def _heads(file: Any, video: Any, audios: Sequence[Any]) -> tuple[Any, list[float], dict[int, list[Any]]]:
    """The first frame that decodes, the times between the first frames in display order (s), the first blocks of sound
    of each track by its index.

    One pass from the start: in some containers a seek back to it skips the sound before the first key frame.
    """
    first, tries = None, [0, 0]
    stamps: list[int] = []
    blocks: dict[int, list[Any]] = {audio.index: [] for audio in audios}
    for packet in file.demux([video, *audios]):
        of_video = packet.stream_index == video.index
        tries[of_video] += 1
        heard = blocks.get(packet.stream_index)  # FLV and MPEG streams can grow tracks on the way
        if heard is not None and len(heard) < _SOUND_BLOCKS:
            heard += _decode(packet)
        if of_video and packet.pts is not None:
            stamps.append(packet.pts)
        if of_video and first is None:
            first = next(iter(_decode(packet)), None)
        seen = len(stamps) >= _HEAD_PACKETS or tries[True] >= _MAX_TRIES
        enough = tries[False] >= _MAX_TRIES or any(len(found) >= _SOUND_BLOCKS for found in blocks.values())
        if seen and (enough or not audios or first is None):
            break
    if first is None:
        raise MediaError("media:unreadable", f"no frame of the {video.codec_context.name} track decodes")
    # The last stamps may miss frames that are stored later but shown earlier.
    shown = sorted(set(stamps[:_HEAD_PACKETS]))[: max(2, min(len(stamps), _HEAD_PACKETS) - 8)]
    return first, [float((b - a) * video.time_base) for a, b in itertools.pairwise(shown)], blocks


def _sound_row(file: Any, audio: Any, blocks: list[Any]) -> dict[str, Any]:
    first = blocks[0]
    same = [b for b in blocks if b.pts is not None and b.sample_rate == first.sample_rate]
    paged = file.format.name == "ogg" and audio.codec_context.name == "vorbis"
    anchor_s, step, slack_s = sound_clock(
        [(b.pts, b.samples) for b in same], Fraction(first.time_base), first.sample_rate, paged
    )
    return {
        "index": audio.index,
        "codec": audio.codec_context.name,
        "rate": first.sample_rate,
        "channels": first.layout.nb_channels,
        "start_s": _seconds(first.pts if first.pts is not None else audio.start_time, first.time_base),
        "duration_s": _seconds(audio.duration, audio.time_base),
        "anchor_s": anchor_s,
        "step": 0 if audio.codec_context.name == "vorbis" else step,  # its blocks grow shorter where sounds begin
        "slack_s": slack_s,
    }


def _decode(packet: Any) -> list[Any]:
    """Frames of a packet; a damaged packet has none. Whether enough of a file decodes is known when it is decoded."""
    try:
        return list(packet.decode())
    except av.error.FFmpegError:
        return []


def _ends(file: Any, tracks: list[Any], promised_s: float) -> dict[int, float]:
    """Where the packets of each track end, in seconds of the file's clock, read from near the promised end on.

    A seek may end nowhere (FLV): then from farther back. The part before damage counts.
    """
    start_s = (file.start_time or 0) / av.time_base
    ends: dict[int, float] = {}
    for share in (1 - _TAIL_SHARE, 0.7, 0.0):
        with contextlib.suppress(av.error.FFmpegError):
            file.seek(int((start_s + (promised_s - start_s) * share) * av.time_base), backward=True)
            for packet in file.demux(tracks):
                if packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        if tracks[0].index in ends:
            break
    return ends


def _promised_end(file: Any, video: Any) -> tuple[float | None, bool]:
    """When the container says that its video ends (s, file's clock), and whether it says so of the video itself.

    MPEG streams say no length: what is given is read off the last packets, of whichever track is longer.
    """
    if video.duration and file.format.name not in _UNSAID:
        return _seconds((video.start_time or 0) + video.duration, video.time_base), True
    stamp = next((v for k, v in video.metadata.items() if k.upper().startswith("DURATION")), "")
    hours, _, rest = stamp.partition(":")
    minutes, _, seconds = rest.partition(":")
    if seconds:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds), True
    if not file.duration:
        return None, False
    # Matroska counts its duration from 0, the others from their first packet.
    start = 0 if "matroska" in file.format.name else file.start_time or 0
    return (start + file.duration) / av.time_base, False


def _check_end(file: Any, video: Any, start_s: float, ends: dict[int, float], promised_s: float, own: bool) -> None:
    """Raise MediaError media:truncated when the file ends well before it says.

    An index of samples (MP4) says it exactly. Times say it roughly: the last frame may be held, and ASF, FLV and AVI
    count a late sound or their own buffer into their length.
    """
    last = video.index_entries[-1] if "mov" in file.format.name and len(video.index_entries) else None
    found_s = ends.get(video.index, start_s) if own else max(ends.values(), default=start_s)
    promised, missing = promised_s - start_s, promised_s - found_s
    share, least_s = (0.1, 2.0) if last or _VAGUE & set(file.format.name.split(",")) else (0.05, 1.0)
    if (last and last.pos + last.size > file.size) or (missing > share * promised and missing > least_s):
        where = f"ends after {found_s - start_s:.2f} s" if found_s > start_s else "holds no packet near its end"
        raise MediaError("media:truncated", f"promises {promised:.2f} s but {where}")


def _video_row(video: Any, frame: Any, start_s: float, end_s: float, fps: Fraction) -> dict[str, Any]:
    facts = colour_row(video, frame)
    turned = "clock" in facts["turn"]
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
        "stored_width": frame.height if turned else frame.width,
        "stored_height": frame.width if turned else frame.height,
        **facts,
    }


def _aspect(video: Any) -> Fraction:
    """Width of a pixel over its height; nonsense counts as square."""
    ratio = video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio
    sane = ratio and Fraction(1, _MAX_ASPECT) <= ratio <= _MAX_ASPECT
    return Fraction(ratio) if sane else Fraction(1)


def _seconds(stamp: int | None, base: Fraction | None) -> float:
    return float((stamp or 0) * (base or 0))


if __name__ == "__main__":
    main()
