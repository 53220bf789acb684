"""Questions to the tables, asked in DuckDB: facts are columns, everything else is a query over them."""

import atexit
import tempfile
from collections.abc import Sequence
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from manifests import files, parts, sightings, takedowns
from manifests.catalog import Catalog
from manifests.folded import Hidden
from manifests.ids import digest
from manifests.remembered import remembering
from manifests.table import Table

MEMORY = "3GB"
PIECE = 20_000
"""Rows of a part that comes out of a query."""


Buckets = int | Sequence[int] | None
"""One bucket, several, or all."""
GROUP = 500
"""Parts of the clips table in a group of buckets, unless one bucket alone has more."""


def connect(catalog: Catalog, bucket: Buckets = None, asked: str | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with a view for each current table of the catalog, named like the table.

    bucket: show the parts of these buckets only. Everything that is said of a clip lies in its source's bucket, so a
    question about clips can be asked bucket by bucket, in the memory of one. asked: the SQL to come; tables that it
    does not name get no view, which saves opening them.
    `clips` holds the clips of live sources only (of a file that was replaced, the new ones); `all_clips` every one.
    What is taken down is in no view but `all_clips`.
    """
    con = open_duckdb(catalog)
    names = catalog.names()
    hiding = "taken clips" if "taken" in names else ""  # what is taken down is known by the clips, whatever is asked
    tables = catalog.currents(name for name in names if asked is None or name in f"{asked} canonical {hiding}")
    unseen = ""
    if "clips" in tables:
        register(con, tables["clips"], view="all_clips", bucket=bucket)
    if {"clips", "taken"} <= tables.keys() and tables["taken"].published():
        register(con, tables["taken"], bucket=bucket)
        con.execute(f"CREATE OR REPLACE TEMP VIEW taken_clips AS {takedowns.TAKEN_CLIPS}")
        unseen = "clip_id NOT IN (SELECT clip_id FROM taken_clips)"
    for table in tables.values():
        register(con, table, bucket=bucket, where=unseen if "clip_id" in table.schema.names else "")
    if {"clips", "canonical"} <= tables.keys():
        live = "SELECT * FROM all_clips WHERE source_id IN (SELECT source_id FROM canonical)"
        con.execute(f"CREATE OR REPLACE TEMP VIEW clips AS {live}{unseen and f' AND {unseen}'}")
    return con


def open_duckdb(catalog: Catalog) -> duckdb.DuckDBPyConnection:
    """A connection without tables that may read the catalog's place. Its views and tables must be temporary ones.

    All of a process share one database, which uses 3 GB and then a temporary folder: opening one takes 20 ms.
    """
    con = _database().cursor()
    if not files.is_local(catalog.out):
        system = files.system(catalog.out)
        protocols = [system.protocol] if isinstance(system.protocol, str) else system.protocol
        if not any(con.filesystem_is_registered(protocol) for protocol in protocols):
            con.register_filesystem(remembering(system))
    return con


@cache
def _database() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(f"SET memory_limit = '{MEMORY}'")
    con.execute(f"SET temp_directory = {_literal(tempfile.gettempdir())}")
    atexit.register(_close)
    return con


def _close() -> None:
    """Before the interpreter goes: DuckDB complains on stderr of what it finds open then."""
    _database().close()
    _database.cache_clear()


def with_probes(catalog: Catalog, plan: list[tuple[int, files.AnyPath]]) -> duckdb.DuckDBPyConnection:
    """`connect`, with the views `live_probes` and `first_of_content` of all probes. plan: (epoch, file) of its keys."""
    con = connect(catalog)
    epochs = " UNION ALL ".join(f"SELECT key, {epoch} AS epoch FROM {_parquet([path])}" for epoch, path in plan)
    con.execute(f'CREATE TEMP VIEW "plan.probe" AS {epochs}')
    for table in (takedowns.tombstones(catalog), sightings.table_of(catalog)):
        if catalog.current(table.name) is None:
            register(con, table)
    con.execute(f"CREATE TEMP VIEW taken_contents AS {takedowns.TAKEN_CONTENTS}")
    con.execute(f"CREATE TEMP VIEW live_probes AS {LIVE_PROBES}")
    con.execute(f"CREATE TEMP VIEW first_of_content AS {FIRST_OF_CONTENT}")
    return con


def buckets(catalog: Catalog, more: Sequence[Table] = ()) -> list[int]:
    """Buckets that hold clips, or rows of `more`."""
    clips = catalog.current("clips")
    tables = [*more, *([clips] if clips else [])]
    return sorted({number for table in tables for number in table.buckets() if number is not None})


def groups(catalog: Catalog) -> list[list[int]]:
    """The buckets that hold clips, in groups that one question may be asked of at a time in bounded memory."""
    clips = catalog.current("clips")
    found: list[list[int]] = []
    held = GROUP
    for bucket in buckets(catalog):
        parts_here = len(clips.places(bucket)) if clips else 0
        if held + parts_here > GROUP:
            found.append([])
            held = 0
        found[-1].append(bucket)
        held += parts_here
    return found


def publish_by_bucket(con: duckdb.DuckDBPyConnection, sql: str, table: Table, bits: int, place: str) -> None:
    """Publish the rows of a query in parts, by the id that `place` (SQL) gives; buckets are its first `bits` bits."""
    number = bucket_sql(place, bits)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE found AS SELECT *, {place} AS _place, {number} AS _bucket FROM ({sql}) "
        f"ORDER BY _bucket"
    )
    for (bucket,) in con.execute("SELECT DISTINCT _bucket FROM found ORDER BY 1").fetchall():
        answer: pa.Table = con.sql(f"SELECT * FROM found WHERE _bucket = {bucket} ORDER BY _place").to_arrow_table()
        for start in range(0, len(answer), PIECE):
            piece = answer.slice(start, PIECE)
            low, high = (piece["_place"][i].as_py() for i in (0, -1))
            table.publish_table(parts.name(bucket, low, high, digest(table.recipe, start)), piece)
    con.execute("DROP TABLE found")


def bucket_sql(place: str, bits: int) -> str:
    """`ids.bucket` as a DuckDB expression of an id."""
    return f"(('0x' || left(hex({place}), 4))::INTEGER >> {16 - bits})"


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """The rows of a query, as mappings."""
    result = con.execute(sql)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def register(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    view: str | None = None,
    bucket: Buckets = None,
    where: str = "",
) -> list[str]:
    """Make a view (named like the table) over its committed parts; an empty one with the right columns without any.

    bucket: only parts of these buckets, and those of none. where: a condition on its rows, in SQL. Returns the names of
    the parts in the order in which the view has their rows.
    """
    name = view or table.name
    some = [bucket] if isinstance(bucket, int) else bucket
    surveys = [table.survey(number) for number in (table.buckets() if some is None else (None, *some))]
    paths = sorted({place.path for found in surveys for place in found.places.values()})
    if paths:
        held = _select(paths, [span for found in surveys for span in found.hidden])
    else:
        held = f'SELECT * FROM "{name}__empty"'
        con.register(f"{name}__empty", table.schema.empty_table())
    whole = f"SELECT * FROM ({held}) WHERE {where}" if where else held
    con.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {whole}')
    placed = [(place.path, place.rows or (), part) for found in surveys for part, place in found.places.items()]
    return [part for _, _, part in sorted(placed)]


def _select(paths: Sequence[files.AnyPath], hidden: Sequence[Hidden]) -> str:
    """SQL of the rows of these files, less those of folded files that revisions have superseded."""
    if not hidden:
        return f"SELECT * FROM {_parquet(paths)}"
    spans = " OR ".join(
        f"(ends_with(filename, '/{s.file}') AND file_row_number >= {s.start} AND file_row_number < {s.end})"
        for s in hidden
    )
    return (
        f"SELECT * EXCLUDE (filename, file_row_number) FROM {_parquet(paths, 'filename=true, file_row_number=true')} "
        f"WHERE NOT ({spans})"
    )


def _parquet(paths: Sequence[files.AnyPath], *options: str) -> str:
    return f"read_parquet({', '.join(['[' + ', '.join(map(_literal, paths)) + ']', *options])})"


NEWEST_NOTES = "revision DESC, licence NULLS LAST, attribution NULLS LAST, url NULLS LAST, transcript NULLS LAST, extra"
"""SQL: the order of the rows of a source in the listing. Two drivers at once may give two the same revision: then the
same one stands, whoever looks, and one that says something before one that does not."""

LIVE_PROBES = f"""
WITH noted AS (
    SELECT * FROM listing QUALIFY row_number() OVER (PARTITION BY source_key ORDER BY {NEWEST_NOTES}) = 1
), sighted AS (
    SELECT source_key, max(number) AS number FROM sightings GROUP BY source_key
), taken AS (
    SELECT source_key, min(reason) AS reason FROM (
        SELECT source_key, reason FROM taken_contents
        UNION ALL SELECT p.source_key, t.reason FROM probes p JOIN taken_contents t USING (source_id)
    ) GROUP BY ALL
)
SELECT p.* REPLACE (noted.licence AS licence, noted.attribution AS attribution, noted.url AS url,
    noted.transcript AS transcript, noted.extra AS extra, noted.revision AS revision,
    CASE WHEN taken.source_key IS NULL THEN p.status ELSE 'ineligible' END AS status,
    CASE WHEN taken.source_key IS NULL THEN p.error_stage ELSE 'takedown' END AS error_stage,
    CASE WHEN taken.source_key IS NULL THEN p.error_code ELSE 'source:taken_down' END AS error_code,
    CASE WHEN taken.source_key IS NULL THEN p.error_message ELSE taken.reason END AS error_message), planned.epoch
FROM probes p JOIN "plan.probe" planned ON planned.key = p.source_key JOIN noted ON noted.source_key = p.source_key
LEFT JOIN taken ON taken.source_key = p.source_key LEFT JOIN sighted ON sighted.source_key = p.source_key
QUALIFY row_number() OVER (
    PARTITION BY p.uri ORDER BY coalesce(sighted.number, 0) DESC, planned.epoch DESC, p.version DESC, p.source_key) = 1
"""
"""The probe of what was found last under each uri, with the newest notes of its list or sidecar: a replaced file is
another source. What is taken down is ineligible."""

FIRST_OF_CONTENT = """
SELECT source_id, arg_min(source_key, (epoch, name, uri)) AS source_key, arg_min(uri, (epoch, name, uri)) AS uri
FROM live_probes WHERE status = 'ok' GROUP BY source_id
"""
"""The uri that stands for each content: the one seen first. Only its clips are anyone's."""

RESOLVED_SOURCES = """
SELECT p.* EXCLUDE (status, answer, epoch, recipe, refused, revision, error_stage, error_code, error_message, attempts),
    coalesce(cuts.error_stage, p.error_stage) AS error_stage,
    coalesce(cuts.error_code, p.error_code) AS error_code,
    coalesce(cuts.error_message, p.error_message) AS error_message,
    greatest(p.attempts, coalesce(cuts.attempts, 1)) AS attempts,
    CASE WHEN p.status <> 'ok' THEN p.status
         WHEN first.source_key <> p.source_key THEN 'duplicate'
         WHEN cuts.status IS NULL THEN 'pending'
         ELSE cuts.status END AS outcome,
    CASE WHEN first.source_key <> p.source_key THEN first.uri END AS duplicate_of,
    CASE WHEN first.source_key = p.source_key AND cuts.status = 'ok' THEN cuts.clips END AS clips
FROM live_probes p
LEFT JOIN first_of_content first USING (source_id)
LEFT JOIN cuts ON cuts.source_id = p.source_id AND first.source_key = p.source_key
ORDER BY p.name, p.uri
"""
"""A row a uri with its outcome: the probe's, then whether it is the first with its content, then the cut's."""


def wide(stage_columns: dict[str, list[str]], where: str = "true") -> str:
    """SQL of one row a clip: what `clips` says of where it is, then every stage's columns, named `<stage>.<column>`.

    A clip that a stage did not measure has NULL there. Quarantined rows have NULL columns too.
    """
    selected = ["c.clip_id", "c.source_id", "c.bucket", "c.name", "c.uri"]
    joins = []
    for stage, columns in stage_columns.items():
        selected += [f'"{stage}"."{column}" AS "{stage}.{column}"' for column in columns]
        joins.append(f'LEFT JOIN "{stage}" ON "{stage}".clip_id = c.clip_id')
    return f"SELECT {', '.join(selected)} FROM clips c {' '.join(joins)} WHERE {where}"


def _literal(path: object) -> str:
    return "'" + str(path).replace("'", "''") + "'"
