"""Work off a job: start the session when there is something to do, size the pool, show progress, keep the events."""

import time
from dataclasses import replace
from typing import Any

from manifests.catalog import Catalog
from manifests.schema import EVENTS
from manifests.table import Table
from pipeline import console
from pipeline.engine import pool, session
from pipeline.engine.job import Job
from pipeline.engine.plan import Part


def work_off(
    catalog: Catalog, job: Job, parts: list[Part], unit: str, *, workers: int | None = None, address: str | None = None
) -> int:
    """Commit what is pending of these parts; the rows (keys) done now, not those found done.

    workers: actors, by default one a CPU of the session. address: of an existing cluster, else a local session.
    """
    rows = sum(len(part.keys) for part in job.pending(parts))
    if job.pending(parts):
        session.start(address)
        job = replace(job, workers=workers or session.cpus())
    with console.ticking(job.name, rows, unit) as ticker:
        events = pool.run(job, parts, lambda part: ticker.advance(len(part.keys)))
    _record(catalog, job.name, events)
    return rows


def _record(catalog: Catalog, name: str, events: list[dict[str, Any]]) -> None:
    """Timings and hosts go to the events table, never to the content tables, which must not differ between runs."""
    if events:
        table = catalog.set_current(Table(catalog.root, "events", "events", EVENTS))
        table.publish(f"{name}-{time.time_ns()}", [{k: e.get(k) for k in EVENTS.names} for e in events])
