"""Is an encoded sample whole? Decode all of it in a guarded child, and count."""

from media import ffmpeg
from media.child import Limits
from media.render import gauge_output
from media.scratch import Scratch

LIMITS = Limits(120.0, 2 << 30, 1 << 30)
_GAUGE, _SAMPLE = 4, 2
"""Bytes of a frame's gauge and of a sample of 16 bits."""


def decoded(mp4: bytes, limits: Limits = LIMITS) -> tuple[int, int, str]:
    """Frames and samples (of one channel) that decoding all of an MP4 gives, and what ffmpeg complained of (if at all).

    Raises MediaError as `media.ffmpeg.run`.
    """
    with Scratch(mp4) as file, Scratch() as pictures, Scratch() as sound:
        source = ffmpeg.source(file.path)
        heard = source["a:0"].output(ffmpeg.file_url(sound.path), f="s16le", acodec="pcm_s16le", ac=1)
        argv = ffmpeg.compile_argv(gauge_output(source["v:0"], pictures), heard)
        said = ffmpeg.run(argv, limits, [file.fd, pictures.fd, sound.fd])
        return pictures.size // _GAUGE, sound.size // _SAMPLE, said
