"""Encode a clip into the MP4 of a sample, by the same cut as its views: what was measured is what is stored."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import ffmpeg as ffmpeg_python

from manifests.errors import MediaError
from media import cut, ffmpeg, grid, hardware, patience, picture
from media.child import Limits
from media.clip import Clip
from media.render import check_gauge, gauge_output
from media.scratch import Scratch
from media.seek import from_far_enough

VERSION = 1
"""Of the bytes: one more whenever a change here, in `cut` or in `picture` makes other ones."""
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class EncodeRecipe:
    """How samples are encoded. box: largest (width, height), only ever scaled down; None keeps the source's size.

    encoder: `libx264`, or `h264_nvenc` on a GPU that has it (the same picture, not the same bytes). preset: of x264.
    crf: quality, as x264 counts it. keyframe_s: longest distance of key frames, seconds. audio_rate: Hz.
    audio_channels: 1 or 2.
    """

    encoder: str = hardware.X264
    preset: str = "veryfast"
    crf: int = 18
    keyframe_s: float = 2.0
    box: tuple[int, int] | None = None
    audio_rate: int = 44_100
    audio_channels: int = 2


def encode_clip(
    clip: Clip, out: Path, recipe: EncodeRecipe, *, timeout_s: float | None = None, max_rss: int = 3 << 30
) -> None:
    """Write `encode_bytes` to `out`, which appears only when complete. Raises MediaError as `encode_bytes`."""
    data = encode_bytes(clip, recipe, timeout_s=timeout_s, max_rss=max_rss)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def encode_bytes(clip: Clip, recipe: EncodeRecipe, *, timeout_s: float | None = None, max_rss: int = 3 << 30) -> bytes:
    """The clip as the bytes of an MP4: H.264 yuv420p at the clip's constant rate without B-frames, and FLAC.

    Frame i is at i / fps and sample 0 at 0, with no edit list needed; exactly `clip.frames` frames and
    round(duration * audio_rate) samples. Two runs give the same bytes.
    Raises MediaError: media:short, media:no_audio, media:sound_changes, and as `media.ffmpeg.run`.
    """
    if not clip.audio_rate:
        raise MediaError("media:no_audio", f"{Path(clip.path).name} has no sound to encode")
    limits = Limits(timeout_s or patience.working_s(clip, patience.ENCODE_S), max_rss, _MAX_BYTES)
    return from_far_enough(clip, limits, lambda opening: _encode(clip, opening, recipe, limits))


def _encode(clip: Clip, opening: cut.Opening, recipe: EncodeRecipe, limits: Limits) -> bytes:
    with Scratch() as out, Scratch() as gauge:
        argv = encode_argv(clip, recipe, out.path, gauge, opening)
        ffmpeg.run(argv, limits, [out.fd, gauge.fd, *opening.keep])
        check_gauge(clip, gauge)
        _check_sound(clip, recipe, out)
        return out.read()


def _check_sound(clip: Clip, recipe: EncodeRecipe, out: Scratch) -> None:
    """Raise MediaError when the sample's sound is not as long as its picture.

    ffmpeg starts its audio filters anew where the number of channels or the rate changes: nothing there can be trusted.
    """
    expected = cut.rate_samples(clip, recipe.audio_rate)
    with av.open(str(out.path)) as file:
        track = file.streams.audio[0]
        found = round((track.duration or 0) * float(track.time_base or 0) * recipe.audio_rate)
    if found != expected:
        raise MediaError(
            "media:sound_changes", f"{Path(clip.path).name} has {found} samples of sound, not {expected}: it changes"
        )


def encode_argv(
    clip: Clip, recipe: EncodeRecipe, out: Path, gauge: Scratch, opening: cut.Opening = cut.START
) -> list[str]:
    """The ffmpeg argument list that writes the sample to `out` and 4 bytes a frame to `gauge`."""
    video, audio = cut.open_range(clip, opening)
    frames = cut.on_grid(video, clip).filter_multi_output("split", 2)
    sound = cut.channels_to(cut.on_samples(audio, clip), clip.audio_channels, recipe.audio_channels)
    sound = cut.resampled(sound, clip, recipe.audio_rate).filter("aformat", sample_fmts="s16")
    sample = mp4_output(
        _even(frames[0], clip, recipe),
        sound,
        out,
        encoder=hardware.encoder_options(recipe.encoder, recipe.preset, recipe.crf),
        keyframe=max(1, round(recipe.keyframe_s * clip.fps)),
    )
    return ffmpeg.compile_argv(sample, gauge_output(frames[1], gauge))


def mp4_output(picture: Any, sound: Any | None, out: Path, *, encoder: Mapping[str, Any], keyframe: int) -> Any:
    """An ffmpeg-python output node: H.264 without B-frames, FLAC, nothing that depends on the day.

    encoder: options as `media.hardware.encoder_options` gives them; x264 runs on one thread.
    """
    # the encoder takes its block size from the first frame that it sees, and a cut can leave one of a few samples
    sounds = [] if sound is None else [sound.filter("asetnsamples", n=4096, p=0)]
    audio_options = {"acodec": "flac", "compression_level": 5} if sounds else {}
    return ffmpeg_python.output(
        picture,
        *sounds,
        ffmpeg.file_url(out),
        f="mp4",
        bf=0,
        g=keyframe,
        pix_fmt="yuv420p",
        fps_mode="passthrough",
        map_metadata=-1,
        map_chapters=-1,
        fflags="+bitexact",
        movflags="+faststart",
        **{"flags:v": "+bitexact", "flags:a": "+bitexact"},
        **encoder,
        **audio_options,
    )


def _even(frames: Any, clip: Clip, recipe: EncodeRecipe) -> Any:
    """Display size, inside the recipe's box, both sides even (4:2:0 needs it) by leaving out at most a pixel."""
    width, height = clip.width, clip.height
    if recipe.box and (width > recipe.box[0] or height > recipe.box[1]):
        width, height = grid.fit_inside((width, height), recipe.box)
    shown = picture.scaled(frames, clip.look, (width, height), "yuv420p")
    return picture.tagged(shown.filter("crop", max(2, width - width % 2), max(2, height - height % 2), 0, 0, exact=1))
