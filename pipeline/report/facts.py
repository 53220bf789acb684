"""What the report knows: one DuckDB connection over the current tables, with a view of a row a clip."""

from dataclasses import dataclass
from typing import Any

import duckdb

from filters.capability import final_class
from manifests.catalog import Catalog
from manifests.query import Buckets, connect, rows, wide
from manifests.schema import KEY

MISSING = {
    "sources": "ingest",
    "clips": "ingest",
    "audio.classes": "filter",
    "verdicts": "filter",
    "compose.texts": "annotate",
    "samples": "shard",
}
"""Tables that a whole run has, and the command that makes each."""
SAMPLED = 200_000
"""Plots read at most about this many clips, chosen by their ids."""
_NUMBERS = ("DOUBLE", "FLOAT", "INTEGER", "BIGINT")
_KEY = {field.name for field in KEY}


@dataclass(frozen=True)
class Facts:
    """The tables of an output folder, open for questions. `have`: current tables; `stages`: stage -> own columns.

    The view `report` has a row a clip: the columns of `clips`; every `<stage>.<column>`; `class` (final audio class,
    NULL when not measured); `outcome` (kept | rejected | quarantined | pending); `rejected_by`, `reasons`,
    `unmeasured`, `tasks` of its verdict.
    """

    con: duckdb.DuckDBPyConnection
    have: frozenset[str]
    stages: dict[str, list[str]]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query, as mappings."""
        return rows(self.con, sql)

    def one(self, sql: str) -> Any:
        """The only value of a query."""
        found = self.con.execute(sql).fetchone()
        return found[0] if found else None

    def missing(self) -> list[dict[str, str]]:
        """Tables that are not there yet, with the command that makes them."""
        return [{"table": name, "command": job} for name, job in MISSING.items() if name not in self.have]

    def numbers(self) -> list[str]:
        """Names `<stage>.<column>` of all numeric columns of stages, in the order of the tables."""
        if "clips" not in self.have:
            return []
        kinds = {row["column_name"]: row["column_type"] for row in self.rows("DESCRIBE report")}
        names = [f"{stage}.{column}" for stage, columns in self.stages.items() for column in columns]
        return [name for name in names if kinds[name] in _NUMBERS]


def gather(catalog: Catalog, bucket: Buckets = None) -> Facts:
    """Open the current tables of an output folder (of these buckets); works at any time of a run."""
    con = connect(catalog, bucket)
    names = catalog.names()
    stages: dict[str, list[str]] = {}
    for name in (name for name in names if "." in name):
        table = catalog.current(name)
        assert table is not None
        stages[name] = [column for column in dict.fromkeys(table.schema.names) if column not in _KEY]
    if "clips" in names:
        con.execute(f"CREATE TEMP VIEW report AS {_view(stages, 'verdicts' in names)}")
    return Facts(con, frozenset(names), stages)


def quarantined(stages: dict[str, list[str]]) -> str:
    """SQL of the clip_ids that any stage has quarantined."""
    found = [f"SELECT clip_id FROM \"{name}\" WHERE status = 'quarantined'" for name in stages]
    return " UNION ".join(found) or "SELECT CAST(NULL AS BLOB) AS clip_id WHERE false"


def _view(stages: dict[str, list[str]], judged: bool) -> str:
    """SQL of the view `report`."""
    available = [f"{stage}.{column}" for stage, columns in stages.items() for column in columns]
    verdict = "v.rejected_by, v.reasons, v.unmeasured, v.tasks, v.bypass"
    keep, join = "v.keep", "LEFT JOIN verdicts v ON v.clip_id = c.clip_id"
    if not judged:
        verdict = "NULL AS rejected_by, NULL AS reasons, NULL AS unmeasured, NULL AS tasks, NULL AS bypass"
        keep, join = "NULL", ""
    return f"""
WITH measured AS ({wide(stages)}), bad AS ({quarantined(stages)})
SELECT c.*, m.* EXCLUDE (clip_id, source_id, bucket, name, uri), {verdict},
  c.frames * c.fps_den / c.fps_num AS seconds, {final_class(available)} AS class,
  CASE WHEN c.clip_id IN (SELECT clip_id FROM bad) THEN 'quarantined'
       WHEN {keep} THEN 'kept' WHEN NOT {keep} THEN 'rejected' ELSE 'pending' END AS outcome,
  hash(c.clip_id) % greatest(1, (SELECT count(*) FROM clips) // {SAMPLED}) = 0 AS sampled
FROM clips c JOIN measured m USING (clip_id) {join}"""
