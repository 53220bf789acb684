"""Shard: the kept clips, encoded, in WebDataset tars whose bytes depend on the tables and the recipe alone.

verdicts -> release (a row a sample: its clip, its shard) -> describe, encode and pack, one worker a shard -> shards,
samples

A clip that an earlier generation holds, encoded alike, is copied from there; what is said of it is always written anew.
A shard takes its clips from one stretch of buckets, so planning and writing it need those buckets alone.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import ConfigError
from manifests.ids import digest, recipe
from manifests.query import buckets, connect, open_duckdb, register
from manifests.schema import RELEASE, SAMPLES, SHARDS
from manifests.table import Table
from pipeline import console
from pipeline.context import Context, check_error_rate, rate
from pipeline.engine.plan import Part
from pipeline.engine.redo import quarantined_sql
from pipeline.hardware import with_decoder, with_encoder
from pipeline.jobs import balance, generation, mend, run_stages
from pipeline.jobs.decide import KEPT
from pipeline.jobs.describe import Describer
from pipeline.jobs.encoded import Release, encoding
from pipeline.jobs.shard_work import COPY, ENCODE, ShardWorker
from pipeline.sources.store import Store

VERSION = 4
TEXTS = "compose.texts"
"""The stage whose columns are the texts of a sample."""


def run(context: Context) -> dict[str, Any]:
    """Write the shards of the clips kept now, as a new generation, or as the one with this very content."""
    started = time.monotonic()
    context = replace(context, settings=with_encoder(context.settings))
    settings = context.settings.shard
    found, content = _ready(context)
    again = context.redo is not None
    if again and content not in {known.recipe for known in generation.listed(context.out / "shards")}:
        return {"job": "shard", "next": "its clips are in no generation as they are now: `klear shard` makes a new one"}
    release = generation.find_or_start(context.out / "shards", content, settings.shards, encoding(settings))
    planned = context.catalog.table("release", release.recipe, RELEASE)
    parts = _plan(context, release, planned)
    tables = [context.catalog.table("samples", release.recipe, SAMPLES)]
    tables.append(context.catalog.table("shards", release.recipe, SHARDS))
    store = Store(with_decoder(context.settings.sources))
    describer = Describer(context.catalog, tuple(r.ref for r in found), {r.ref.name: r.table for r in found}, settings)
    folder = context.out / "shards" / release.name
    earlier = _earlier(context, release)
    if again:  # a shard is rebuilt where it lies: the clips that it holds are copied, and are as they were
        earlier = (Release(tables[0], folder, release.shards), *earlier)
        parts = _with_quarantined(context, tables[0], planned, parts)
    made_of = (planned, tables[0], folder, release.name, settings, describer, store)
    worker = ShardWorker(*made_of, earlier, rebuild=again)
    made: Counter[str] = Counter()

    def count(event: dict[str, Any]) -> None:
        made.update({stage["stage"]: stage["keys"] for stage in event["stages"]})

    lost = [] if again else mend.lost(folder, tables, parts)
    done = context.work_off("shard", tables, worker, parts, "clips", on_event=count, whole=True)
    if lost:
        mender = mend.MendWorker(*made_of, earlier, shards=tables[1])
        done += mend.run(context, mender, lost, count)
    for table in [*tables, planned]:
        context.catalog.set_current(table)
    outcome = _outcome(context, release, tables)
    if outcome["balance"]["advice"]:
        console.say(outcome["balance"]["advice"], "shards", "yellow")
    return {**outcome, "copied": made[COPY], "encoded": made[ENCODE], **rate(started, done)}


def would_make(context: Context) -> str:
    """The recipe of the generation that `run` would write, or add to, now. Raises as `run` does before any work."""
    return _ready(replace(context, settings=with_encoder(context.settings)))[1]


def _ready(context: Context) -> tuple[list[run_stages.Ready], str]:
    """The stages that tell of the clips, and the recipe of the generation that comes of them."""
    context.check_layout()
    context.catalog.require("verdicts", "decide")
    found, _ = run_stages.ready(context, context.settings.stages)
    _check_annotated(context, [r.table for r in found])
    return found, _content(context, found)


def _with_quarantined(context: Context, samples: Table, planned: Table, parts: list[Part]) -> list[Part]:
    """The shards with samples that the causes of the context's `redo` quarantined."""
    con = open_duckdb(context.catalog)
    register(con, samples)
    register(con, planned)
    bad = quarantined_sql(samples, context.redo or frozenset())
    found = con.execute(f"SELECT DISTINCT shard FROM release WHERE clip_id IN (SELECT key FROM ({bad}))").fetchall()
    return [part for part in parts if (part.bucket,) in found]


def _earlier(context: Context, release: generation.Generation) -> tuple[Release, ...]:
    """Other generations with clips encoded alike, the newest first."""
    folder = context.out / "shards"
    alike = [g for g in generation.listed(folder) if g.encode == release.encode and g.name != release.name]
    return tuple(
        Release(context.catalog.table("samples", g.recipe, SAMPLES), folder / g.name, g.shards) for g in alike[::-1]
    )


def _check_annotated(context: Context, tables: list[Table]) -> None:
    """Raise ConfigError when a kept clip has no texts: a sample without captions must be nobody's surprise."""
    texts = next((table for table in tables if table.name == TEXTS), None)
    if texts is None:
        raise ConfigError("config:annotate", f"the preset's annotate has no {TEXTS}: it writes what the trainer reads")
    without = f"SELECT count(*) FROM clips c WHERE {KEPT} AND c.clip_id NOT IN "
    written = f"(SELECT clip_id FROM \"{TEXTS}\" WHERE status = 'ok')"
    left = sum(con.execute(without + written).fetchall()[0][0] for _, con in _by_bucket(context, without, [texts]))
    if left:
        raise ConfigError(
            "shard:no_texts", f"{left} kept clips have no texts: run `klear annotate`, then `klear decide`, then shard"
        )


