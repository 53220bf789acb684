"""Doing quarantined rows again: their keys are done once more, and the part is superseded by one with the new rows."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.table import Table
from pipeline.engine.job import Job, Rows
from pipeline.engine.plan import Part


def quarantined_sql(table: Table, causes: frozenset[str]) -> str | None:
    """SQL of the rows (`key`, `place`) of a table that one of the causes quarantined; None for one without statuses.

    place: the source where the table has it, else the key.
    """
    names = table.schema.names
    if "error_code" not in names:
        return None
    codes = ", ".join("'" + code.replace("'", "''") + "'" for code in sorted(causes))
    place = "source_id" if names[0] == "clip_id" else names[0]
    where = f"status = 'quarantined' AND error_code IN ({codes})"
    return f'SELECT {names[0]} AS key, {place} AS place FROM "{table.name}" WHERE {where}'


def keys(job: Job, part: Part) -> list[bytes]:
    """The keys of a committed part to be done again: those that some table of the job holds as quarantined for one of
    the causes; all of them where the job makes a part whole. Without any causes: those without a row."""
    if not job.redo:
        have = set(job.tables[-1].read_part(part.name).column(0).to_pylist())
        return [key for key in job.worker.keys(part) if key not in have]
    causes = pa.array(sorted(job.redo or ()), pa.string())
    found: set[bytes] = set()
    for table in job.tables:
        if "error_code" in table.schema.names:
            rows = table.read_part(part.name)
            bad = pc.and_(pc.equal(rows["status"], "quarantined"), pc.is_in(rows["error_code"], causes))
            found |= set(rows.filter(bad)[table.schema.names[0]].to_pylist())
    return [key for key in job.worker.keys(part) if key in found or (found and job.whole)]


def commit(job: Job, part: Part, done: list[bytes], rows: Rows) -> None:
    """Supersede the part in every table in which something has changed: the rows of the keys done again are new, all
    others are as they were. Killed between two tables, the next retry ends it: the last table is revised last."""
    gone = set(done)
    for table in job.tables:
        table.amend(part.name, partial(_changed, table, gone, rows.get(table.name, []), job.whole))


def _changed(table: Table, gone: set[bytes], made: list[dict[str, Any]], whole: bool, old: pa.Table) -> Any:
    """The rows of a part with those made anew; None when they are what it holds."""
    new = made if whole else [row for row in old.to_pylist() if not _is_of(row, table, gone)] + made
    return None if _sorted(pa.Table.from_pylist(new, schema=table.schema)).equals(_sorted(old)) else new


def _is_of(row: Mapping[str, Any], table: Table, gone: set[bytes]) -> bool:
    """Whether a row is of one of the keys: its own, or (a clip's, of a cut) its source's."""
    return row[table.schema.names[0]] in gone or row.get("source_id") in gone


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by(table.schema.names[0]).combine_chunks()
