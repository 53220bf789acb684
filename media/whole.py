"""A whole file as one clip: for looking at single files, and for tests."""

from dataclasses import replace
from pathlib import Path

from media.clip import Clip, clip_from_probe
from media.probe import probe
from media.render import count_frames


def whole_clip(path: Path) -> Clip:
    """A whole file as one clip, with zero ids.

    Its frames are counted by decoding, so that it never promises more than the file holds. Raises MediaError as
    `media.probe.probe` does.
    """
    found = probe(path)
    clip = clip_from_probe(path, found, 0, found.video.frames, clip_id=bytes(16), source_id=bytes(16))
    return replace(clip, frames=count_frames(clip))
