"""Retry heals what failed for a while, and touches nothing else."""

import io
import shutil

import pytest

from manifests.catalog import Catalog
from manifests.errors import ConfigError, MediaError
from manifests.table import Table
from pipeline import console
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, compact, decide, ingest, retry, shard, status
from pipeline.jobs import filter as filter_job

LOOSE = "engine.max_error_rate=1.0"


@pytest.fixture
def sources(tmp_path, small_sources):
    """A copy of the small sources, to take files away from."""
    return shutil.copytree(small_sources, tmp_path / "in")


@pytest.fixture
def context(tmp_path, small_preset, one_by_one):
    return Context(tmp_path / "out", load(str(small_preset), [LOOSE]))


def contents(catalog):
    """Table -> part and revision -> rows, of everything that is committed now."""
    tables = catalog.currents(name for name in catalog.names() if name != "events")
    return {
        name: {part: table.read_part(part.partition("~")[0]).to_pylist() for part in table.state()}
        for name, table in tables.items()
    }


def rest(context):
    """The commands that retry says to run next."""
    filter_job.run(context)
    annotate.run(context)
    decide.run(context)


def test_a_source_that_was_away_when_it_was_measured(context, sources, tmp_path, one_by_one):
    ingest.run(context, [sources])
    (sources / "clip1.mp4").rename(tmp_path / "away")
    filter_job.run(context)
    before = status.of(context.catalog)
    assert before["clips"]["quarantined"] == 2 and before["causes"]["media:missing"] == 2
    (tmp_path / "away").rename(sources / "clip1.mp4")
    was, worked = contents(context.catalog), len(one_by_one)
    told = retry.run(context, ["media:missing"])
    assert (told["retried"], told["healed"]) == (2, 2)
    assert told["jobs"] == [{"job": "measure.cheap", "retried": 2, "healed": 2, "still": 0}]
    assert told["next"] == ["filter", "annotate", "decide", "shard"] and told["kept"] == 10
    assert sum(rows for _, _, rows in one_by_one[worked:]) == 2  # nothing else was done again
    found = status.of(context.catalog)
    assert found["clips"] == {"total": 10, "ok": 10, "kept": 10, "rejected": 0, "quarantined": 0, "pending": 0}
    assert "media:missing" not in found["causes"]
    now = contents(context.catalog)
    untouched = [(name, part) for name in was for part in was[name] if name != "verdicts" and part in now[name]]
    assert len(untouched) >= 10 and all(was[name][part] == now[name][part] for name, part in untouched)
    assert {name for name in now for part in now[name] if "~" in part} == {
        "audio.loudness",
        "audio.fidelity",
        "video.technical",
    }
    assert retry.run(context, ["media:missing"])["retried"] == 0


def test_a_cause_that_no_row_has_is_said(context, sources, monkeypatch):
    ingest.run(context, [sources])
    (sources / "clip1.mp4").unlink()
    filter_job.run(context)
    file = io.StringIO()
    monkeypatch.setattr(console.err, "_file", file)
    told = retry.run(context, ["media:mising", "crash:[/x]"])
    assert told["retried"] == 0 and told["jobs"] == []
    assert told["unknown"] == [
        {"cause": "media:mising", "nearest": "media:missing"},
        {"cause": "crash:[/x]", "nearest": None},
    ]
    assert {"cause": "media:missing", "rows": 6} in told["causes"]
    retry.show(told)
    said = file.getvalue()
    assert "no row is quarantined with 'media:mising'; did you mean 'media:missing'?" in said
    assert "no row is quarantined with 'crash:[/x]'\n" in said and "media:missing (6 rows)" in said
    assert "media:missing" not in {row["cause"] for row in retry.run(context, ["x:y"], ["probe", "cut"])["causes"]}
    assert retry.run(context, ["media:missing"])["unknown"] == []


def test_what_fails_again_stays_as_it_is(context, sources):
    ingest.run(context, [sources])
    (sources / "clip1.mp4").unlink()
    filter_job.run(context)
    was = contents(context.catalog)
    told = retry.run(context, ["media:missing"])
    assert (told["retried"], told["healed"], told["next"]) == (2, 0, [])
    assert contents(context.catalog) == was


