"""Files that are replaced, put back and copied: what is there now is what counts, and no row is lost on the way."""

import os
import shutil

import pytest

from pipeline.config import load
from pipeline.context import Context
from pipeline.engine import pool
from pipeline.jobs import ingest, validate


@pytest.fixture
def context(tmp_path, small_preset, one_by_one):
    return Context(tmp_path / "out", load(str(small_preset), ["engine.max_error_rate=1.0", "engine.bucket_bits=0"]))


@pytest.fixture
def put(tmp_path, small_sources):
    """Puts a clip at a name, as it was before if it ever was there: its time is that of the clip."""
    (tmp_path / "in").mkdir()

    def copy(clip, name="x.mp4"):
        path = tmp_path / "in" / name
        shutil.copy(small_sources / f"clip{clip}.mp4", path)
        os.utime(path, ns=(clip * 10**9, clip * 10**9))
        return path

    return copy


def outcomes(context):
    rows = context.catalog.require("sources", "").read().to_pylist()
    return {row["name"]: (row["outcome"], row["version"]) for row in rows}


def test_a_file_that_is_put_back_is_the_source_again(context, put):
    for clip in (3, 1, 3, 1, 2, 2, 3, 0, 1):
        path = put(clip)
        result = ingest.run(context, [path])
        assert outcomes(context) == {"x.mp4": ("ok", f"mtime:{clip * 10**9}")}
        assert (result["sources"], result["ok"], result["pending"], result["clips"]) == (1, 1, 0, 2)
    assert validate.run(context.catalog)[0]["failed"] == []


def test_files_that_are_never_replaced_need_no_sightings(context, put):
    put(0), put(1, "y.mp4")
    ingest.run(context, [put(0).parent])
    before = {name: context.catalog.current(name).recipe for name in context.catalog.names()}
    ingest.run(context, [put(1, "y.mp4")])
    assert "sightings" not in before
    assert before == {name: context.catalog.current(name).recipe for name in context.catalog.names()}


def test_what_is_not_named_is_where_it_was(context, put):
    put(0), put(1, "y.mp4")
    ingest.run(context, [put(0).parent])
    ingest.run(context, [put(2)])
    put(0), put(3, "y.mp4")
    ingest.run(context, [put(0)])  # y was not looked at
    assert outcomes(context) == {"x.mp4": ("ok", "mtime:0"), "y.mp4": ("ok", f"mtime:{10**9}")}


def test_a_source_that_was_away_when_its_part_was_cut_is_cut_when_it_is_back(context, put, monkeypatch):
    """Planned, and then the run ends; replaced, and its part is committed without it; put back."""
    put(0), put(1, "y.mp4")
    folder, run = put(0).parent, pool.run
    with monkeypatch.context() as patch:
        patch.setattr(pool, "run", lambda job, *rest: None if job.name == "cut" else run(job, *rest))
        assert ingest.run(context, [folder])["pending"] == 2
    put(2)
    assert ingest.run(context, [folder])["clips"] == 4
    for clip in (0, 2, 0):
        put(clip)
        result = ingest.run(context, [folder])
        assert (result["ok"], result["pending"], result["clips"]) == (2, 0, 4)
    state = context.catalog.require("clips", "").state()
    assert [part[-2:] == "~1" for part in state].count(True) == 1 and ingest.run(context, [folder])["done_now"] == 0
    assert context.catalog.require("clips", "").state() == state
    assert validate.run(context.catalog)[0]["failed"] == []
