"""Shot detection on films with known transitions, and on what only looks like one."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from media import detect
from media.detect import Transition
from media.synth import edits, scenes
from media.synth.picture import backdrop
from media.synth.sounds import METAL
from pipeline.selfcheck.finding import Finding

NEAR = 2
"""Frames between a transition and what counts as finding it."""
DETECTORS: tuple[detect.Name, ...] = ("pyscenedetect", "transnetv2")


def check(every: int = 1) -> Iterator[Finding]:
    """F1, precision and recall of each detector on cuts (with flashes and shaking between them), dissolves and fades.

    every: one in so many of the kinds, in that order, and of the two films of each.
    """
    parts = [_shot(seed) for seed in range(6)]
    whole = [edits.flashed(parts[0], 30), edits.flashed(parts[1], 40, 3), edits.shaken(parts[2], 4, 0)]
    for name in DETECTORS:
        for kind in edits.KINDS[::every]:
            films = [edits.join(order, [kind] * 5, 16) for order in (parts, parts[::-1])[::every]]
            if kind == "cut":
                films += [edits.Film(frames, (), ()) for frames in whole]
            yield _score(name, kind, films)


def _shot(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    colours = [tuple(int(c) for c in rng.integers(40, 220, 3)) for _ in range(3)]
    back = backdrop(300 + seed, colours[0], colours[1])  # type: ignore[arg-type]
    return scenes.bounce(back, seed, 3.0, 25, colours[2], 300.0, METAL).frames  # type: ignore[arg-type]


def _score(name: detect.Name, kind: str, films: list[edits.Film]) -> Finding:
    hits = true = found = right = 0
    for film in films:
        seen = _run(name, film.frames)
        true, found = true + len(film.transitions), found + len(seen)
        hits += sum(any(_near(t, f) for f in seen) for t in film.transitions)
        right += sum(any(_near(t, f) for t in film.transitions) for f in seen)
    recall, precision = hits / true, right / found if found else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    floors = {"F1": (0.95, None)} if kind == "cut" else {}
    case = "cuts; flashes and shaking" if kind == "cut" else f"{kind}s"
    return Finding(f"shots.{name}", case, true, {"F1": f1, "precision": precision, "recall": recall}, floors)


def _near(a: Transition, b: Transition) -> bool:
    return a[0] <= b[1] + NEAR and b[0] <= a[1] + NEAR


def _run(name: detect.Name, frames: np.ndarray) -> list[Transition]:
    detector = detect.make(name)
    size = detector.size((frames.shape[2], frames.shape[1]))
    turn = slice(None, None, -1 if detector.PIXELS == "bgr24" else 1)
    small = (np.ascontiguousarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA)[..., turn]) for f in frames)
    return detector.transitions(small, Fraction(25))
