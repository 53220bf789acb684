"""The synthetic set, measured once: classes, flaws and speakers are looked up in it."""

from pathlib import Path
from typing import Any

from media.synth import make_set
from media.synth.truth import Truth
from pipeline.selfcheck import through

STAGES = ("audio.classes", "audio.loudness", "audio.silence", "audio.fidelity", "audio.voices", "video.motion")


def measured(folder: Path) -> list[tuple[Truth, dict[str, Any]]]:
    """Every file of the set that can be read, with its facts."""
    truths = [truth for truth in make_set(folder) if truth.outcome == "ok"]
    return [(truth, through.of(folder / truth.file, STAGES)) for truth in truths]
