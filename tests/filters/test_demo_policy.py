"""The demo policy on the synthetic set: what is good stays, what is flawed goes, by the gate named for the flaw."""

import importlib
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from filters.policy import load_policy
from filters.verdicts import apply
from media.render import render_views
from media.synth import make_set
from media.whole import whole_clip

STAGES = [
    "audio.classes", "audio.loudness", "audio.silence", "audio.fidelity", "audio.voices",
    "video.technical", "video.motion", "sync.av_events",
]  # fmt: skip
REJECTED = {
    "silent.mp4": "silence_rest",
    "clipped.mp4": "clipping",
    "static.mp4": "moves",
    "sync_p200.mp4": "av_offset",
    "sync_m200.mp4": "av_offset",
}
CLASSES = {
    "speech_over_music": "single_speech",
    "speech": "single_speech",
    "dialogue": "multi_speech",
    "music": "music",
}


def facts_of(path: Path) -> dict:
    """One row of a file's measures, columns `<stage>.<column>`, numbers and strings only."""
    clip = whole_clip(path)
    stages = [importlib.import_module(f"filters.{name}").STAGE() for name in STAGES]
    facts: dict[str, dict] = {}
    with render_views(clip, sorted({view for stage in stages for view in stage.VIEWS}, key=lambda v: v.name)) as views:
        for stage in stages:
            facts[stage.NAME] = stage(clip, views, facts)
    flat = {f"{name}.{key}": value for name, row in facts.items() for key, value in row.items()}
    return {key: value for key, value in flat.items() if isinstance(value, int | float | str)}


@pytest.mark.slow
def test_flaws_are_rejected_by_name_and_the_rest_is_kept(tmp_path: Path) -> None:
    truths = [truth for truth in make_set(tmp_path) if truth.outcome == "ok"]
    rows = [{"clip_id": truth.file.encode(), **facts_of(tmp_path / truth.file)} for truth in truths]
    names = sorted({key for row in rows for key in row})
    with duckdb.connect() as con:
        con.register("measures", pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]))
        verdicts = apply(load_policy("demo"), con, "measures").table.to_pylist()
    for truth in truths:
        (verdict,) = [v for v in verdicts if v["clip_id"] == truth.file.encode()]
        if truth.file in REJECTED:
            assert REJECTED[truth.file] in verdict["rejected_by"], truth.file
        else:
            assert verdict["keep"], (truth.file, verdict["reasons"])
        if truth.kind in CLASSES:
            assert verdict["audio_class"] == CLASSES[truth.kind], truth.file
