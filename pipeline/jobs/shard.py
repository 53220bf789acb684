"""Shard: the kept clips, encoded, in WebDataset tars whose bytes depend on the tables and the recipe alone.

verdicts -> release (a row a sample: its clip, its JSON) -> encode and pack, one worker a shard -> shards, samples
"""

import time
from dataclasses import asdict
from typing import Any

import duckdb
import pyarrow as pa

from manifests.errors import ConfigError
from manifests.ids import digest, recipe
from manifests.query import connect, register, rows
from manifests.schema import CLIPS, SAMPLES, SHARDS
from manifests.table import Table
from pipeline.context import Context, check_error_rate, rate
from pipeline.engine.plan import Part
from pipeline.jobs import generation, run_stages, sample
from pipeline.jobs.decide import KEPT
from pipeline.jobs.shard_work import ShardWorker, encode_recipe
from pipeline.sources.store import Store

VERSION = 3
TEXTS = "compose.texts"
"""The stage whose columns are the texts of a sample."""
RELEASE = pa.schema(
    [
        *CLIPS,
        pa.field("split", pa.string(), False),
        pa.field("audio_class", pa.string(), False),
        pa.field("tasks", pa.list_(pa.string()), False),
        pa.field("text_bytes", pa.int32(), False),
        pa.field("json", pa.binary(), False),
    ]
)


def run(context: Context) -> dict[str, Any]:
    """Write the shards of the clips kept now, as a new generation, or as the one with this very content."""
    started = time.monotonic()
    settings = context.settings.shard
    members = _members(context)
    made_by = recipe("shard", VERSION, "", asdict(encode_recipe(settings)), {})
    content = digest(made_by, settings.shards, *(m["clip_id"] + m["json"] for m in members)).hex()
    release = generation.find_or_start(context.out / "shards", content, settings.shards)
    parts = _parts(release, members)
    plan = context.catalog.table("release", release.recipe, RELEASE)
    for part in parts:
        plan.publish(part.name, [m for m in members if _shard_of(m["clip_id"], release.shards) == part.bucket])
    tables = [context.catalog.table("samples", release.recipe, SAMPLES)]
    tables.append(context.catalog.table("shards", release.recipe, SHARDS))
    worker = ShardWorker(
        plan, tables[0], context.out / "shards" / release.name, release.name, settings, Store(context.settings.sources)
    )
    done = context.work_off("shard", tables, worker, parts, "clips")
    for table in [*tables, plan]:
        context.catalog.set_current(table)
    return {**_outcome(context, release, tables), **rate(started, done)}


def _members(context: Context) -> list[dict[str, Any]]:
    """All kept clips with all their columns, by clip_id."""
    context.catalog.require("verdicts", "decide")
    found, _ = run_stages.ready(context, context.settings.stages)
    con = connect(context.catalog)
    for r in found:
        register(con, r.table)
    columns = "".join(f', "{r.ref.name}"."{c}" AS "{r.ref.name}.{c}"' for r in found for c in r.stage.COLUMNS)
    joins = "".join(f' LEFT JOIN "{r.ref.name}" ON "{r.ref.name}".clip_id = c.clip_id' for r in found)
    kept = rows(
        con,
        f"SELECT c.*, s.licence, s.attribution, s.url, s.extra, v.audio_class, v.tasks {columns} FROM clips c "
        f"JOIN verdicts v ON v.clip_id = c.clip_id JOIN sources s ON s.source_id = c.source_id AND s.outcome = 'ok' "
        f"{joins} WHERE {KEPT} ORDER BY c.clip_id",
    )
    recipes = {r.ref.name: r.table.recipe for r in found}
    _check_annotated(con, [r.table for r in found])
    return [_member(context, clip, recipes) for clip in kept]


def _check_annotated(con: duckdb.DuckDBPyConnection, tables: list[Table]) -> None:
    """Raise ConfigError when a kept clip has no texts: a sample without captions must be nobody's surprise."""
    if TEXTS not in {table.name for table in tables}:
        raise ConfigError("config:annotate", f"the preset's annotate has no {TEXTS}: it writes what the trainer reads")
    without = f"SELECT c.clip_id FROM clips c WHERE {KEPT} AND c.clip_id NOT IN "
    written = f"(SELECT clip_id FROM \"{TEXTS}\" WHERE status = 'ok')"
    left = len(rows(con, without + written))
    if left:
        raise ConfigError(
            "shard:no_texts", f"{left} kept clips have no texts: run `klear annotate`, then `klear decide`, then shard"
        )


def _member(context: Context, clip: dict[str, Any], recipes: dict[str, str]) -> dict[str, Any]:
    settings = context.settings.shard
    split = sample.split_of(clip["source_id"], settings.val, settings.test)
    described = sample.describe(clip, split, recipes)
    texts = described["texts"]
    return {
        **{name: clip[name] for name in CLIPS.names},
        "split": split,
        "audio_class": described["audio_class"],
        "tasks": clip["tasks"],
        "text_bytes": sum(len(texts[name].encode()) for name in ("audio", "speech", "video")),
        "json": sample.dump(described),
    }


def _parts(release: generation.Generation, members: list[dict[str, Any]]) -> list[Part]:
    """One part a shard; its number stands where other jobs have a bucket."""
    by_shard: dict[int, list[bytes]] = {number: [] for number in range(release.shards)}
    for member in members:
        by_shard[_shard_of(member["clip_id"], release.shards)].append(member["clip_id"])
    names = [name.removesuffix(".tar") for name in release.shard_names()]
    return [Part(names[number], number, tuple(keys)) for number, keys in by_shard.items()]


def _shard_of(clip_id: bytes, shards: int) -> int:
    """A function of the id and the number of shards: stable however many clips come and go."""
    return int.from_bytes(clip_id[-8:], "big") % shards


def _outcome(context: Context, release: generation.Generation, tables: list[Table]) -> dict[str, Any]:
    samples, shards = (table.read().to_pylist() for table in tables)
    bad = [row["error_code"] for row in samples if row["status"] == "quarantined"]
    causes = {code: bad.count(code) for code in sorted(set(bad))}
    check_error_rate("shard", len(bad), len(samples), context.settings.engine.max_error_rate, causes)
    return {
        "job": "shard",
        "generation": release.name,
        "planned": len(samples),
        "ok": len(samples) - len(bad),
        "quarantined": len(bad),
        "causes": causes,
        "bytes": sum(row["bytes"] for row in shards),
        "shards": [{"name": row["shard"], "sha256": row["sha256"], "count": row["count"]} for row in shards],
    }
