"""Questions to the tables, asked in DuckDB: facts are columns, everything else is a query over them."""

from pathlib import Path
from typing import Any

import duckdb

from manifests.catalog import Catalog
from manifests.table import Table


def connect(catalog: Catalog) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with a view for each current table of the catalog, named like the table.

    `clips` holds the clips of live sources only (of a file that was replaced, the new ones); `all_clips` every one.
    """
    con = duckdb.connect()
    con.execute("SET memory_limit = '4GB'")
    tables = catalog.currents(catalog.names())
    for table in tables.values():
        register(con, table)
    for folder in sorted((catalog.root / "plan").glob("*")):
        epochs = f"read_parquet({_literal(folder)} || '/epoch-*.parquet')"
        con.execute(f'CREATE VIEW "plan.{folder.name}" AS SELECT * FROM {epochs}')
    if "clips" in tables:
        register(con, tables["clips"], view="all_clips")
    if {"listing", "probes"} <= tables.keys():
        con.execute(f"CREATE VIEW live_probes AS {LIVE_PROBES}")
        con.execute(f"CREATE VIEW first_of_content AS {FIRST_OF_CONTENT}")
        if "clips" in tables:
            live = "SELECT * FROM all_clips WHERE source_id IN (SELECT source_id FROM first_of_content)"
            con.execute(f"CREATE OR REPLACE VIEW clips AS {live}")
    return con


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """The rows of a query, as mappings."""
    result = con.execute(sql)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def register(con: duckdb.DuckDBPyConnection, table: Table, view: str | None = None) -> None:
    """Make a view (named like the table) over its committed parts; an empty one with the right columns without any."""
    name, parts = view or table.name, sorted(table.published())
    if parts:
        files = ", ".join(_literal(table.path(part)) for part in parts)
        con.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM read_parquet([{files}])')
    else:
        con.register(f"{name}__empty", table.schema.empty_table())
        con.execute(f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM "{name}__empty"')


LIVE_PROBES = """
WITH noted AS (
    SELECT * FROM listing QUALIFY row_number() OVER (PARTITION BY source_key ORDER BY revision DESC) = 1
)
SELECT p.* REPLACE (noted.licence AS licence, noted.attribution AS attribution, noted.url AS url,
    noted.transcript AS transcript, noted.extra AS extra, noted.revision AS revision), planned.epoch
FROM probes p JOIN "plan.probe" planned ON planned.key = p.source_key JOIN noted ON noted.source_key = p.source_key
QUALIFY row_number() OVER (PARTITION BY p.uri ORDER BY planned.epoch DESC, p.version DESC, p.source_key) = 1
"""
"""The newest probe of each uri, with the newest notes of its list or sidecar: a replaced file is another source."""

FIRST_OF_CONTENT = """
SELECT source_id, arg_min(source_key, (epoch, name, uri)) AS source_key, arg_min(uri, (epoch, name, uri)) AS uri
FROM live_probes WHERE status = 'ok' GROUP BY source_id
"""
"""The uri that stands for each content: the one seen first. Only its clips are anyone's."""

RESOLVED_SOURCES = """
WITH counted AS (SELECT source_id, count(*) AS clips FROM clips GROUP BY source_id)
SELECT p.* EXCLUDE (status, epoch, recipe, refused, revision, error_stage, error_code, error_message, attempts),
    coalesce(cuts.error_stage, p.error_stage) AS error_stage,
    coalesce(cuts.error_code, p.error_code) AS error_code,
    coalesce(cuts.error_message, p.error_message) AS error_message,
    greatest(p.attempts, coalesce(cuts.attempts, 1)) AS attempts,
    CASE WHEN p.status <> 'ok' THEN p.status
         WHEN first.source_key <> p.source_key THEN 'duplicate'
         WHEN cuts.status IS NULL THEN 'pending'
         ELSE cuts.status END AS outcome,
    CASE WHEN first.source_key <> p.source_key THEN first.uri END AS duplicate_of,
    CASE WHEN first.source_key = p.source_key AND cuts.status = 'ok' THEN coalesce(counted.clips, 0) END AS clips
FROM live_probes p
LEFT JOIN first_of_content first USING (source_id)
LEFT JOIN cuts ON cuts.source_id = p.source_id AND first.source_key = p.source_key
LEFT JOIN counted ON counted.source_id = p.source_id
ORDER BY p.name, p.uri
"""
"""A row a uri with its outcome: the probe's, then whether it is the first with its content, then the cut's."""


def wide(stage_columns: dict[str, list[str]], where: str = "true") -> str:
    """SQL of one row a clip: `clip_id`, `source_id`, then every stage's columns, named `<stage>.<column>`.

    A clip that a stage did not measure has NULL there. Quarantined rows have NULL columns too.
    """
    selected = ["c.clip_id", "c.source_id", "c.name", "c.uri"]
    joins = []
    for stage, columns in stage_columns.items():
        selected += [f'"{stage}"."{column}" AS "{stage}.{column}"' for column in columns]
        joins.append(f'LEFT JOIN "{stage}" ON "{stage}".clip_id = c.clip_id')
    return f"SELECT {', '.join(selected)} FROM clips c {' '.join(joins)} WHERE {where}"


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