@pytest.mark.parametrize("where", ["probe", "cut"])
def test_a_source_heals_into_clips(context, sources, tmp_path, monkeypatch, small_preset, one_by_one, where):
    from pipeline.jobs import cut, probe

    module, name = (probe, "ProbeWorker") if where == "probe" else (cut, "CutWorker")
    method = "values" if where == "probe" else "clips_of"
    real = getattr(getattr(module, name), method)

    def down(self, row, *more):
        if row["name"] == "clip2.mp4":
            raise MediaError("source:http", "503 for now")
        return real(self, row, *more)

    with monkeypatch.context() as patch:
        patch.setattr(getattr(module, name), method, down)
        ingest.run(context, [sources])
        rest(context)
    found = status.of(context.catalog)
    assert found["clips"]["total"] == 8 and found["sources"]["quarantined"] == 3
    told = retry.run(context, ["source:http"])
    assert told["jobs"] == [{"job": where, "retried": 1, "healed": 1, "still": 0}] and told["healed"] == 1
    rest(context)
    whole = Context(tmp_path / "whole", context.settings)
    ingest.run(whole, [sources])
    rest(whole)
    found, wanted = (status.of(c.catalog) for c in (context, whole))
    assert found["clips"] == wanted["clips"] and found["sources"] == wanted["sources"]
    for table in ("clips", "cuts", "audio.loudness", "video.stills", "compose.texts"):
        one, two = (c.catalog.require(table, "").read().sort_by(_key(c, table)) for c in (context, whole))
        assert one.to_pylist() == two.to_pylist()


def _key(context, table):
    return context.catalog.require(table, "").schema.names[0]


def test_a_shard_that_lacked_a_clip_is_rebuilt_in_its_place(context, sources, tmp_path, one_by_one, monkeypatch):
    from pipeline.jobs import shard_work

    ingest.run(context, [sources])
    rest(context)
    real = shard_work.encode_bytes
    lost = context.catalog.require("clips", "").read(["clip_id"])["clip_id"].to_pylist()[3]

    def busy(clip, recipe):
        if clip.clip_id == lost:
            raise MediaError("media:timeout", "too slow this time")
        return real(clip, recipe)

    with monkeypatch.context() as patch:
        patch.setattr(shard_work, "encode_bytes", busy)
        broken = shard.run(context)
    assert (broken["ok"], broken["quarantined"], broken["causes"]) == (9, 1, {"media:timeout": 1})
    told = retry.run(context, ["media:timeout"], ["shard"])
    assert told["jobs"] == [{"job": "shard", "retried": 1, "healed": 1, "still": 0}]
    healed = shard.run(context)
    whole = Context(tmp_path / "whole", context.settings)
    ingest.run(whole, [sources])
    rest(whole)
    made = shard.run(whole)
    assert healed["generation"] == "g0001" and healed["shards"] == made["shards"]
    for out in (context.out, whole.out):
        table = Catalog(out).require("samples", "shard").read().sort_by("clip_id").to_pylist()
        assert len(table) == 10 and {row["status"] for row in table} == {"ok"}
    tars = [sorted((out / "shards" / "g0001").glob("*.tar")) for out in (context.out, whole.out)]
    assert [path.read_bytes() for path in tars[0]] == [path.read_bytes() for path in tars[1]]


def test_a_compacted_folder_heals_too(context, sources, tmp_path):
    ingest.run(context, [sources])
    (sources / "clip1.mp4").rename(tmp_path / "away")
    filter_job.run(context)
    (tmp_path / "away").rename(sources / "clip1.mp4")
    for _ in range(2):
        compact.run(context.catalog, keep_s=0.0)
    assert retry.run(context, ["media:missing"])["healed"] == 2
    compact.run(context.catalog, keep_s=0.0)
    found = status.of(context.catalog)["clips"]
    assert (found["total"], found["kept"], found["quarantined"]) == (10, 10, 0)


def test_killed_between_two_tables_it_heals_at_the_next_try(context, sources, monkeypatch):
    from pipeline.jobs import cut

    real = cut.CutWorker.clips_of

    def down(self, row, *more):
        if row["name"] == "clip2.mp4":
            raise MediaError("media:timeout", "too slow this time")
        return real(self, row, *more)

    with monkeypatch.context() as patch:
        patch.setattr(cut.CutWorker, "clips_of", down)
        ingest.run(context, [sources])
    amend = Table.amend

    def killed(self, part, change):
        if self.name == "cuts":
            raise KeyboardInterrupt
        amend(self, part, change)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Table, "amend", killed)
        retry.run(context, ["media:timeout"])
    assert retry.run(context, ["media:timeout"])["healed"] == 1
    clips = context.catalog.require("clips", "").read(["clip_id"])["clip_id"].to_pylist()
    assert len(clips) == len(set(clips)) == 10


def test_unknown_jobs_and_no_causes_are_refused(context):
    with pytest.raises(ConfigError, match="no job 'measure.chep'"):
        retry.run(context, ["media:timeout"], ["measure.chep"])
    with pytest.raises(ConfigError, match="give --cause"):
        retry.run(context, [])
