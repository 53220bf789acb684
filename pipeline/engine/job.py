"""What the engine needs to know of a job: how to do a part, and what it commits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from manifests.errors import KlearError
from manifests.table import Table
from pipeline.engine.plan import Part

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table name. Every key of the part has a row in the last table of the job, whatever became of it."""


class PartWorker(Protocol):
    """Does parts, in a process that keeps its models. Bad data becomes a row; only infrastructure errors raise."""

    def rows(self, part: Part) -> Rows:
        """Rows for all keys of the part."""
        ...

    def blame(self, part: Part, error: KlearError, attempts: int) -> Rows:
        """Quarantined rows for all keys of the part, tried `attempts` times, without touching their data."""
        ...


@dataclass(frozen=True)
class Job:
    """A job over parts.

    name: for people. tables: what a part commits; a part is done when all of them have it.
    worker: pickled to each process that uses it, so each has its own. leases: folder of the lease files.
    workers: size of the actor pool.
    attempts: how often a part is tried whole, and then each of its keys alone, before it is given up.
    alone_timeout_s: how long one key may take alone, in a fresh child.
    """

    name: str
    tables: tuple[Table, ...]
    worker: PartWorker
    leases: Path
    workers: int = 2
    attempts: int = 2
    alone_timeout_s: float = 300.0

    def pending(self, parts: list[Part]) -> list[Part]:
        """Planned parts that some table of this job still lacks."""
        done = set.intersection(*(table.published() for table in self.tables)) if self.tables else set()
        return [part for part in parts if part.name not in done]

    def commit(self, part: Part, rows: Rows) -> None:
        """Publish the rows of a part, table by table. A table that has the part already keeps what it has."""
        for table in self.tables:
            table.publish(part.name, rows[table.name])
