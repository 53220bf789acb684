"""Encoding and decoding on a GPU: what the packaged ffmpeg was built with, and what really runs on this machine.

A name in ffmpeg's list means little: NVENC and NVDEC need a driver and a card that has them. So one frame is tried, in
a guarded child, with the options that the work will use.
"""

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python

from manifests.errors import ConfigError, MediaError
from media import child, ffmpeg
from media.child import Child, Limits
from media.scratch import Scratch

X264, NVENC = "libx264", "h264_nvenc"
CPU, CUDA = "cpu", "cuda"
AUTO = "auto"
_TRIAL = Limits(timeout_s=60.0, max_rss=4 << 30, max_file=1 << 20)
_EDGE = 256  # pixels: NVENC refuses frames much smaller


def encoder_options(encoder: str, preset: str, crf: int) -> dict[str, Any]:
    """ffmpeg's options for H.264 of quality `crf` by this encoder. preset: of x264; NVENC has its own scale."""
    if encoder == NVENC:
        return {"vcodec": NVENC, "preset": "p5", "tune": "hq", "rc": "vbr", "cq": crf, "b:v": 0}
    return {"vcodec": X264, "preset": preset, "crf": crf, "threads": 1}


def decoder_options(decoder: str) -> dict[str, str]:
    """Input options of a decoder. Frames come back to main memory, to the same filters; what the card cannot decode
    (4:2:2, old codecs) ffmpeg decodes itself."""
    return {"hwaccel": "cuda"} if decoder == CUDA else {}


def choose_encoder(wanted: str) -> tuple[str, str]:
    """The encoder to use for `libx264`, `h264_nvenc` or `auto`, and why not the other ("" when nothing was tried).

    Raises ConfigError config:encoder when the one asked for does not run here: it is never replaced in silence.
    """
    if wanted == X264:
        return X264, ""
    if wanted == AUTO:
        why = why_no_encoder(NVENC)
        return (X264, why) if why else (NVENC, "")
    if why := why_no_encoder(wanted):
        raise ConfigError(
            "config:encoder", f"shard.encoder = {wanted} does not run here: {why}; give libx264, or auto to fall back"
        )
    return wanted, ""


def choose_decoder(wanted: str) -> tuple[str, str]:
    """The decoder to use for `cpu`, `cuda` or `auto`, and why not the other. Raises ConfigError config:decoder."""
    if wanted == CPU:
        return CPU, ""
    why = why_no_cuda()
    if why and wanted == CUDA:
        raise ConfigError(
            "config:decoder", f"sources.decoder = {wanted} does not run here: {why}; give cpu, or auto to fall back"
        )
    return (CPU, why) if why else (CUDA, "")


@functools.cache
def why_no_encoder(encoder: str) -> str:
    """Why this encoder cannot be used on this machine, in a few words; "" when it can."""
    if encoder not in _listed("-encoders"):
        return f"the packaged ffmpeg has no {encoder}"
    return _trial(encode_trial(encoder))


@functools.cache
def why_no_cuda() -> str:
    """Why NVDEC cannot be used on this machine, in a few words; "" when it can."""
    if CUDA not in _listed("-hwaccels"):
        return "the packaged ffmpeg has no cuda"
    with Scratch() as clip:
        made = _one_frame().output(ffmpeg.file_url(clip.path), f="h264", **encoder_options(X264, "ultrafast", 20))
        ffmpeg.run(ffmpeg.compile_argv(made), _TRIAL, [clip.fd])
        return _trial(decode_trial(clip.path), [clip.fd])


def encode_trial(encoder: str) -> list[str]:
    """The argument list that encodes one frame to nowhere."""
    picture = _one_frame().filter("format", "yuv420p")
    return ffmpeg.compile_argv(picture.output("-", f="null", **encoder_options(encoder, "ultrafast", 20)))


def decode_trial(path: Path) -> list[str]:
    """The argument list that decodes one H.264 frame on the card: only there can it be fetched from."""
    file = ffmpeg_python.input(ffmpeg.file_url(path), f="h264", hwaccel_output_format="cuda", **decoder_options(CUDA))
    frame = file.video.filter("hwdownload").filter("format", "nv12")
    return ffmpeg.compile_argv(frame.output("-", f="null", vframes=1))


def _one_frame() -> Any:
    rate = Fraction(25)
    return ffmpeg_python.input(f"color=gray:s={_EDGE}x{_EDGE}:r={rate}:d={float(1 / rate)}", f="lavfi").video


def _trial(argv: list[str], keep: list[int] | None = None) -> str:
    try:
        child.run(argv, _TRIAL, failed="media:ffmpeg_failed", keep=keep or [])
    except MediaError as error:
        return _first_words(error.message)
    return ""


def _first_words(message: str) -> str:
    """ffmpeg's first complaint, without who complains: the rest only follows from it."""
    complaint = message.partition(": ")[2].splitlines()
    return complaint[0].rpartition("] ")[2] if complaint else message


@functools.cache
def _listed(question: str) -> frozenset[str]:
    """The words of ffmpeg's answer to `-encoders` or `-hwaccels`."""
    with Child([ffmpeg.binary(), "-hide_banner", question], _TRIAL, failed="media:ffmpeg_failed", piped=True) as asked:
        answer = asked.stdout.read().decode("utf-8", "replace")
        asked.finish()
    return frozenset(answer.split())
