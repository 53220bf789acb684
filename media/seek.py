"""Opening a source near a clip: from far enough back, and with sound that keeps its shape."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from manifests.errors import MediaError
from media import magic
from media.child import Limits
from media.clip import Clip
from media.cut import Opening
from media.steady import steady_pipe

_SEEKS_S = (2.0, 60.0)
_UNINDEXED_SEEKS_S = (12.0, 60.0)
_TOO_LATE = frozenset({"media:short", "media:ffmpeg_failed", "media:decode_errors"})

Made = TypeVar("Made")


def from_far_enough(clip: Clip, limits: Limits, render: Callable[[Opening], Made]) -> Made:
    """`render(opening)`, seeking to somewhat before the clip; again from farther back while frames are missing.

    A seek is only a saving, and one that lands too late (no index, rare key frames, a broken index) looks like missing
    or broken frames at the head of the clip. The last try reads from the start of the file.
    """
    for back_s in _SEEKS_S if magic.has_index(Path(clip.path)) else _UNINDEXED_SEEKS_S:
        if clip.start_s <= back_s:
            break
        try:
            return _steadily(clip, back_s, limits, render)
        except MediaError as error:
            if error.code not in _TOO_LATE:
                raise
    return _steadily(clip, None, limits, render)


def _steadily(clip: Clip, back_s: float | None, limits: Limits, render: Callable[[Opening], Made]) -> Made:
    """`render` with the sound as it is; where that changes its shape, with a steady copy of it."""
    try:
        return render(Opening(back_s))
    except MediaError as error:
        if error.code != "media:sound_changes":
            raise
    with steady_pipe(clip, back_s, limits) as pipe:
        return render(Opening(back_s, pipe))
