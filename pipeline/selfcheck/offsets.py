"""Offset of sound against picture on flashes and beeps of known offset, through an encoded file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from media.synth import scenes
from media.synth.picture import backdrop
from media.synth.sounds import RATE
from media.writer import write_mp4
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, detection, errors

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


STRANGERS = 8


def check(folder: Path, every: int = 1) -> Iterator[Finding]:
    """Events: error where an answer was given, how many answers, how many false ones; and none on unrelated streams.

    every: one in so many of the cases.
    """
    pairs = {offset: _measured(folder, offset, seed) for seed, offset in list(enumerate(OFFSETS))[::every]}
    near = {offset: found for offset, found in pairs.items() if abs(offset) <= 1}
    far = {offset: found for offset, found in pairs.items() if abs(offset) > 1}
    for case, held in (("flash and beep, up to 1 s", near), ("flash and beep, 1 to 2 s", far)):
        answered = [(offset, found) for offset, found in held.items() if found is not None]
        right = [(t, m) for t, m in answered if abs(m - t) <= WRONG_S]
        share = {"answered": len(answered) / len(held), "false": (len(answered) - len(right)) / len(held)}
        floors = {"median ms": (None, 10.0), "95% ms": (None, 30.0), "answered": (0.9, None), "false": (None, 0.0)}
        if held is far:
            floors = {"answered": (0.7, None), "false": (None, 0.0)}
        figures = {**errors(right, "ms", 1000), **share}
        yield Finding("sync.av_events.av_offset_s", case, len(held), figures, floors, right)
    yield _told_apart(list(near.values()), [_unrelated(folder, seed) for seed in range(0, STRANGERS, every)])


def _told_apart(own: list[float | None], strangers: list[float | None]) -> Finding:
    """An answer for flashes with their own beeps, none for those of another film."""
    truths = [True] * len(own) + [False] * len(strangers)
    figures = detection(truths, [found is not None for found in own + strangers])
    floors = {"precision": (1.0, None), "recall": (0.9, None)}
    return Finding("sync.av_events.certainty", "own against unrelated beeps", len(truths), figures, floors)


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
