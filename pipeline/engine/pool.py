"""The pool: a fixed set of Ray actors that take parts, have a hand do their keys, and commit them.

Ray Data streams the parts through and restarts dead actors a finite number of times. What a key can do to its process
ends in the actor's hand (`hand.py`, `blame.py`); an actor dies only with its node, or by someone's hand, and then its
part is done again, without blame for anyone.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from manifests.errors import KlearError
from pipeline import console
from pipeline.engine import lease, redo
from pipeline.engine.blame import do_keys
from pipeline.engine.event import Clock, moved
from pipeline.engine.hand import Hand
from pipeline.engine.job import Job, Rows
from pipeline.engine.metrics import Recorder
from pipeline.engine.plan import Part

OnEvent = Callable[[dict[str, Any]], None]


def run(job: Job, parts: list[Part], on_event: OnEvent = lambda event: None) -> None:
    """Commit every pending part of the job. `on_event` hears of each part done.

    Raises KlearError: `engine:unfinished` when parts are left after all attempts (planned rows are never dropped),
    `job:error_rate` when too many rows were quarantined, and what a worker raised.
    """
    left = job.pending(parts)
    for _ in range(job.limits.attempts + 1):
        if not left:
            return
        done = set()
        quarantined = 0
        for event in _stream(job, left):
            done.add(event["part"])
            on_event(event)
            quarantined += sum(cause["rows"] for cause in event["causes"])
            if quarantined > job.limits.quarantined:
                return  # the job says so itself, from its tables, with all causes
        left = [part for part in left if part.name not in done] if job.redo is not None else job.pending(left)
    if left:
        names = ", ".join(part.name for part in left[:5])
        raise KlearError("engine:unfinished", f"{job.name}: {len(left)} parts could not be committed ({names} ...)")


def _stream(job: Job, parts: list[Part]) -> Iterator[dict[str, Any]]:
    """Do parts on the actor pool; an event for each."""
    import ray.data  # here, since hands import this module too, with their workers
    from ray.exceptions import RayError
    from ray.util.annotations import RayDeprecationWarning

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it reports, we do, in fewer words
    context = ray.data.DataContext.get_current()  # copied when the dataset is made: set it first
    context.max_errored_blocks = -1  # a dead block is not a lost row: its part stays pending
    context.enable_progress_bars = False
    environment: dict[str, Any] = {"runtime_env": dict(job.needs.runtime_env)} if job.needs.runtime_env else {}
    items = [asdict(part) for part in parts]
    with warnings.catch_warnings(category=RayDeprecationWarning, action="ignore"):  # these two have no new names yet
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(job.workers, len(items))),
            max_restarts=2 * len(items),
            max_task_retries=max(job.limits.attempts - 1, 0),
            num_cpus=job.needs.cpus,
            num_gpus=job.needs.gpus or None,
            memory=job.needs.memory_gib * 2**30 or None,
            **environment,
        )
        dataset.set_name(job.name)
    try:
        for row in dataset.iter_rows():
            event: dict[str, Any] = row["event"]
            if event["error"]:
                if event["deaths"]:  # they are counted, whatever comes of the part
                    yield event
                raise KlearError(*event["error"].split("|", 1))
            yield event
    except RayError as error:  # the pool broke down as a whole: its parts stay pending, and their leases say so
        console.say(f"{job.name}: {str(error).splitlines()[0]}", "workers lost", "yellow")


class _Actor:
    """A pool member. Its hand is a process of its own, which keeps the models."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._hand = Hand(job.worker, job.limits)
        self._recorder = Recorder(job.name)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """One part, committed. An error comes back as text: it must stop the job in its own words."""
        part = Part(
            **{name: values[0].item() if hasattr(values[0], "item") else values[0] for name, values in batch.items()}
        )
        clock = Clock()
        try:
            return {"event": [do_part(self._job, part, self._hand, clock, self._recorder)]}
        except KlearError as error:
            return {"event": [clock.event(self._job.name, part, 0, error=f"{error.code}|{error.message}")]}
        except Exception as error:
            text = f"engine:worker|{self._job.name}, part {part.name}: {type(error).__name__}: {error}"
            return {"event": [clock.event(self._job.name, part, 0, error=text)]}


def do_part(job: Job, part: Part, hand: Hand, clock: Clock, recorder: Recorder | None = None) -> dict[str, Any]:
    """Do and commit one part, in this process with its hand; the event."""
    recorder = recorder or Recorder(job.name)
    if job.redo is None and job.is_done(part):  # another driver was faster
        return clock.event(job.name, part, 0)
    keys = None if job.redo is None else redo.keys(job, part)
    if keys == []:  # another retry was faster
        return clock.event(job.name, part, 0)
    attempt = lease.take(job.leases, part.name)
    keys = list(job.worker.keys(part)) if keys is None else keys
    with job.worker.open(part), recorder.leased(attempt):

        def died(ending: str) -> None:
            clock.deaths.append(ending)
            recorder.death(ending)

        def heard(rows: Rows) -> None:
            clock.moved.update(moved(rows))
            recorder.key(rows)

        done = do_keys(job, part, keys, hand, died, heard)
        rows = job.worker.finish(part, done)
        recorder.moved(rows)
        clock.moved.update(moved(rows))
        if job.redo is None:
            job.commit(part, rows)
        else:
            redo.commit(job, part, keys, rows)
    return clock.event(job.name, part, attempt, done.values())
