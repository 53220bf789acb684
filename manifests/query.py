"""Questions to the tables, asked in DuckDB: facts are columns, everything else is a query over them."""

import duckdb

from manifests.catalog import Catalog
from manifests.table import Table


def connect(catalog: Catalog) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with a view for each current table of the catalog, named like the table."""
    con = duckdb.connect()
    con.execute("SET memory_limit = '4GB'; SET threads = 2")
    for name in catalog.names():
        table = catalog.current(name)
        assert table is not None
        register(con, table)
    return con


def register(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Make a view over the committed parts of a table; an empty one with the right columns when there are none."""
    parts = sorted(table.published())
    if parts:
        files = ", ".join("'" + str(table.path(part)).replace("'", "''") + "'" for part in parts)
        con.execute(f'CREATE OR REPLACE VIEW "{table.name}" AS SELECT * FROM read_parquet([{files}])')
    else:
        con.register(f"{table.name}__empty", table.schema.empty_table())
        con.execute(f'CREATE OR REPLACE VIEW "{table.name}" AS SELECT * FROM "{table.name}__empty"')


RESOLVED_SOURCES = """
WITH first AS (
    SELECT source_id, arg_min(source_key, (epoch, name, uri)) AS source_key, arg_min(uri, (epoch, name, uri)) AS uri
    FROM probes WHERE status = 'ok' GROUP BY source_id
), counted AS (SELECT source_id, count(*) AS clips FROM clips GROUP BY source_id)
SELECT p.* EXCLUDE (status, epoch, recipe, error_stage, error_code, error_message, attempts),
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
FROM probes p
LEFT JOIN first USING (source_id)
LEFT JOIN cuts ON cuts.source_id = p.source_id AND first.source_key = p.source_key
LEFT JOIN counted ON counted.source_id = p.source_id
ORDER BY name, uri
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
