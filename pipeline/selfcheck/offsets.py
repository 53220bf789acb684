"""Offset of sound against picture on flashes and beeps of known offset, through an encoded file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from media.synth import scenes
from media.synth.picture import backdrop
from media.synth.sounds import RATE
from media.writer import write_mp4
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, errors

SECONDS = 10.0
OFFSETS = (
    -2.0,
    -1.5,
    -1.0,
    -0.75,
    -0.5,
    -0.2,
    -0.1,
    -0.05,
    -0.013,
    0.0,
    0.007,
    0.033,
    0.1,
    0.2,
    0.4,
    0.75,
    1.0,
    1.5,
    2.0,
)
"""Seconds; some are fractions of a frame."""
WRONG_S = 0.1
"""An answer that is further from the truth is false."""


def check(folder: Path) -> Iterator[Finding]:
    """Events: error where an answer was given, how many answers, how many false ones; and none on unrelated streams."""
    pairs = {offset: _measured(folder, offset, seed) for seed, offset in enumerate(OFFSETS)}
    near = {offset: found for offset, found in pairs.items() if abs(offset) <= 1}
    far = {offset: found for offset, found in pairs.items() if abs(offset) > 1}
    for case, held in (("flash and beep, up to 1 s", near), ("flash and beep, 1 to 2 s", far)):
        answered = [(offset, found) for offset, found in held.items() if found is not None]
        right = [(t, m) for t, m in answered if abs(m - t) <= WRONG_S]
        share = {"answered": len(answered) / len(held), "false": (len(answered) - len(right)) / len(held)}
        floors = {"median ms": (None, 10.0), "95% ms": (None, 30.0), "answered": (0.9, None), "false": (None, 0.0)}
        if held is far:
            floors = {"false": (None, 0.0)}
        figures = {**errors(right, "ms", 1000), **share}
        yield Finding("sync.av_events.av_offset_s", case, len(held), figures, floors, right)
    strangers = [_unrelated(folder, seed) for seed in range(8)]
    false = sum(found is not None for found in strangers) / len(strangers)
    yield Finding(
        "sync.av_events.av_offset_s", "unrelated flashes and beeps", 8, {"false": false}, {"false": (None, 0.0)}
    )


def _measured(folder: Path, offset: float, seed: int) -> float | None:
    fps = (25, 30, 24)[seed % 3]
    scene = scenes.flash_beep(backdrop(seed, (60, 70, 90), (80, 70, 60)), seed, SECONDS, fps, offset)
    return _of(folder / f"offset-{seed}.mp4", scene.frames, fps, scene.sound)


def _unrelated(folder: Path, seed: int) -> float | None:
    back = backdrop(seed, (60, 70, 90), (80, 70, 60))
    picture = scenes.flash_beep(back, 100 + seed, SECONDS, 25, 0.0)
    sound = scenes.flash_beep(back, 200 + seed, SECONDS, 25, 0.0).sound
    return _of(folder / f"unrelated-{seed}.mp4", picture.frames, 25, sound)


def _of(path: Path, frames: np.ndarray, fps: int, sound: np.ndarray) -> float | None:
    write_mp4(path, frames, fps, sound, RATE, crf=23)
    found: float | None = through.of(path, ["sync.av_events"]).get("sync.av_events.av_offset_s")
    path.unlink()
    return found
