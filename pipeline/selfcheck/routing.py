"""Where labelled clips are routed to: single speech, multi speech, singing, music, sound."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from filters.capability import CLASSES
from media.synth.truth import Truth
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, detection

VIDEOS = {"chaplin": "music", "big_buck_bunny": "music", "nasa": "single_speech"}
NOT_AT_HAND = ("singing",)
"""Classes of which no labelled clip is at hand."""


def check(drawn: Sequence[tuple[Truth, dict[str, Any]]], media: Path | None) -> Iterator[Finding]:
    """Accuracy, and precision and recall of each class, with the confusion matrix as points' counts in the case."""
    pairs = [(truth.audio_class, final(facts)) for truth, facts in drawn if truth.audio_class]
    yield from _scored("drawn clips", pairs, 0.6)
    if media:
        yield from _scored(
            "real clips", [(label, final(through.of(path, _STAGES))) for path, label in real(media)], 0.9
        )


_STAGES = ("audio.classes", "audio.voices")


def final(facts: dict[str, Any]) -> str:
    """The final class, as `filters/capability.py` makes it in SQL."""
    voted = facts["audio.classes.audio_class"]
    if voted != "speech":
        return str(voted)
    return "multi_speech" if (facts.get("audio.voices.speakers") or 0) >= 2 else "single_speech"


def real(media: Path) -> list[tuple[Path, str]]:
    """Real clips with picture and sound, and their classes."""
    found = [(path, "single_speech") for path in sorted((media / "grid").glob("*.mpg"))]
    for path in sorted((media / "video").glob("*.mp4")):
        found += [(path, label) for name, label in VIDEOS.items() if path.name.startswith(name)]
    return found


def matrix(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """(classes, classes) int: true by found."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), int)
    for truth, found in pairs:
        counts[CLASSES.index(truth), CLASSES.index(found)] += 1
    return counts


def _scored(case: str, pairs: list[tuple[str, str]], least: float) -> Iterator[Finding]:
    right = sum(truth == found for truth, found in pairs) / len(pairs)
    points = [(float(CLASSES.index(truth)), float(CLASSES.index(found))) for truth, found in pairs]
    yield Finding("audio class", case, len(pairs), {"accuracy": right}, {"accuracy": (least, None)}, points)
    for name in CLASSES:
        truths, found = [truth == name for truth, _ in pairs], [heard == name for _, heard in pairs]
        if any(truths) or any(found):
            yield Finding("audio class", f"{case}: {name.replace('_', ' ')}", sum(truths), detection(truths, found))
