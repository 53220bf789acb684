"""The numbers of real clips stay what they were: when they change on purpose, bump the stage's VERSION and re-record.

Re-record with `KLEAR_RECORD=1 pytest tests/filters/test_golden.py`, and read the difference.
"""

import importlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from media.onnx import overflows
from media.render import render_views
from media.whole import whole_clip

GOLDEN = Path(__file__).parent / "golden.json"
STAGES = [
    "audio.classes", "audio.loudness", "audio.silence", "audio.fidelity", "audio.dnsmos", "audio.voices",
    "video.technical", "video.motion", "video.stills", "video.borders", "video.edits", "video.faces", "video.watermark",
    "video.text", "safety.nsfw", "sync.av_events", "sync.lips",
]  # fmt: skip
CLIPS = ["grid/lwbsza.mpg", "video/chaplin.mp4", "video/nasa_13013.mp4"]


def measure(path: Path) -> dict[str, dict[str, Any]]:
    """All measures of the first 2.5 s of a file."""
    whole = whole_clip(path)
    clip = replace(whole, frames=round(2.5 * whole.fps))
    stages = [importlib.import_module(f"filters.{name}").STAGE() for name in STAGES]
    facts: dict[str, dict[str, Any]] = {}
    with render_views(clip, sorted({view for stage in stages for view in stage.VIEWS}, key=lambda v: v.name)) as views:
        for stage in stages:
            facts[stage.NAME] = stage(clip, views, facts)
            again = stage(clip, views, facts)
            assert facts[stage.NAME] == again, f"{stage.NAME} gives other numbers the second time"
            assert set(again) <= set(stage.COLUMNS), f"{stage.NAME} writes undeclared columns"
    return facts


def close(found: Any, known: Any, room: float = 0.02) -> bool:
    """Equal, with room for another processor's rounding in the models."""
    if isinstance(known, dict):
        return set(found) == set(known) and all(close(found[key], known[key], room) for key in known)
    if isinstance(known, list):
        return len(found) == len(known) and all(close(*pair, room) for pair in zip(found, known, strict=True))
    if isinstance(known, float):
        return found == pytest.approx(known, rel=0.02, abs=room)
    return bool(found == known)


STEP = 0.05
"""What one step of YAMNet's 8-bit output (0.757 of a logit), in one of the four patches of 2.5 s, can move a score."""


def room_for(stage: str) -> float:
    """The golden numbers are of integer products; where those overflow, the same graph is run in float."""
    return STEP if stage == "audio.classes" and overflows() else 0.02


@pytest.mark.parametrize("name", CLIPS)
def test_measures_of_real_clips(media_dir: Path, name: str) -> None:
    found = json.loads(json.dumps(measure(media_dir / name)))
    versions = {stage: importlib.import_module(f"filters.{stage}").STAGE.VERSION for stage in STAGES}
    book = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("KLEAR_RECORD"):
        book |= {"versions": versions, name: found}
        GOLDEN.write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")
    assert book["versions"] == versions, "a VERSION changed: re-record the golden numbers"
    for stage in STAGES:
        equal = close(found[stage], book[name][stage], room_for(stage))
        assert equal, f"{stage} changed: bump its VERSION and re-record"
