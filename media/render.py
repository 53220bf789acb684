"""Render a clip into views: one ffmpeg child makes them all, from the source range, into files in memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from manifests.errors import ConfigError, MediaError
from media import cut, ffmpeg, grid, patience, picture
from media.child import Limits
from media.clip import Clip
from media.scratch import Scratch, scratch_dir
from media.seek import from_far_enough
from media.views import AudioView, VideoView, View, Views

__all__ = ["check_gauge", "count_frames", "gauge_output", "render_views", "scratch_dir"]

MAX_RSS = 3 << 30
_MAX_FULL_FRAMES = 16
_GAUGE = 2  # pixels a side of the tiny output that counts the grid's frames


@dataclass(frozen=True)
class _Output:
    """One raw file of the child: where it goes, what shape it must have, and which stream fills it."""

    file: Scratch
    shape: tuple[int, ...]
    dtype: type
    node: Any

    @property
    def size(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@contextmanager
def render_views(
    clip: Clip, views: Sequence[View], *, timeout_s: float | None = None, max_rss: int = MAX_RSS
) -> Iterator[Views]:
    """Decode the clip once and give all `views` of it as read-only arrays, valid inside the `with` block.

    Video: frame i of a view with `fps` is the source frame nearest to i / fps; there are round(duration * fps), or
    exactly `clip.frames` at the clip's own rate, or at most `max_frames` of them. Audio: exactly
    round(duration * rate) samples, sample 0 at the time of frame 0, silence where the source has no sound.
    Raises MediaError: media:short (the source ends before the clip does), media:no_audio, media:ffmpeg_failed,
    media:decode_errors, media:timeout, media:memory; ConfigError for a view that would be too big.
    """
    wanted = list(dict.fromkeys(views))
    for view in wanted:
        _check(view, clip)
    with ExitStack() as open_files:
        gauge, *files = [open_files.enter_context(Scratch()) for _ in range(len(wanted) + 1)]
        limits, places = (
            Limits(timeout_s or patience.working_s(clip, patience.RENDER_S), max_rss),
            dict(zip(wanted, files)),
        )
        outputs = from_far_enough(clip, limits, lambda opening: _decode(clip, opening, places, gauge, limits))
        arrays = {view: output.file.map(output.shape, output.dtype) for view, output in outputs.items()}
    yield Views(arrays=arrays, rates=_rates(clip, wanted), times=_times(clip, wanted))


def count_frames(clip: Clip, *, timeout_s: float | None = None, max_rss: int = MAX_RSS) -> int:
    """How many of the clip's grid frames the source really holds, by decoding them. Raises MediaError."""
    with Scratch() as gauge:
        video, _ = cut.open_range(clip)
        argv = ffmpeg.compile_argv(gauge_output(cut.on_grid(video, clip), gauge))
        patient_s = timeout_s or patience.working_s(clip, patience.RENDER_S)
        ffmpeg.run(argv, Limits(patient_s, max_rss, gauge_size(clip) + 4096), [gauge.fd])
        return gauge.size // _GAUGE**2


def gauge_output(frames: Any, gauge: Scratch) -> Any:
    """An output that holds 4 bytes a grid frame: the cheapest way to know how many there were."""
    tiny = frames.filter("crop", _GAUGE, _GAUGE, 0, 0).filter("format", "gray")
    return tiny.output(ffmpeg.file_url(gauge.path), f="rawvideo", fps_mode="passthrough")


def gauge_size(clip: Clip) -> int:
    """Bytes of the gauge file of a clip that is all there."""
    return clip.frames * _GAUGE**2


def check_gauge(clip: Clip, gauge: Scratch) -> None:
    """Raise MediaError media:short when the source held fewer grid frames than the clip promises."""
    found = gauge.size // _GAUGE**2
    if found != clip.frames:
        raise MediaError(
            "media:short", f"{Path(clip.path).name} holds {found} of the {clip.frames} frames from {clip.start_s:.3f} s"
        )


def _check(view: View, clip: Clip) -> None:
    if isinstance(view, AudioView):
        if not clip.audio_rate:
            raise MediaError("media:no_audio", f"view {view.name} needs sound; {Path(clip.path).name} has none")
    elif view.box is None and view.fragments is None and _most(view) > _MAX_FULL_FRAMES:
        raise ConfigError(
            "media:view_too_big",
            f"view {view.name} is full size with max_frames={view.max_frames}: set max_frames <= {_MAX_FULL_FRAMES} "
            "or a box",
        )


