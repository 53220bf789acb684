"""Black borders around a picture (letterbox, pillarbox, both), found on the small frames of the shot detector.

A border is what stays black through every frame of a shot, or of the whole source, and ends in a straight sharp edge.
The small frames say what stays black; a few frames at full size say where exactly the edge is, and whether there is
one: the dark sky of a night scene has none.
"""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from media import edges
from media.clip import clip_from_probe
from media.edges import Margins
from media.probe import Probe
from media.render import render_views
from media.views import VideoView

Crop = tuple[int, int, int, int]
Range = tuple[int, int]

BLACK = 16
"""Darkest value (of 255, any channel, small frames) that is not black: noise and compression stay below."""
_BLOCK = 8
_LOOKS = 4
_LAYOUTS = 3
_LEAST_SHARE = 0.02
_STILL = VideoView("still", pixels="gray", max_frames=1)


class BorderWatch:
    """Looks at every small frame of a source and remembers, for each 8 frames, how far the black reaches in."""

    def __init__(self) -> None:
        self.size = (0, 0)
        self._most: np.ndarray | None = None
        self._seen = 0
        self._blocks = array("H")

    def see(self, frame: np.ndarray) -> None:
        """The next frame, uint8 (H, W, 3)."""
        if self._most is None:
            self.size, self._most = (frame.shape[1], frame.shape[0]), np.zeros(frame.shape, np.uint8)
        np.maximum(self._most, frame, out=self._most)
        self._seen += 1
        if self._seen % _BLOCK == 0:
            self._blocks.extend(_reach(self._most.max(2)))
            self._most[:] = 0

    def blocks(self) -> np.ndarray:
        """Int (N, 5), a row for each 8 frames: black rows and columns at top, bottom, left, right; brightness."""
        return np.frombuffer(self._blocks, np.uint16).reshape(-1, 5).astype(np.int32)


def _reach(most: np.ndarray) -> tuple[int, int, int, int, int]:
    """Margins and brightness of the brightest that each pixel was, uint8 (H, W); a black block has margins of 65535."""
    rows, columns = np.flatnonzero(most.max(1) > BLACK), np.flatnonzero(most.max(0) > BLACK)
    if not len(rows):
        return (65535,) * 4 + (0,)  # type: ignore[return-value]
    height, width = most.shape
    reach = rows[0], height - 1 - rows[-1], columns[0], width - 1 - columns[-1], most.mean()
    return tuple(int(number) for number in reach)  # type: ignore[return-value]


def find_crops(path: Path, found: Probe, watch: BorderWatch, shots: Sequence[Range]) -> list[Crop | None]:
    """For each shot the picture inside its borders, (width, height, x, y) in stored pixels, all even; or None.

    A shot takes the largest borders that lie inside what is black through all of it: those of the whole source, or
    those of one of the few layouts that it alternates between, which must be the same on opposite sides.
    """
    blocks = watch.blocks()
    inside = [_inside(shot, len(blocks)) for shot in shots]
    margins = [_common(blocks[span]) for span in inside]
    whole = _common(blocks)
    if whole is None:
        return [None] * len(shots)
    common = _prove(path, found, watch, blocks, whole, list(inside))
    more = [_prove(path, found, watch, blocks, *layout) for layout in _layouts(whole, margins, inside)]
    proven = [margin for margin in [common, *(m for m in more if m and edges.even_sided(m, _stored(found)))] if margin]
    chosen = [_choose(proven, own or whole, found, watch) for own in margins]
    return [edges.crop(margin, _stored(found)) if margin else None for margin in chosen]


def _inside(shot: Range, blocks: int) -> slice:
    """The blocks that lie inside a shot, a frame off its ends: detectors err by one."""
    return slice(min(blocks, -(-(shot[0] + 1) // _BLOCK)), min(blocks, (shot[1] - 1) // _BLOCK))


def _common(blocks: np.ndarray) -> Margins | None:
    """What is black through all the blocks; None when they hold no picture."""
    lit = blocks[blocks[:, 4] > 0]
    return Margins(*(int(least) for least in lit[:, :4].min(0))) if len(lit) else None


def _layouts(whole: Margins, margins: list[Margins | None], inside: list[slice]) -> list[tuple[Margins, list[slice]]]:
    """The commonest margins of shots beyond those of the whole source, with the blocks of the shots that have them."""
    spans: dict[Margins, list[slice]] = {}
    for margin, span in zip(margins, inside):
        if margin and any(own > shared + 1 for own, shared in zip(margin, whole)):
            spans.setdefault(margin, []).append(span)
    length = {margin: sum(span.stop - span.start for span in found) for margin, found in spans.items()}
    least = _LEAST_SHARE * sum(span.stop - span.start for span in inside)
    common = sorted((m for m in spans if length[m] >= least), key=lambda m: (-length[m], m))
    return [(margin, spans[margin]) for margin in common[:_LAYOUTS]]


def _prove(
    path: Path, found: Probe, watch: BorderWatch, blocks: np.ndarray, black: Margins, spans: list[slice]
) -> Margins | None:
    """Where the edges are in stored pixels, from the brightest moments of the blocks; None when there are none."""
    numbers = np.concatenate([np.arange(span.start, span.stop) for span in spans])
    if not any(black) or not len(numbers):
        return None
    stretches = [stretch for stretch in np.array_split(numbers, _LOOKS) if len(stretch)]
    moments = [int(stretch[blocks[stretch, 4].argmax()]) for stretch in stretches]
    most = np.max([_still(path, found, moment * _BLOCK + _BLOCK // 2) for moment in moments], axis=0)
    scale = most.shape[0] / watch.size[1], most.shape[1] / watch.size[0]
    return edges.find(most, black, scale)


def _still(path: Path, found: Probe, frame: int) -> np.ndarray:
    """Luma of one grid frame in stored pixels, uint8 (H, W)."""
    clip = clip_from_probe(path, found, frame, 1, clip_id=bytes(16), source_id=bytes(16))
    width, height = _stored(found)
    with render_views(replace(clip, width=width, height=height), [_STILL]) as views:
        return np.array(views[_STILL][0])


def _choose(proven: list[Margins], black: Margins, found: Probe, watch: BorderWatch) -> Margins | None:
    """The largest proven borders inside what is black, with the pixel of the small frame that may be half picture."""
    width, height = _stored(found)
    rows, columns = height / watch.size[1], width / watch.size[0]
    room = [(black[0] + 1) * rows, (black[1] + 1) * rows, (black[2] + 1) * columns, (black[3] + 1) * columns]
    fitting = [margin for margin in proven if all(have <= most for have, most in zip(margin, room))]
    return max(fitting, key=lambda m: (m.top + m.bottom) * width + (m.left + m.right) * height, default=None)


def _stored(found: Probe) -> tuple[int, int]:
    return found.video.stored_width, found.video.stored_height
