"""The synthetic set, measured once: classes and speakers are looked up in it."""

from pathlib import Path
from typing import Any

from media.synth import make_set
from media.synth.truth import Truth
from pipeline.selfcheck import through

STAGES = ("audio.classes", "audio.voices")


def measured(folder: Path, spoken: bool = False) -> list[tuple[Truth, dict[str, Any]]]:
    """Every file of the set that can be read, with its facts. spoken: only those in which somebody speaks."""
    truths = [truth for truth in make_set(folder, spoken) if truth.outcome == "ok"]
    return [(truth, through.of(folder / truth.file, STAGES)) for truth in truths]
