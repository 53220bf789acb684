"""Blame: each key of a part that killed its worker is done alone, in a fresh child, before anyone is quarantined."""

import multiprocessing
import signal
from typing import Any

from manifests.errors import KlearError
from pipeline.engine import lease
from pipeline.engine.event import Clock
from pipeline.engine.job import Job, Rows
from pipeline.engine.plan import Part

_SPAWN = multiprocessing.get_context("spawn")


def run(job: Job, part: Part) -> dict[str, Any]:
    """Do the part key by key, each in a child of its own, and commit it whole; the event.

    A key whose child dies or hangs `job.attempts` times is quarantined with how it ended, e.g. `crash:SIGSEGV`.
    """
    clock = Clock()
    attempt = lease.take(job.leases, part.name)
    rows: Rows = {table.name: [] for table in job.tables}
    for key in part.keys:
        for name, found in _rows_alone(job, Part(part.name, part.bucket, (key,))).items():
            rows[name] += found
    job.commit(part, rows)
    return clock.event(job.name, part, attempt)


def _rows_alone(job: Job, single: Part) -> Rows:
    ending = "crash:untried"
    for _ in range(job.attempts):
        rows, ending = _in_child(job, single)
        if rows is not None:
            return rows
    message = f"ended {job.attempts} times with {ending} when done alone in a fresh process"
    return job.worker.blame(single, KlearError(ending, message), job.attempts)


def _in_child(job: Job, single: Part) -> tuple[Rows | None, str]:
    """The rows of one key from a fresh child; or None, and how the child ended."""
    here, there = _SPAWN.Pipe(duplex=False)
    child = _SPAWN.Process(target=_child, args=(job, single, there))
    child.start()
    there.close()
    try:
        if not here.poll(job.alone_timeout_s):
            return None, "crash:timeout"
        message = here.recv()
    except EOFError:
        child.join()
        return None, f"crash:{_name(child.exitcode)}"
    finally:
        child.kill()
        child.join()
    if isinstance(message, KlearError):
        raise message
    return message, ""


def _child(job: Job, single: Part, there: Any) -> None:
    try:
        there.send(job.worker.rows(single))
    except KlearError as error:
        there.send(error)
    except Exception as error:  # bad data becomes rows: what is raised here is the machine's fault, not the key's
        there.send(KlearError("engine:worker", f"{job.name}: {type(error).__name__}: {error}"))


def _name(exitcode: int | None) -> str:
    return signal.Signals(-exitcode).name if exitcode is not None and exitcode < 0 else f"exit_{exitcode}"
