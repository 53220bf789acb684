"""Takedown: gone from tables, shards of every generation, latents, report and card; as if it had never been there."""

import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import ConfigError
from manifests.query import connect
from manifests.schema import SAMPLES, SHARDS
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import card, decide, ingest, shard, status, takedown, tars, validate, verify


def samples_of(context, release="g0001"):
    found = []
    for path in sorted((context.out / "shards" / release).glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [info.name.removesuffix(".mp4") for info in tar if info.name.endswith(".mp4")]
    return found


def bytes_of(context, release="g0001"):
    return [path.read_bytes() for path in sorted((context.out / "shards" / release).glob("*.tar"))]


def test_a_clip_is_gone_as_if_it_had_never_been_there(copy, small_preset):
    shard.run(Context(copy.out, load(str(small_preset), ["shard.val=0.9"])))
    card.run(copy)
    clip, *others = sorted(samples_of(copy))
    (copy.out / "report" / "clips" / f"{clip}.mp4").write_bytes(b"")
    found = takedown.run(copy, "clip", clip, "asked for")
    assert (found["clips"], sorted(found["shards"])) == (1, ["g0001", "g0002"])
    assert [len(names) for names in found["shards"].values()] == [1, 1]
    assert sorted(samples_of(copy)) == sorted(samples_of(copy, "g0002")) == others
    assert not (copy.out / "report" / "clips" / f"{clip}.mp4").exists()
    for release in ("g0001", "g0002"):
        assert verify.run(copy, release, "none")["damaged"] == []
        assert (copy.out / "shards" / release / "README.md").exists() == (release == "g0002")
    assert "9 clips" in (copy.out / "shards" / "g0002" / "README.md").read_text()
    clips = status.of(copy.catalog)["clips"]
    assert (clips["total"], clips["kept"], clips["pending"]) == (9, 9, 0)
    validate.check(copy.catalog, ["samples", "shards"])

    stamps = {path: path.stat().st_mtime_ns for path in copy.out.rglob("*.tar")}
    assert takedown.run(copy)["shards"] == {}
    assert {path: path.stat().st_mtime_ns for path in copy.out.rglob("*.tar")} == stamps

    decide.run(copy)
    rebuilt = shard.run(copy)
    assert (rebuilt["generation"], rebuilt["ok"]) == ("g0003", 9)
    assert bytes_of(copy, "g0003") == bytes_of(copy)
    rows = [copy.catalog.table(n, _recipe(copy, "g0001"), s).read().to_pylist() for n, s in _TABLES]
    fresh = [copy.catalog.table(n, _recipe(copy, "g0003"), s).read().to_pylist() for n, s in _TABLES]
    own = ("recipe", "generation")
    assert [[{k: v for k, v in row.items() if k not in own} for row in table] for table in rows] == [
        [{k: v for k, v in row.items() if k not in own} for row in table] for table in fresh
    ]


_TABLES = (("samples", SAMPLES), ("shards", SHARDS))


def _recipe(context, release):
    return json.loads((context.out / "shards" / release / "generation.json").read_text())["recipe"]


def test_a_source_goes_with_its_copies(copy, small_sources):
    found = takedown.run(copy, "source", str(small_sources / "copy.mp4"), "not ours")
    assert found["clips"] == 2
    rows = connect(copy.catalog).execute("SELECT name, outcome, error_code, error_message FROM sources").fetchall()
    gone = sorted(row for row in rows if row[2] == "source:taken_down")
    assert gone == [(name, "ineligible", "source:taken_down", "not ours") for name in ("clip0.mp4", "copy.mp4")]
    assert len(samples_of(copy)) == 8
    (again,) = [row for row in rows if row[0] == "clip1.mp4"]
    for name in ("verdicts", "samples", '"audio.loudness"'):
        asked = f"SELECT count(*) FROM {name}"
        assert connect(copy.catalog, asked=asked).execute(asked).fetchall() == [(8,)]
    assert again[1] == "ok" and (small_sources / "copy.mp4").exists()
    ingest.run(copy, [small_sources])
    assert connect(copy.catalog).execute("SELECT count(*) FROM clips").fetchall() == [(8,)]


def test_what_is_not_known_is_an_error(copy):
    for kind, value, match in [
        ("clip", "abc", "32 hex digits"),
        ("clip", "ab" * 16, "no clip"),
        ("source", "ab" * 16, "no source with the id"),
        ("source", "/nowhere.mp4", "lists no source"),
        ("licence", "MIT", "no source is listed under 'MIT'"),
        (None, "", "nothing was ever taken down"),
    ]:
        with pytest.raises(ConfigError, match=match):
            takedown.run(copy, kind, value, "why")
    assert len(samples_of(copy)) == 10


def test_a_licence_goes_also_when_more_come_under_it(tmp_path, small_sources, small_preset, one_by_one):
    folder = tmp_path / "in"
    folder.mkdir()
    licences = {"clip0.mp4": "MIT", "clip1.mp4": "ARR"}
    context = Context(tmp_path / "out", load(str(small_preset), []))

    def ingested():
        for name in licences:
            (folder / name).write_bytes((small_sources / name).read_bytes())
        lines = (json.dumps({"file": name, "license": licence}) for name, licence in licences.items())
        (folder / "metadata.jsonl").write_text("\n".join(lines))
        return ingest.run(context, [folder])

    ingested()
    with pytest.raises(ConfigError, match=r"near: \['MIT'\]"):
        takedown.run(context, "licence", "MITT", "why")
    assert takedown.run(context, "licence", "ARR", "reserved")["clips"] == 2
    assert status.of(context.catalog)["sources"] == {
        "total": 2, "ok": 1, "ineligible": 1, "duplicate": 0, "quarantined": 0, "pending": 0,
    }  # fmt: skip
    licences["clip2.mp4"] = "ARR"
    result = ingested()
    assert (result["ok"], result["ineligible"], result["clips"]) == (1, 2, 2)


def test_latents_go_too(copy):
    keys = sorted(samples_of(copy))
    folder = copy.out / "latents" / "aaaaaaaaaaaaaaaa"
    tars.write(
        folder / "shard-00000.tar",
        [(f"{k}.{kind}", k.encode()) for k in keys for kind in ("json", "latents.safetensors")],
    )
    index, rows = _latents(folder / "shard-00000.tar")
    pq.write_table(index, folder / "index.parquet")
    table = copy.catalog.table("latents", "a" * 32, rows.schema)
    table.publish("shard-00000", rows.to_pylist())
    (folder / "shard-00001.tar").write_bytes(b"not committed")
    assert takedown.run(copy, "clip", keys[3], "asked for")["latents"] == [folder.name]
    index, rows = _latents(folder / "shard-00000.tar")
    assert pq.read_table(folder / "index.parquet").equals(index) and table.read().equals(rows)
    assert index["key"].to_pylist() == keys[:3] + keys[4:] and not (folder / "shard-00001.tar").exists()


def _latents(path):
    with tarfile.open(path) as tar:
        found = [(i.name.partition(".")[0], i.offset_data, i.size) for i in tar if i.name.endswith("safetensors")]
    keys, offsets, sizes = map(list, zip(*found))
    shards = [path.name] * len(keys)
    rest = {"shard": shards, "offset": offsets, "size": sizes}
    ids = pa.array([bytes.fromhex(key) for key in keys], pa.binary(16))
    return pa.table({"key": keys, **rest}), pa.table({"clip_id": ids, **rest})
