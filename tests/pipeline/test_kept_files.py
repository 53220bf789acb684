"""Stems that a preset keeps: from two clips to a tar beside the table, through compaction, and out at a takedown."""

import io
import shutil
import tarfile

import numpy as np
import pytest
import soundfile

from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, compact, decide, filter, ingest, takedown

PRESET = """
cut: {min_s: 1.0, max_s: 2.0}
tiers: [{name: cheap, stages: [{name: audio.loudness}]}]
policy: POLICY
annotate: [{name: separate.stems, params: {keep: KEEP}}, {name: compose.texts}]
engine: {part_clips: 2, bucket_bits: 0}
"""


@pytest.fixture
def annotated(tmp_path, small_sources, small_preset, one_by_one):
    """`annotated(keep)`: the context of a run over two sources of 2 s, a clip each."""

    def run(keep):
        folder = tmp_path / "two"
        folder.mkdir()
        for name in ("clip0.mp4", "clip1.mp4"):
            shutil.copy(small_sources / name, folder)
        preset = tmp_path / "preset.yaml"
        policy = str(small_preset.with_name("policy.yaml"))
        preset.write_text(PRESET.replace("POLICY", policy).replace("KEEP", str(keep).lower()))
        context = Context(tmp_path / "out", load(str(preset), []))
        ingest.run(context, [folder])
        filter.run(context)
        decide.run(context)
        return context, annotate.run(context)

    return run


def stems(context):
    """clip id, in hex -> name -> samples, of all tars under the table."""
    found = {}
    for path in sorted((context.catalog.root / "separate.stems").rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                samples, rate = soundfile.read(io.BytesIO(tar.extractfile(member).read()))
                assert rate == 44_100
                found.setdefault(key, {})[name] = samples
    return found


def test_kept_stems_are_packed_survive_compaction_and_go_when_taken_down(annotated):
    context, counts = annotated(keep=True)
    assert (counts["ok"], counts["quarantined"]) == (2, 0)
    rows = context.catalog.current("separate.stems").read_bucket(0).to_pylist()
    found = stems(context)
    assert found.keys() == {row["clip_id"].hex() for row in rows} and len(rows) == 2
    for row in rows:
        held = found[row["clip_id"].hex()]
        assert row["empty"] == ["voice"] and held.keys() == {"background.flac"}  # a tone in faint noise
        level = 10 * np.log10(np.mean(held["background.flac"] ** 2))
        assert level == pytest.approx(row["background_db"], abs=0.1) and len(held["background.flac"]) == 2 * 44_100
    compact.run(context.catalog, keep_s=0.0)
    compact.run(context.catalog, keep_s=0.0)
    assert stems(context).keys() == found.keys()
    gone, left = (row["clip_id"].hex() for row in rows)
    takedown.run(context, "clip", gone)
    assert stems(context).keys() == {left}


def test_stems_are_gone_with_the_clip_unless_they_are_kept(annotated):
    context, counts = annotated(keep=False)
    assert counts["ok"] == 2 and not list(context.catalog.root.rglob("*.tar"))
