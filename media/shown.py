"""How each shot of a source is shown: its look, settled by evidence from its frames, and its size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from media import fields
from media.borders import BorderWatch, Crop, find_crops
from media.look import Look
from media.probe import Probe


@dataclass(frozen=True)
class Shown:
    """width, height: in square pixels, upright, without borders."""

    look: Look
    width: int
    height: int


def settle(path: Path, found: Probe, shots: Sequence[tuple[int, int]], watch: BorderWatch | None = None) -> list[Shown]:
    """How each of the shots is shown. watch: has seen the source's small frames; None: borders are left alone.

    Raises MediaError as `media.fields.confirm` and `media.render.render_views`.
    """
    look = replace(found.video.look, field=fields.confirm(path, found))
    crops: Sequence[Crop | None] = find_crops(path, found, watch, shots) if watch else [None] * len(shots)
    return [Shown(replace(look, crop=crop), *_size(found, crop)) for crop in crops]


def _size(found: Probe, crop: Crop | None) -> tuple[int, int]:
    """Stored pixels become square ones in the proportion of the whole frame."""
    video = found.video
    if crop is None:
        return video.width, video.height
    width, height = crop[0] * video.width / video.stored_width, crop[1] * video.height / video.stored_height
    return round(width), round(height)
