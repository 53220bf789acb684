"""Write arrays as playable files: a model's samples, and the synthetic clips. Same guarded child, same encoder."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python
import numpy as np

from manifests.errors import MediaError
from media import ffmpeg
from media.child import Limits
from media.encode import mp4_output
from media.hardware import X264, encoder_options
from media.scratch import Scratch

_LIMITS = Limits(timeout_s=300.0, max_rss=2 << 30)


def write_mp4(
    path: Path,
    frames: np.ndarray,
    fps: Fraction | int,
    audio: np.ndarray | None = None,
    rate: int = 44_100,
    *,
    crf: int = 18,
    preset: str = "veryfast",
) -> None:
    """Write RGB frames, uint8 (T, H, W, 3), and sound, float32 (n,) or (n, channels) in [-1, 1], as MP4.

    H.264 yuv420p at exactly `fps`, sides padded to even; FLAC at `rate` Hz with exactly n samples (plays in
    browsers). Same arrays, same bytes. Raises MediaError: media:bad_array, and as `media.ffmpeg.run`.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise MediaError("media:bad_array", f"frames must be uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}")
    with Scratch(np.ascontiguousarray(frames).data.cast("B")) as raw, Scratch(_samples(audio)) as heard:
        size = f"{frames.shape[2]}x{frames.shape[1]}"
        url = ffmpeg.file_url(raw.path)
        shown = ffmpeg_python.input(url, f="rawvideo", pix_fmt="rgb24", s=size, r=str(fps)).video
        picture = shown.filter("scale", out_color_matrix="bt709", out_range="tv", flags="bicubic+accurate_rnd")
        picture = picture.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2").filter("format", "yuv420p")
        sound = None if audio is None else _sound(heard, audio, rate)
        node = mp4_output(
            picture, sound, path, encoder=encoder_options(X264, preset, crf), keyframe=max(1, round(2 * fps))
        )
        ffmpeg.run(ffmpeg.compile_argv(node), _LIMITS, [raw.fd, heard.fd])


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write sound, float32 (n,) or (n, channels) in [-1, 1], as 16-bit WAV. Raises MediaError as `write_mp4`."""
    with Scratch(_samples(audio)) as heard:
        sound = _sound(heard, audio, rate)
        node = sound.output(ffmpeg.file_url(path), f="wav", acodec="pcm_s16le", map_metadata=-1, fflags="+bitexact")
        ffmpeg.run(ffmpeg.compile_argv(node), _LIMITS, [heard.fd])


def _samples(audio: np.ndarray | None) -> bytes:
    """Sound clipped to [-1, 1] as raw little-endian float32, channels interleaved."""
    if audio is None:
        return b""
    if audio.ndim not in {1, 2} or not np.isfinite(audio).all():
        raise MediaError("media:bad_array", f"audio must be finite, (n,) or (n, channels), not {audio.shape}")
    return np.clip(audio, -1.0, 1.0).astype("<f4").tobytes()


def _sound(heard: Scratch, audio: np.ndarray, rate: int) -> Any:
    """An ffmpeg-python stream of the raw samples in `heard`, as 16 bits."""
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    source = ffmpeg_python.input(ffmpeg.file_url(heard.path), f="f32le", ar=rate, ac=channels)
    return source.audio.filter("aformat", sample_fmts="s16")
