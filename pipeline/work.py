"""Work off a job: start the session when there is something to do, size the pool, show progress, keep the events."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from manifests.catalog import Catalog
from manifests.schema import EVENTS
from manifests.table import Table
from pipeline.engine import note, pool, session, size
from pipeline.engine.job import Job
from pipeline.engine.metrics import Recorder, beating
from pipeline.engine.plan import Part
from pipeline.engine.pool import OnEvent
from pipeline.live import watching

FLUSH_S = 15.0
"""Events are written so often while a job runs: `klear status` reads its rate from them."""


def work_off(
    catalog: Catalog,
    job: Job,
    parts: list[Part],
    unit: str,
    *,
    workers: int | None = None,
    address: str | None = None,
    on_event: OnEvent = lambda event: None,
) -> int:
    """Commit what is pending of these parts; the rows (keys) done now, not those found done.

    on_event: hears of each part done.
    workers: actors, by default as many as the session has room for. address: of a cluster, else a local session.
    """
    if job.redo is None:
        note.write(catalog.root, job, parts, unit)
    pending = job.pending(parts)
    rows = sum(part.count for part in pending)
    if not pending:
        return 0
    session.start(address)
    job = replace(job, workers=workers or _workers(catalog, job, rows, address))
    recorder, done = Recorder(job.name), 0
    recorder.parts(left=len(pending), done=0)
    with watching(job.name, rows, unit, job.workers) as watch, recording(catalog, job.name) as record, beating():

        def heard(event: dict[str, Any]) -> None:
            nonlocal done
            done += 1
            recorder.parts(left=len(pending) - done, done=done)
            watch.heard(event)
            record(event)
            on_event(event)

        pool.run(job, pending, heard)
    return rows


def _workers(catalog: Catalog, job: Job, rows: int, address: str | None) -> int:
    room = session.room(job.name, job.needs, wait=address is not None)
    return size.workers(room, rows, size.seconds_a_row(catalog, job.name))


@contextmanager
def recording(catalog: Catalog, name: str) -> Iterator[OnEvent]:
    """Events go to a table of their own, never to the content tables, which must not differ between runs."""
    table = catalog.set_current(Table(catalog.root, "events", "events", EVENTS))
    held: list[dict[str, Any]] = []
    last = time.monotonic()

    def flush() -> None:
        if held:
            table.publish(f"{name}-{time.time_ns()}", [{k: e.get(k) for k in EVENTS.names} for e in held])
            held.clear()

    def record(event: dict[str, Any]) -> None:
        nonlocal last
        held.append(event)
        if time.monotonic() - last > FLUSH_S:
            last = time.monotonic()
            flush()

    try:
        yield record
    finally:
        flush()