def _decode(
    clip: Clip, opening: cut.Opening, files: dict[View, Scratch], gauge: Scratch, limits: Limits
) -> dict[View, _Output]:
    video, audio = cut.open_range(clip, opening)
    pictures = [view for view in files if isinstance(view, VideoView)]
    sounds = [view for view in files if isinstance(view, AudioView)]
    outputs: dict[View, _Output] = {}
    nodes = []
    if pictures:
        counted, *rest = _split(cut.on_grid(video, clip), len(pictures) + 1, "split")
        nodes.append(gauge_output(counted, gauge))
        outputs |= {view: _picture(clip, view, frames, files[view]) for view, frames in zip(pictures, rest)}
    if sounds:
        parts = _split(cut.on_samples(audio, clip), len(sounds), "asplit")
        outputs |= {view: _sound(clip, view, sound, files[view]) for view, sound in zip(sounds, parts)}
    argv = ffmpeg.compile_argv(*nodes, *(output.node for output in outputs.values()))
    largest = max(gauge_size(clip), *(output.size for output in outputs.values()))
    keep = [gauge.fd, *(file.fd for file in files.values()), *opening.keep]
    complaint = ffmpeg.run(argv, replace(limits, max_file=largest + 4096), keep)
    if pictures:
        check_gauge(clip, gauge)
    for view, output in outputs.items():
        _check_size(clip, view, output, complaint)
    return outputs


def _split(stream: Any, ways: int, name: str) -> list[Any]:
    if ways == 1:
        return [stream]
    parts = stream.filter_multi_output(name, ways)
    return [parts[i] for i in range(ways)]


def _picture(clip: Clip, view: VideoView, frames: Any, file: Scratch) -> _Output:
    total = cut.rate_frames(clip, view.fps)
    if view.fps is not None:
        frames = cut.at_rate(frames, clip, view.fps)
    chosen = _chosen(clip, view)
    if len(chosen) < total:
        frames = frames.filter("select", "+".join(f"eq(n,{i})" for i in chosen))
    width, height = _scaled(clip, view)
    flags = picture.BILINEAR if view.fit == "stretch" else picture.FLAGS
    frames = picture.scaled(frames, clip.look, (width, height), view.pixels, flags)
    if view.fit == "crop" and view.box:
        width, height = view.box
        frames = frames.filter("crop", width, height)
    if view.fragments:
        frames = picture.fragments(frames, (width, height), *view.fragments)
        width = height = view.fragments[0] * view.fragments[1]
    node = frames.output(ffmpeg.file_url(file.path), f="rawvideo", fps_mode="passthrough")
    depth = (3,) if view.pixels == "rgb24" else ()
    return _Output(file, (len(chosen), height, width, *depth), np.uint8, node)


def _most(view: VideoView) -> float:
    """Frames that a view has at most, whatever the clip."""
    return 2 * view.stretches[0] if view.stretches else view.max_frames or math.inf


def _chosen(clip: Clip, view: VideoView) -> list[int]:
    """Which frames of the view's rate are kept."""
    total = cut.rate_frames(clip, view.fps)
    if view.stretches is None:
        return grid.spread(total, view.max_frames)
    ends = grid.stretches(total, Fraction(view.fps or clip.fps), *view.stretches)
    return sorted({frame for pair in ends for frame in pair})


def _scaled(clip: Clip, view: VideoView) -> tuple[int, int]:
    size = clip.width, clip.height
    if view.fragments:
        side = view.fragments[0] * view.fragments[1]
        return size if min(size) >= side else grid.cover(size, (side, side))
    if view.box is None or view.fit == "stretch":
        return view.box or size
    if view.fit == "shrink" and (size[0] <= view.box[0] or size[1] <= view.box[1]):
        return size
    return (grid.fit_inside if view.fit == "inside" else grid.cover)(size, view.box)


def _sound(clip: Clip, view: AudioView, sound: Any, file: Scratch) -> _Output:
    rate = view.rate or clip.audio_rate
    channels = view.channels or clip.audio_channels
    sound = cut.channels_to(sound, clip.audio_channels, channels)
    node = cut.resampled(sound, clip, rate).output(ffmpeg.file_url(file.path), f="f32le", acodec="pcm_f32le")
    samples = cut.rate_samples(clip, rate)
    return _Output(file, (samples,) if channels == 1 else (samples, channels), np.float32, node)


def _check_size(clip: Clip, view: View, output: _Output, complaint: str) -> None:
    if output.file.size != output.size:
        raise MediaError(
            "media:short",
            f"{Path(clip.path).name}: {view.name} has {output.file.size} bytes, not {output.size}: {complaint}",
        )


def _rates(clip: Clip, views: list[View]) -> dict[View, int]:
    return {view: view.rate or clip.audio_rate for view in views if isinstance(view, AudioView)}


def _times(clip: Clip, views: list[View]) -> dict[View, np.ndarray]:
    times: dict[View, np.ndarray] = {}
    for view in views:
        if isinstance(view, VideoView):
            times[view] = np.array(_chosen(clip, view), np.float64) / float(view.fps or clip.fps)
    return times
