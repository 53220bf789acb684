"""ffmpeg as klear runs it: graphs from ffmpeg-python, the packaged binary, allow-lists, a guarded child."""

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from manifests.errors import MediaError
from media import child
from media.allowed import DEMUXERS, MAX_PIXELS, PROTOCOLS
from media.child import Limits

_GLOBAL = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-max_alloc", str(1 << 30))
_BYTES = range(0xDC80, 0xDD00)
_HIDDEN = 0x10_0000
"""Bytes of a name that are no UTF-8 (PEP 383) wait here, in a private plane, while ffmpeg-python hashes its graph."""
_CHANGES = "Changing audio frame properties on the fly"
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
    guards = {"protocol_whitelist": PROTOCOLS, "format_whitelist": DEMUXERS, "threads": 1, "max_pixels": MAX_PIXELS}
    url = file_url(path).translate({byte: _HIDDEN + byte for byte in _BYTES})
    return ffmpeg.input(url, **guards, **options)


def compile_argv(*outputs: Any) -> list[str]:
    """The argument list of one ffmpeg process that writes all `outputs` (ffmpeg-python output nodes)."""
    shown = {_HIDDEN + byte: byte for byte in _BYTES}
    argv = [argument.translate(shown) for argument in ffmpeg.merge_outputs(*outputs).compile(cmd=binary())]
    threads = ["-filter_threads", "1", "-filter_complex_threads", "1"]
    if "-filter_complex" in argv:
        at = argv.index("-filter_complex")
        argv[at : at + 2] = [word for graph in _apart(argv[at + 1]) for word in ("-filter_complex", graph)]
    return [argv[0], *_GLOBAL, *threads, *argv[1:]]


def _apart(graph: str) -> list[str]:
    """A filter graph as the parts that have no link with each other: the picture's and the sound's.

    ffmpeg starts a graph when all its inputs have begun. As one, the picture would wait in memory for a late sound, and
    a file that ends meanwhile would lose its last frame or not, as threads happen to run.
    """
    parts: list[tuple[set[str], list[str]]] = []
    for chain in re.split(r"(?<!\\);", graph):
        labels = {label for label in re.findall(r"(?<!\\)\[(\w+)\]", chain) if not label[0].isdigit()}
        linked, others = [p for p in parts if p[0] & labels], [p for p in parts if not p[0] & labels]
        chains = [known for part in linked for known in part[1]]
        parts = [*others, (labels.union(*(part[0] for part in linked)), [*chains, chain])]
    return [";".join(chains) for _, chains in parts]


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
    """The same error in words of its own: `media:decode_errors` for ffmpeg's exit status of undecodable input,
    `media:sound_changes` where the sound's rate or channels change on the way."""
    if error.code == "media:ffmpeg_failed" and f"ended with {_TOO_MANY_ERRORS}:" in error.message:
        return MediaError("media:decode_errors", error.message)
    if error.code == "media:ffmpeg_failed" and _CHANGES in error.message:
        return MediaError("media:sound_changes", error.message)
    return error
