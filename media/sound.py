"""The sound of a whole source, in blocks: for detectors that listen to hours of it in bounded memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from manifests.errors import MediaError
from media import cut, ffmpeg
from media.child import Child, Limits
from media.clip import clip_from_probe
from media.probe import Probe

BLOCK_S = 30


def stream_sound(
    path: Path, found: Probe, frames: int, rate: int, *, timeout_s: float, max_rss: int = 3 << 30
) -> Iterator[np.ndarray]:
    """Mono float32 blocks (n,) at `rate` Hz of the first `frames` grid frames, sample 0 at frame 0, 30 s at a time.

    Silence stands where the track has none, up to the last frame. Nothing comes from a source without sound.
    Raises MediaError as `media.ffmpeg.run`.
    """
    clip = clip_from_probe(path, found, 0, frames, clip_id=bytes(16), source_id=bytes(16))
    sound = cut.open_range(clip, None)[1]
    if sound is None:
        return
    mono = cut.channels_to(cut.on_samples(sound, clip), clip.audio_channels, 1)
    node = cut.resampled(mono, clip, rate).output("pipe:1", f="f32le", acodec="pcm_f32le")
    with Child(
        ffmpeg.compile_argv(node), Limits(timeout_s, max_rss), failed="media:ffmpeg_failed", piped=True
    ) as child:
        while data := child.stdout.read(4 * rate * BLOCK_S):
            yield np.frombuffer(data[: len(data) // 4 * 4], "<f4")
        try:
            child.finish()
        except MediaError as error:
            raise ffmpeg.explain(error) from None
