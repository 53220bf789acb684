"""Write arrays as playable files: a model's samples, and the synthetic clips. Same guarded child, same encoder."""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as ffmpeg_python
import numpy as np

from manifests.errors import MediaError
from media import ffmpeg
from media.child import Limits
from media.encode import mp4_output
from media.render import scratch_dir

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
    with tempfile.TemporaryDirectory(prefix="klear-write-", dir=scratch_dir()) as folder:
        raw = Path(folder) / "frames"
        np.ascontiguousarray(frames).tofile(raw)
        size = f"{frames.shape[2]}x{frames.shape[1]}"
        shown = ffmpeg_python.input(ffmpeg.file_url(raw), f="rawvideo", pix_fmt="rgb24", s=size, r=str(fps))
        picture = shown.video.filter("scale", out_color_matrix="bt709", out_range="tv", flags="bicubic+accurate_rnd")
        picture = picture.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2").filter("format", "yuv420p")
        sound = None if audio is None else _sound(Path(folder) / "sound", audio, rate)
        node = mp4_output(picture, sound, path, preset=preset, crf=crf, keyframe=max(1, round(2 * fps)))
        ffmpeg.run(ffmpeg.compile_argv(node), _LIMITS)


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write sound, float32 (n,) or (n, channels) in [-1, 1], as 16-bit WAV. Raises MediaError as `write_mp4`."""
    with tempfile.TemporaryDirectory(prefix="klear-write-", dir=scratch_dir()) as folder:
        sound = _sound(Path(folder) / "sound", audio, rate)
        node = sound.output(ffmpeg.file_url(path), f="wav", acodec="pcm_s16le", map_metadata=-1, fflags="+bitexact")
        ffmpeg.run(ffmpeg.compile_argv(node), _LIMITS)


def _sound(raw: Path, audio: np.ndarray, rate: int) -> Any:
    """An ffmpeg-python stream of float samples, clipped to [-1, 1], as 16 bits."""
    samples = np.atleast_2d(audio.T).T
    if samples.ndim != 2 or not np.isfinite(samples).all():
        raise MediaError("media:bad_array", f"audio must be finite, (n,) or (n, channels), not {audio.shape}")
    np.clip(samples, -1.0, 1.0).astype("<f4").tofile(raw)
    heard = ffmpeg_python.input(ffmpeg.file_url(raw), f="f32le", ar=rate, ac=samples.shape[1])
    return heard.audio.filter("aformat", sample_fmts="s16")
