"""The sound of a whole source, in blocks: for detectors that listen to hours of it in bounded memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from manifests.errors import MediaError
from media import cut, ffmpeg
from media.child import Child, Limits
from media.clip import Clip, clip_from_probe
from media.probe import Probe
from media.steady import steady_pipe

BLOCK_S = 30


def stream_sound(
    path: Path, found: Probe, frames: int, rate: int, *, timeout_s: float, max_rss: int = 3 << 30
) -> Iterator[np.ndarray]:
    """Mono float32 blocks (n,) at `rate` Hz of the first `frames` grid frames, sample 0 at frame 0, 30 s at a time.

    Silence stands where the track has none, up to the last frame. Nothing comes from a source without sound.
    Raises MediaError as `media.ffmpeg.run`.
    """
    clip = clip_from_probe(path, found, 0, frames, clip_id=bytes(16), source_id=bytes(16))
    if not clip.audio_rate:
        return
    limits, done = Limits(timeout_s, max_rss), 0
    try:
        for block in _blocks(clip, cut.START, rate, limits, 0):
            yield block
            done += len(block)
        return
    except MediaError as error:
        if error.code != "media:sound_changes":
            raise
    with steady_pipe(clip, None, limits) as pipe:
        yield from _blocks(clip, cut.Opening(None, pipe), rate, limits, done)


def _blocks(clip: Clip, opening: cut.Opening, rate: int, limits: Limits, skip: int) -> Iterator[np.ndarray]:
    """The blocks after the first `skip` samples; the last, shorter one only when all went well."""
    sound = cut.on_samples(cut.open_range(clip, opening)[1], clip)
    node = cut.resampled(cut.channels_to(sound, clip.audio_channels, 1), clip, rate)
    argv = ffmpeg.compile_argv(node.output("pipe:1", f="f32le", acodec="pcm_f32le"))
    size = 4 * rate * BLOCK_S
    with Child(argv, limits, failed="media:ffmpeg_failed", piped=True, keep=opening.keep) as child:
        child.stdout.read(4 * skip)
        while len(data := child.stdout.read(size)) == size:
            yield np.frombuffer(data, "<f4")
        try:
            child.finish()
        except MediaError as error:
            raise ffmpeg.explain(error) from None
        if data:
            yield np.frombuffer(data[: len(data) // 4 * 4], "<f4")
