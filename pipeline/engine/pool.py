"""The pool: a fixed set of Ray actors that take parts, do them and commit them.

Ray Data streams the parts through and restarts dead actors a finite number of times. A part that is still not committed
then has killed its workers (or lost them), and is done again key by key, each alone in a fresh child (`alone.py`), so
that only the key that really kills its process is blamed.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import ray.data
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning

from manifests.errors import KlearError
from pipeline import console
from pipeline.engine import alone, lease
from pipeline.engine.event import Clock
from pipeline.engine.job import Job
from pipeline.engine.plan import Part


def run(job: Job, parts: list[Part], on_part: Callable[[Part], None] = lambda part: None) -> list[dict[str, Any]]:
    """Commit every pending part of the job; the events of the parts done here. `on_part` hears of each of them.

    Raises KlearError `engine:unfinished` when parts are left after all attempts: planned rows are never dropped.
    """
    pending = job.pending(parts)
    events: list[dict[str, Any]] = []
    for _ in range(job.attempts):
        events += _whole(job, job.pending(pending), on_part)
    for part in job.pending(pending):
        console.err.print(f"[yellow]never finished[/yellow] {job.name}: {part.name}, now done key by key")
        events.append(alone.run(job, part))
        on_part(part)
    if left := job.pending(parts):
        names = ", ".join(part.name for part in left[:5])
        raise KlearError("engine:unfinished", f"{job.name}: {len(left)} parts could not be committed ({names} ...)")
    return events


def _whole(job: Job, pending: list[Part], on_part: Callable[[Part], None]) -> Iterator[dict[str, Any]]:
    """Do parts whole on the actor pool; parts that were started often enough already are left to `alone`."""
    fresh = {p.name: p for p in pending if lease.attempts(job.leases, p.name) < job.attempts}
    if not fresh:
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it reports, we do, in fewer words
    context = ray.data.DataContext.get_current()  # copied when the dataset is made: set it first
    context.max_errored_blocks = -1  # a dead block is not a lost row: its part stays pending
    context.enable_progress_bars = False
    with warnings.catch_warnings(category=RayDeprecationWarning, action="ignore"):  # these two have no new names yet
        dataset = ray.data.from_items([{"part": name} for name in fresh], override_num_blocks=len(fresh)).map_batches(
            _Actor,
            fn_constructor_args=(job, fresh),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(job.workers, len(fresh))),
            max_restarts=2 * len(fresh),
            max_task_retries=max(job.attempts - 1, 0),
        )
    try:
        for event in dataset.iter_rows():
            if event["error"]:
                raise KlearError("engine:worker", f"{job.name}, part {event['part']}: {event['error']}")
            on_part(fresh[event["part"]])
            yield event
    except RayError as error:  # the pool broke down as a whole: its parts stay pending, and their leases count
        console.err.print(f"[yellow]workers lost[/yellow] {job.name}: {str(error).splitlines()[0]}")


class _Actor:
    """A pool member: it keeps its worker, so models load once a process."""

    def __init__(self, job: Job, parts: dict[str, Part]) -> None:
        self._job = job
        self._parts = parts

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """One part, committed. An error comes back as text: it must stop the job in its own words."""
        part, clock = self._parts[str(batch["part"][0])], Clock()
        attempt = lease.take(self._job.leases, part.name)
        try:
            self._job.commit(part, self._job.worker.rows(part))
            event = clock.event(self._job.name, part, attempt)
        except Exception as error:
            event = clock.event(self._job.name, part, attempt, f"{type(error).__name__}: {error}")
        return {key: [value] for key, value in event.items()}
