"""The data jobs from end to end on tiny sources with fast stages: every row accounted for, same bytes every time."""

import json
import os
from fractions import Fraction

import numpy as np
import pytest
import webdataset

from manifests.errors import ConfigError
from media.writer import write_mp4
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, decide, filter, ingest, plan, shard, status, validate


@pytest.fixture(scope="module")
def first(tmp_path_factory, small_sources, small_preset, ray_session):
    """A run on Ray."""
    context = Context(tmp_path_factory.mktemp("first"), load(str(small_preset), []))
    ingest.run(context, [small_sources])
    filter.run(context)
    annotate.run(context)
    decide.run(context)
    return context, shard.run(context)


def test_every_source_and_clip_is_accounted_for(first):
    context, _ = first
    found = status.of(context.catalog)
    assert found["sources"] == {"total": 9, "ok": 5, "ineligible": 1, "duplicate": 1, "quarantined": 2, "pending": 0}
    clips = found["clips"]
    assert clips == {"total": 10, "ok": 10, "kept": 10, "rejected": 0, "quarantined": 0, "pending": 0}
    assert sum(found["causes"].values()) == 2
    assert sum(row["count"] for row in found["shards"]) == 10


def test_the_duplicate_names_its_original(first):
    context, _ = first
    rows = {row["name"]: row for row in context.catalog.require("sources", "ingest").read().to_pylist()}
    assert rows["copy.mp4"]["outcome"] == "duplicate" and rows["copy.mp4"]["duplicate_of"].endswith("clip0.mp4")
    assert rows["note.txt"]["outcome"] == "ineligible" and rows["empty.mp4"]["error_code"] == "media:empty"


def test_a_second_run_gives_the_same_bytes(first, released):
    """Whoever works: actors of a pool, or one process part by part."""
    _, one = first
    _, two = released
    assert (one["ok"], one["causes"]) == (two["ok"], two["causes"]) == (10, {})
    assert [row["sha256"] for row in one["shards"]] == [row["sha256"] for row in two["shards"]]


def test_a_second_run_over_the_same_folder_does_nothing_again(first, small_sources):
    context, one = first
    before = {path: path.stat().st_mtime_ns for path in context.out.rglob("*.parquet")}
    ingest.run(context, [small_sources])
    filter.run(context)
    annotate.run(context)
    assert shard.run(context)["shards"] == one["shards"]
    assert {path: path.stat().st_mtime_ns for path in context.out.rglob("*.parquet")} == before


def test_shards_are_plain_webdataset(first):
    context, made = first
    folder = context.out / "shards" / made["generation"]
    names = [str(folder / row["name"]) for row in made["shards"]]
    samples = list(webdataset.WebDataset(names, shardshuffle=False, empty_check=False))
    assert len(samples) == 10
    described = json.loads(samples[0]["json"])
    assert described["clip_id"] == samples[0]["__key__"] and samples[0]["mp4"][4:8] == b"ftyp"
    assert described["texts"]["video"] and described["source"]["name"].startswith("clip")
    assert {"train", "val"} >= {json.loads(s["json"])["split"] for s in samples}


def test_a_changed_threshold_moves_clips_without_measuring(first, tmp_path):
    context, _ = first
    policy = tmp_path / "loud.yaml"
    policy.write_text("name: loud\ngates:\n  - {name: loud, measure: audio.loudness.rms_db, min: -1, source: ours}\n")
    strict = Context(context.out, context.settings.model_copy(update={"policy": str(policy)}))
    result = decide.run(strict)
    assert (result["kept"], result["rejected"]) == (0, 10) and result["yields"][0]["alone"] == 10
    assert decide.run(context)["kept"] == 10


def test_the_plan_says_what_is_left(first, small_preset):
    context, _ = first
    left = {step["stage"]: step["pending_clips"] for step in plan.of(context)["steps"]}
    assert left["audio.loudness"] == left["compose.texts"] == 0
    changed = Context(context.out, load(str(small_preset), ["tiers.1.stages.0.name=video.motion"]))
    left = {step["stage"]: step["pending_clips"] for step in plan.of(changed)["steps"]}
    assert (left["audio.loudness"], left["video.motion"]) == (0, 10)


def test_all_tables_are_valid(first):
    context, _ = first
    told, _ = validate.run(context.catalog)
    assert len(told["tables"]) >= 10 and told["failed"] == []


def test_jobs_out_of_order_say_what_to_run_first(tmp_path, small_preset):
    context = Context(tmp_path, load(str(small_preset), []))
    with pytest.raises(ConfigError, match="run `klear ingest` first"):
        filter.run(context)
    with pytest.raises(ConfigError, match="run `klear decide` first"):
        annotate.run(context)


def test_odd_sources_cost_themselves_alone(tmp_path, small_sources, small_preset, one_by_one):
    """A slide show too slow for any clip, a name that is not UTF-8, a file replaced after its ingest."""
    folder = tmp_path / "in"
    folder.mkdir()
    good = (small_sources / "clip1.mp4").read_bytes()
    (folder / "good.mp4").write_bytes(good)
    with open(os.fsencode(folder) + b"/bad\xff.mp4", "wb") as file:
        file.write((small_sources / "clip2.mp4").read_bytes())
    slow = np.zeros((3, 64, 64, 3), np.uint8)
    write_mp4(folder / "slow.mp4", slow, Fraction(1, 4), np.zeros((12 * 8000, 1), np.float32), 8000)
    context = Context(tmp_path / "out", load(str(small_preset), ["engine.max_error_rate=1.0"]))
    result = ingest.run(context, [folder])
    assert result["sources"] == 3 and result["pending"] == 0 and result["ok"] >= 2
    (folder / "good.mp4").write_bytes((small_sources / "clip3.mp4").read_bytes())
    filter.run(context)
    assert status.of(context.catalog)["causes"]["media:changed"] == 2
    again = ingest.run(context, [folder])
    assert (again["sources"], again["pending"]) == (3, 0)  # the replaced file is one source still, the new one
    filter.run(context)
    found = status.of(context.catalog)
    assert found["sources"]["total"] == 3 and "media:changed" not in found["causes"]
    assert found["clips"]["total"] == again["clips"] and found["clips"]["quarantined"] == 0


def test_kept_clips_without_texts_are_not_sharded(tmp_path, small_sources, small_preset, one_by_one):
    context = Context(tmp_path, load(str(small_preset), []))
    ingest.run(context, [small_sources])
    filter.run(context)
    with pytest.raises(ConfigError, match="10 kept clips have no texts: run `klear annotate`"):
        shard.run(context)


def test_a_policy_that_reads_an_unknown_measure_is_refused(first, tmp_path):
    context, _ = first
    policy = tmp_path / "typo.yaml"
    policy.write_text("name: typo\ngates:\n  - {name: g, measure: audio.loudnes.rms_db, min: 0, source: ours}\n")
    with pytest.raises(ConfigError, match="did you mean 'audio.loudness.rms_db'"):
        decide.run(Context(context.out, context.settings.model_copy(update={"policy": str(policy)})))


def test_a_stage_whose_input_nobody_makes_is_refused_before_any_work(first, small_preset):
    settings = load(str(small_preset), ["tiers=[{name: cheap, stages: [{name: audio.silence}]}]"])
    with pytest.raises(ConfigError, match=r"audio\.silence reads audio\.classes"):
        filter.run(Context(first[0].out, settings))
