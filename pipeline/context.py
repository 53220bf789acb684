"""What every job is given: where its tables lie, its settings, and how its engine is set up."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from manifests.catalog import LAYOUT, Catalog
from manifests.errors import KlearError
from manifests.ids import digest
from manifests.schema import EVENTS
from manifests.table import Table
from pipeline import console
from pipeline.config import PipelineSettings
from pipeline.engine import pool, session
from pipeline.engine.job import Job, PartWorker
from pipeline.engine.plan import Part, Plan


@dataclass(frozen=True)
class Context:
    """One run over one output folder."""

    out: Path
    settings: PipelineSettings
    address: str | None = None
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", Catalog(self.out))

    def prepare(self) -> None:
        """Make the output folder's layout. Raises KlearError when it cannot be written."""
        try:
            for name in LAYOUT:
                (self.out / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KlearError("out:unwritable", f"cannot write to {self.out}: {error}; give another OUT") from None

    def plan(self, name: str) -> Plan:
        """The plan of a job."""
        return Plan(self.out / "tables" / "plan" / name)

    def work(self, name: str, tables: list[Table], worker: Any, wanted: Mapping[bytes, int], unit: str) -> int:
        """Plan the wanted keys (key -> bucket), work off what is pending, record events; the rows done now."""
        planned = self.plan(name).extend(wanted, self.settings.engine.part_clips)
        parts = [part for part in planned if not wanted.keys().isdisjoint(part.keys)]
        return self.work_off(self.job(name, tables, worker), parts, unit)

    def work_off(self, job: Job, parts: list[Part], unit: str) -> int:
        """Commit what is pending of these parts, showing progress, and record the events; the rows done now."""
        rows = sum(len(part.keys) for part in job.pending(parts))
        if rows:
            session.start(self.address)
            job = replace(job, workers=self.settings.engine.workers or session.cpus())
        with console.ticking(job.name, rows, unit) as ticker:
            events = pool.run(job, parts, lambda part: ticker.advance(len(part.keys)))
        self._record(job.name, events)
        return rows

    def job(self, name: str, tables: list[Table], worker: PartWorker) -> Job:
        """A job over these tables, set up as the engine settings say."""
        engine = self.settings.engine
        recipes = digest(*(table.recipe for table in tables)).hex()[:16]
        return Job(
            name=name,
            tables=tuple(tables),
            worker=_Made(worker),
            leases=self.out / "tables" / "leases" / name / recipes,
            attempts=engine.attempts,
            alone_timeout_s=engine.alone_timeout_s,
        )

    def _record(self, name: str, events: list[dict[str, Any]]) -> None:
        """Timings and hosts go to the events table, never to the content tables, which must not differ between runs."""
        if events:
            table = self.catalog.set_current(Table(self.catalog.root, "events", "events", EVENTS))
            table.publish(f"{name}-{time.time_ns()}", [{k: e.get(k) for k in EVENTS.names} for e in events])


@dataclass(frozen=True)
class _Made:
    """Hands out the worker it was given: it is pickled to each actor, so each has its own."""

    worker: PartWorker

    def __call__(self) -> PartWorker:
        return self.worker


def rate(started: float, rows: int) -> dict[str, float]:
    """Seconds since `started` (time.monotonic), rows done in them (not those found done), and clips a second."""
    seconds = time.monotonic() - started
    return {"seconds": round(seconds, 2), "done_now": rows, "clips_per_second": round(rows / max(seconds, 1e-6), 2)}


def check_error_rate(job: str, quarantined: int, planned: int, max_rate: float, causes: dict[str, int]) -> None:
    """Raise KlearError `job:error_rate` when more than max(max_rate x planned, 3) rows were quarantined."""
    limit = max(max_rate * planned, 3)
    if quarantined > limit:
        listed = "; ".join(f"{cause}: {count}" for cause, count in sorted(causes.items(), key=lambda c: -c[1]))
        raise KlearError(
            "job:error_rate",
            f"{job}: {quarantined} of {planned} rows quarantined, over the limit of {limit:g} "
            f"(engine.max_error_rate = {max_rate}). Causes: {listed}",
        )
