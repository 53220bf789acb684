"""Shot detectors on films with known transitions: precision, recall, what is left of them inside shots, and the cost.

Films are joined from real single-shot footage (KLEAR_MEDIA), so cuts, dissolves and fades are true to the frame, and
what only looks like a cut is made from the same shots. Run: python -m bench.shots [--record]
"""

import argparse
import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from bench import markdown
from bench.harness import record
from media import detect
from media.detect import Transition
from media.probe import probe
from media.shots import small_frames
from media.synth.edits import KINDS, Film, crossed, flashed, join, panned, shaken

SIZE = (256, 144)
FILES = (
    "grid/bbaf2n.mpg", "video/chaplin.mp4", "grid/lwbsza.mpg", "video/big_buck_bunny_small.mp4", "grid/swiz3n.mpg",
    "grid/brbk7n.mpg",
)  # fmt: skip
LENGTHS = {"cut": (0,), "dissolve": (8, 16, 30), "fade": (8, 16, 30)}
NEAR = 2
DETECTORS: tuple[detect.Name, ...] = ("pyscenedetect", "transnetv2")


class _Small:
    """Stands where a detector does, to read frames of one size."""

    BACKEND = LICENCE = ""
    PIXELS = "rgb24"

    def size(self, shown: tuple[int, int]) -> tuple[int, int]:
        return SIZE


@dataclass
class Score:
    """Counts of one detector on one kind of film. true: transitions there are; hits: of them found; found: transitions
    reported; right: of them real; frames: of gradual transitions; leaked: of them left inside shots."""

    true: int = 0
    hits: int = 0
    found: int = 0
    right: int = 0
    frames: int = 0
    leaked: int = 0

    def add(self, film: Film, found: list[Transition]) -> None:
        """Count one film: a transition is found when a found one lies within 2 frames of it."""
        hits = [any(_near(t, f) for f in found) for t in film.transitions]
        self.true, self.found = self.true + len(hits), self.found + len(found)
        self.right += sum(any(_near(t, f) for t in film.transitions) for f in found)
        self.hits += sum(hits)
        for first, after in film.transitions:
            self.frames += after - first
            self.leaked += sum(not any(a <= i < b for a, b in found) for i in range(first, after))


def _near(a: Transition, b: Transition) -> bool:
    return a[0] <= b[1] + NEAR and b[0] <= a[1] + NEAR


def shots(media: Path) -> list[np.ndarray]:
    """Stretches of 3 s of real footage, one shot each, 256 x 144."""
    found = []
    for name in FILES:
        probed = probe(media / name, need_audio=False)
        frames = small_frames(media / name, probed, _Small(), timeout_s=60, max_rss=1 << 30)  # type: ignore[arg-type]
        whole = np.stack(list(frames))
        found.append(whole[-75:])
    return found


def films(parts: list[np.ndarray]) -> dict[str, list[Film]]:
    """Films by kind: of each transition, and without any."""
    made: dict[str, list[Film]] = {}
    for kind in KINDS:
        for length in LENGTHS[kind]:
            made.setdefault(kind, []).append(join(parts, [kind] * (len(parts) - 1), length))
    wide = [cv2.resize(part[0], (4 * SIZE[0], SIZE[1])) for part in parts]
    made["flash"] = [_still(flashed(part, 30, n)) for part in parts for n in (1, 3)]
    made["fast pan"] = [_still(panned(image, 75, SIZE, speed)) for image in wide for speed in (10, 30)]
    made["shake"] = [_still(shaken(part, 6, i)) for i, part in enumerate(parts)]
    made["passing"] = [_still(crossed(part, (22, 20, 25), 30)) for part in parts]
    return made


def _still(frames: np.ndarray) -> Film:
    return Film(frames, (), ())


def run(name: detect.Name, film: Film) -> tuple[list[Transition], float]:
    """What the detector finds, and its CPU-seconds (decoding and scaling apart)."""
    detector = detect.make(name)
    size = detector.size((film.frames.shape[2], film.frames.shape[1]))
    turn = slice(None, None, -1 if detector.PIXELS == "bgr24" else 1)
    small = [np.ascontiguousarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA)[..., turn]) for f in film.frames]
    began = time.process_time()
    return detector.transitions(iter(small), Fraction(25)), time.process_time() - began


def main() -> None:
    """Measure all, print, and with --record append to RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    keep = parser.parse_args().record
    made = films(shots(Path(os.environ["KLEAR_MEDIA"])))
    rows = []
    for name in DETECTORS:
        spent = seen = 0.0
        for kind, some in made.items():
            score = Score()
            for film in some:
                found, seconds = run(name, film)
                score.add(film, found)
                spent, seen = spent + seconds, seen + len(film.frames)
            frames = sum(len(film.frames) for film in some)
            rows.append([name, kind, len(some), frames, *_shares(score)])
        cost = f"{1000 * spent / seen:.2f} CPU-ms a frame"
        rows.append([name, "all", sum(map(len, made.values())), int(seen), "", "", "", cost])
    header = ["detector", "film", "films", "frames", "recall", "precision", "false", "transition frames left in shots"]
    text = f"{__doc__.split('Run:')[0]}\n{markdown.machine()}.\n\n{markdown.table(header, rows)}"
    record("shot detectors on films with known transitions", text, keep)


def _shares(score: Score) -> list[object]:
    recall = f"{score.hits / score.true:.3f}" if score.true else "-"
    precision = f"{score.right / score.found:.3f}" if score.found and score.true else "-"
    leaked = f"{score.leaked / score.frames:.2f}" if score.frames else "-"
    return [recall, precision, score.found - score.right, leaked]


if __name__ == "__main__":
    main()
