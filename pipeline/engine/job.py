"""What the engine needs to know of a job: how to do the keys of a part, and what it commits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from manifests.errors import KlearError
from manifests.files import AnyPath
from manifests.table import Table
from pipeline.engine.plan import Part

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table name. Every key of the part has a row in the last table of the job, whatever became of it."""
TIMINGS = "_seconds"
"""An entry of Rows that is no table: seconds by stage, for the metrics and the events."""
MOVED = "_moved"
"""Another: bytes read from sources and written to shards, entries {kind, bytes}; kind is read or written."""


class PartWorker(Protocol):
    """Does the keys of a part. Bad data becomes a row; only infrastructure errors raise.

    `each` runs in a process of its own that keeps its models and may die; the rest runs in the actor, which may not.
    """

    def keys(self, part: Part) -> Sequence[bytes]:
        """The keys of the part, in the order in which they are done."""
        ...

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The rows of each of these keys of the part, in order, each as soon as it is done."""
        ...

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """Quarantined rows of a key that was tried `attempts` times, without touching its data."""
        ...

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """The rows of the whole part, from those of its keys; writes what goes beside the tables."""
        ...

    def open(self, part: Part) -> AbstractContextManager[object]:
        """Holds what the part needs while it is worked on (e.g. a scratch folder), and lets it go."""
        ...


@dataclass(frozen=True)
class Needs:
    """What one worker of a job takes: CPUs, a share of a GPU, memory in GiB, and packages of its own (Ray's runtime
    environment), where a backend's pins conflict with ours. clips_at_once: how many it holds together."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gib: float = 0.0
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    clips_at_once: int = 1


@dataclass(frozen=True)
class Limits:
    """attempts: tries of a part on the pool, and of a key alone, before it is given up. key_timeout_s: for one key.
    keys_at_once: keys that are done together, so that the rows of the first may take as long as all of them.
    max_rss_gib: memory of a worker's process. quarantined: rows that may be, before the job stops."""

    attempts: int = 2
    key_timeout_s: float = 300.0
    keys_at_once: int = 1
    max_rss_gib: float = 8.0
    quarantined: float = float("inf")


@dataclass(frozen=True)
class Job:
    """A job over parts.

    name: for people. tables: what a part commits; a part is done when all of them have it.
    worker: pickled to each process that uses it, so each has its own. leases: folder of the lease files.
    redo: None, or the error codes whose quarantined rows are to be done again in committed parts; without any code, the
    keys of committed parts that have no row.
    whole: a part is one thing (a shard): when one of its keys is done again, all of them are.
    """

    name: str
    tables: tuple[Table, ...]
    worker: PartWorker
    leases: AnyPath
    workers: int = 2
    needs: Needs = Needs()
    limits: Limits = Limits()
    redo: frozenset[str] | None = None
    whole: bool = False

    def pending(self, parts: list[Part]) -> list[Part]:
        """Planned parts that some table of this job still lacks; to be done again: those that all tables have."""
        done = set.intersection(*(table.published() for table in self.tables)) if self.tables else set()
        return [part for part in parts if (part.name in done) == (self.redo is not None)]

    def is_done(self, part: Part) -> bool:
        """Whether every table has the part: another driver may have been faster."""
        return all(table.has(part.name) for table in self.tables)

    def commit(self, part: Part, rows: Rows) -> None:
        """Publish the rows of a part, table by table. A table that has the part already keeps what it has."""
        for table in self.tables:
            table.publish(part.name, rows.get(table.name, []))
