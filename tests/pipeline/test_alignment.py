"""Synchformer and ImageBind through the whole of curation, with random weights in the real formats: columns, gates,
report. What the numbers mean is not the matter here; `tests/filters/sync` and `semantic` hold the models to theirs."""

import math

import numpy as np
import pytest

from manifests.errors import BackendAbsent
from media.writer import write_mp4
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import card, decide, filter, ingest, plan, status

PRESET = """
cut: {min_s: 2.0, max_s: 6.0}
tiers:
  - {name: cheap, stages: [{name: audio.loudness}]}
  - name: dear
    stages:
      - {name: sync.synchformer, params: {weights: SYNCHFORMER, window_step: 2}}
      - {name: semantic.imagebind, params: {weights: IMAGEBIND}}
policy: POLICY
annotate: []
shard: {shards: 1, val: 0.0}
engine: {part_clips: 2, bucket_bits: 1}
"""
POLICY = """
name: aligned
gates:
  - {name: in_sync, measure: sync.synchformer.desync_s, max: 3.0, source: a test}
  - {name: belongs, measure: semantic.imagebind.cosine, min: -0.5, source: a test}
  - {name: never, measure: sync.synchformer.entropy, max: 0.0, source: a test}
"""


@pytest.fixture
def preset(tmp_path, tiny_synchformer, tiny_imagebind):
    text = PRESET.replace("SYNCHFORMER", str(tiny_synchformer)).replace("IMAGEBIND", str(tiny_imagebind))
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "aligned.yaml").write_text(text.replace("POLICY", str(tmp_path / "policy.yaml")))
    return tmp_path / "aligned.yaml"


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    for number, seconds in enumerate((6, 6, 3)):
        drawn = np.random.default_rng(number)
        x = np.arange(160)[None, None, :, None] + np.arange(25 * seconds)[:, None, None, None] * (number + 2)
        pictures = np.broadcast_to(127 + 100 * np.sin(x / 9), (25 * seconds, 120, 160, 3)).astype(np.uint8)
        sound = 0.1 * drawn.standard_normal((44_100 * seconds, 2)).astype(np.float32)
        write_mp4(folder / f"clip{number}.mp4", pictures, 25, sound, 44_100)
    return folder


def test_columns_gates_and_report(tmp_path, preset, sources, one_by_one):
    context = Context(tmp_path / "out", load(str(preset), []))
    ingest.run(context, [sources])
    filter.run(context)
    sync = context.catalog.require("sync.synchformer", "measure").read().to_pylist()
    assert sorted(row["judged"] for row in sync) == ["measured", "measured", "too short"]
    for row in sync:
        short = row["judged"] == "too short"
        assert row["status"] == "ok" and (row["desync_s"] is None) == (row["window_offsets_s"] is None) == short
    cosines = [row["cosine"] for row in context.catalog.require("semantic.imagebind", "measure").read().to_pylist()]
    assert len(cosines) == 3 and all(-1 <= cosine <= 1 and not math.isnan(cosine) for cosine in cosines)
    decide.run(context)
    clips = status.of(context.catalog)["clips"]
    assert (clips["kept"], clips["rejected"]) == (1, 2), "what is too short is unmeasured, which rejects nobody"
    card.run(context)
    text = (context.out / "report" / "index.html").read_text()
    for said in ("synchformer", "imagebind", "non-commercial"):
        assert said in text
    assert "non-commercial" in str(plan.licences(context))


def test_clips_held_together_have_the_rows_of_clips_alone(tmp_path, preset, sources, one_by_one):
    found = {}
    for at_once in (1, 3):
        settings = load(
            str(preset), [f"engine.needs={{measure.dear: {{clips_at_once: {at_once}}}}}", "engine.part_clips=8"]
        )
        context = Context(tmp_path / str(at_once), settings)
        ingest.run(context, [sources])
        filter.run(context)
        for name in ("sync.synchformer", "semantic.imagebind"):
            rows = context.catalog.require(name, "measure").read().sort_by("clip_id").to_pylist()
            found[at_once, name] = rows
    for name in ("sync.synchformer", "semantic.imagebind"):
        alone, together = found[1, name], found[3, name]
        assert len(alone) == 3
        for one, other in zip(alone, together):
            assert one.keys() == other.keys()
            for key, value in one.items():
                number = isinstance(value, (float, list))
                assert other[key] == (pytest.approx(value, abs=1e-4) if number else value), (name, key)


def test_absent_weights_stop_the_job_before_any_work(tmp_path, preset, sources, one_by_one):
    preset.write_text(preset.read_text().replace("tiny.pth", "nowhere.pth"))
    context = Context(tmp_path / "out", load(str(preset), []))
    ingest.run(context, [sources])
    with pytest.raises(BackendAbsent, match="CC-BY-NC-SA"):
        filter.run(context)
