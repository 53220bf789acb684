"""ffmpeg as klear runs it: graphs from ffmpeg-python, the packaged binary, allow-lists, a guarded child.

The protocol list alone lets a playlist open other files, so demuxers are listed too: never hls, dash, concat, image2.
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from manifests.errors import MediaError
from media import child
from media.child import Limits

PROTOCOLS = "file,pipe"
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,mxf,ogg,"
    "flac,wav,w64,mp3,aac,ac3,eac3,aiff,caf,au,amr,wv"
)
"""ffmpeg's own demuxer names; a file that only another demuxer would open is refused."""

_GLOBAL = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y")
_TOO_MANY_ERRORS = 69
"""ffmpeg's exit status when more than `-max_error_rate` of the frames could not be decoded."""


@functools.cache
def binary() -> str:
    """Path of the ffmpeg that the imageio-ffmpeg package carries."""
    return imageio_ffmpeg.get_ffmpeg_exe()


def file_url(path: str | Path) -> str:
    """`path` as an ffmpeg file URL, so that a leading dash, a colon or a percent sign in a name means nothing."""
    return "file:" + os.fspath(path)


def source(path: str | Path, **options: Any) -> Any:
    """An ffmpeg-python input for an untrusted file: allow-lists on, one decoding thread."""
    guards = {"protocol_whitelist": PROTOCOLS, "format_whitelist": DEMUXERS, "threads": 1}
    return ffmpeg.input(file_url(path), **guards, **options)


def compile_argv(*outputs: Any) -> list[str]:
    """The argument list of one ffmpeg process that writes all `outputs` (ffmpeg-python output nodes)."""
    argv: list[str] = ffmpeg.merge_outputs(*outputs).compile(cmd=binary())
    threads = ["-filter_threads", "1", "-filter_complex_threads", "1"]
    return [argv[0], *_GLOBAL, *threads, *argv[1:]]


def run(argv: list[str], limits: Limits, keep: Sequence[int] = ()) -> str:
    """Run a compiled ffmpeg that inherits the descriptors `keep`; returns the tail of its stderr, "" when all is well.

    Raises MediaError: media:ffmpeg_failed, media:decode_errors (too many undecodable frames), media:timeout,
    media:memory, media:too_big, media:crash; the message holds the tail of stderr.
    """
    try:
        return child.run(argv, limits, failed="media:ffmpeg_failed", keep=keep)
    except MediaError as error:
        raise explain(error) from None


def explain(error: MediaError) -> MediaError:
    """The same error, with ffmpeg's own exit status for undecodable input as `media:decode_errors`."""
    if error.code == "media:ffmpeg_failed" and f"ended with {_TOO_MANY_ERRORS}:" in error.message:
        return MediaError("media:decode_errors", error.message)
    return error