def _by_bucket(
    context: Context, asked: str, tables: Sequence[Table] = ()
) -> Iterator[tuple[int, duckdb.DuckDBPyConnection]]:
    for bucket in buckets(context.catalog):
        con = connect(context.catalog, bucket, asked)
        for table in tables:
            register(con, table, bucket=bucket)
        yield bucket, con


def _content(context: Context, found: list[run_stages.Ready]) -> str:
    """What the shards are a function of: how they are made, the recipes and revisions of what is said of the clips, and
    which clips are kept, for what, under which licence."""
    settings = context.settings.shard
    made_by = recipe("shard", VERSION, "", {}, {"encode": encoding(settings)})
    split = f"{settings.val} {settings.test}"
    known = [f"{r.ref.name}/{r.table.recipe}" for r in found]
    known += [f"{r.ref.name}/{name}" for r in found for name in r.table.state() if "~" in name]
    return digest(made_by, settings.shards, split, *sorted(known), *_kept(context)).hex()


def _kept(context: Context) -> Iterator[str]:
    """One line a bucket that changes with every kept clip, its class, tasks and licence; in any order of the rows."""
    fields = (
        "c.clip_id",
        "c.recipe",
        "v.audio_class",
        "v.tasks",
        "s.licence",
        "s.attribution",
        "s.url",
        "s.extra",
        "c.name",
    )
    text = "concat_ws('|', " + ", ".join(f"coalesce(CAST({name} AS VARCHAR), '-')" for name in fields) + ")"
    for bucket, con in _by_bucket(context, MEMBERS):
        sql = f"SELECT count(*), bit_xor(md5_number({text}))::VARCHAR FROM {MEMBERS}"
        count, mixed = con.execute(sql).fetchall()[0]
        if count:
            yield f"{bucket} {count} {mixed}"


MEMBERS = (
    "clips c JOIN verdicts v ON v.clip_id = c.clip_id AND v.keep "
    "JOIN sources s ON s.source_id = c.source_id AND s.outcome = 'ok'"
)


def _plan(context: Context, release: generation.Generation, planned: Table) -> list[Part]:
    """Write which clip goes to which shard; the parts, whose number stands where others have a bucket."""
    names = [name.removesuffix(".tar") for name in release.shard_names()]
    if (known := planned.published()) < set(names):
        for name, rows in _shares(context, release, planned.schema, names):
            planned.publish_table(name, rows, known)
    counts = planned.counts()
    return [Part(name, number, counts[name]) for number, name in enumerate(names)]


def _shares(
    context: Context, release: generation.Generation, schema: pa.Schema, names: list[str]
) -> Iterator[tuple[str, pa.Table]]:
    """The name of every shard, in order, and the rows of its samples."""
    count = 1 << context.settings.engine.bucket_bits
    held: dict[int, list[pa.Table]] = {}
    given = 0

    def up_to(end: int) -> Iterator[tuple[str, pa.Table]]:
        for number in range(given, end):
            yield names[number], pa.concat_tables([schema.empty_table(), *held.pop(number, [])])

    for bucket, con in _by_bucket(context, MEMBERS):
        sql = f"SELECT c.clip_id, c.source_id, c.bucket, {_shard_sql(count, release.shards)} AS shard FROM {MEMBERS}"
        rows = con.sql(f"{sql} ORDER BY shard, c.clip_id").to_arrow_table().select(schema.names).cast(schema)
        for number in rows["shard"].unique().to_pylist():
            held.setdefault(number, []).append(rows.filter(pc.equal(rows["shard"], number)))
        whole = bucket * release.shards // count  # no later bucket reaches a shard below this one
        yield from up_to(whole)
        given = max(given, whole)
    yield from up_to(release.shards)


def _shard_sql(buckets_in_all: int, shards: int) -> str:
    """The shard of a clip, as SQL: its bucket's stretch of the shards, and a place in it by the clip's last bytes.

    A function of the ids and the number of shards: stable however many clips come and go.
    """
    place = "('0x' || right(hex(c.clip_id), 8))::UBIGINT / 4294967296.0"
    return f"least(floor((c.bucket + {place}) * {shards} / {buckets_in_all}), {shards - 1})::INTEGER"


def _outcome(context: Context, release: generation.Generation, tables: list[Table]) -> dict[str, Any]:
    con = open_duckdb(context.catalog)
    register(con, tables[0])
    counted = con.execute("SELECT error_code, count(*) FROM samples GROUP BY 1 ORDER BY 1").fetchall()
    causes = {code: count for code, count in counted if code}
    planned, bad = sum(count for _, count in counted), sum(causes.values())
    check_error_rate("shard", bad, planned, context.settings.engine.max_error_rate, causes)
    listed = tables[1].read().to_pylist()
    return {
        "job": "shard",
        "generation": release.name,
        "planned": planned,
        "ok": planned - bad,
        "quarantined": bad,
        "causes": causes,
        "bytes": sum(row["bytes"] for row in listed),
        "balance": balance.of([row["count"] for row in listed], [row["bytes"] for row in listed]),
        "shards": [{"name": row["shard"], "sha256": row["sha256"], "count": row["count"]} for row in listed],
    }
