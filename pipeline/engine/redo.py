"""Doing quarantined rows again: their keys are done once more, and the part is superseded by one with the new rows."""

from typing import Any

from manifests.table import Table
from pipeline.engine.job import Job, Rows
from pipeline.engine.plan import Part


def keys(job: Job, part: Part) -> list[bytes]:
    """The keys of a committed part that some table of the job holds as quarantined for one of the causes."""
    causes = job.redo or frozenset()
    found: set[bytes] = set()
    for table in job.tables:
        if "error_code" in table.schema.names and table.has(part.name):
            rows = _rows(table, part)
            found |= {
                row[_key(table)] for row in rows if row["status"] == "quarantined" and row["error_code"] in causes
            }
    return [key for key in job.worker.keys(part) if key in found]


def commit(job: Job, part: Part, done: list[bytes], rows: Rows) -> None:
    """Supersede the part in every table that has it: the rows of the keys done again, and all others as they were."""
    for table in job.tables:
        if done and table.has(part.name):
            kept = [row for row in _rows(table, part) if row[_key(table)] not in set(done)]
            table.revise(part.name, kept + rows.get(table.name, []))


def _rows(table: Table, part: Part) -> list[dict[str, Any]]:
    return table.read_part(part.name).to_pylist()


def _key(table: Table) -> str:
    return table.schema.names[0]
