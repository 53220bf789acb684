"""Blame: a key is quarantined only after it ended a fresh process of its own, alone, several times.

A death on the way through a part costs nothing but the key at hand, which is then tried alone; the rest goes on in a
new process. What was done before the death is kept. A death before the process could take a key is the machine's.
"""

import time
from collections.abc import Callable, Iterator
from itertools import count

from manifests.errors import KlearError
from pipeline.engine.hand import Died, Hand, NotReady
from pipeline.engine.job import Job, Rows
from pipeline.engine.plan import Part

_OUTSIDE = "crash:SIGKILL"
"""We watch time and memory ourselves, so this signal comes from outside: from a person, or the kernel out of memory."""
_OUTSIDE_TRIES = 5
_STARTS = 3
"""Tries to get a process ready, at growing distances, before the job stops; `_OUTSIDE_TRIES` where it was killed."""


def do_keys(
    job: Job,
    part: Part,
    keys: list[bytes],
    hand: Hand,
    on_death: Callable[[str], None],
    on_rows: Callable[[Rows], None] = lambda rows: None,
) -> dict[bytes, Rows]:
    """The rows of each of the keys, whatever it takes. `on_death` hears of each death's ending, `on_rows` of each key's
    rows as soon as they are there. Raises NotReady when no process can be had."""
    done: dict[bytes, Rows] = {}
    while left := [key for key in keys if key not in done]:
        found = iter(left)
        try:
            for rows in _each(hand, part, left, on_death):
                done[next(found)] = rows
                on_rows(rows)
        except Died as death:
            on_death(death.ending)
            suspect = next(found)
            done[suspect] = alone(job, part, suspect, on_death)
            on_rows(done[suspect])
    return done


def _each(hand: Hand, part: Part, keys: list[bytes], on_death: Callable[[str], None]) -> Iterator[Rows]:
    """The rows of these keys from a hand that is given a few tries to get ready, which blame nobody."""
    for tries in count(1):
        try:
            yield from hand.each(part, keys)
            return
        except NotReady as fault:  # so it has yielded nothing yet
            on_death(fault.ending)
            if tries >= (_OUTSIDE_TRIES if fault.ending == _OUTSIDE else _STARTS):
                raise
            time.sleep(0.25 * 2**tries)


def alone(job: Job, part: Part, key: bytes, on_death: Callable[[str], None] = lambda ending: None) -> Rows:
    """The rows of one key from a fresh process; quarantined after `limits.attempts` deaths of its own.

    Deaths by SIGKILL are given more tries, at growing distances: healthy keys must outlive a machine in trouble.
    """
    deaths = killed = 0
    ending = ""
    while deaths < job.limits.attempts and killed < _OUTSIDE_TRIES:
        hand = Hand(job.worker, job.limits)
        try:
            return next(_each(hand, part, [key], on_death))
        except Died as death:
            ending = death.ending
            on_death(ending)
            deaths, killed = (deaths, killed + 1) if ending == _OUTSIDE else (deaths + 1, killed)
            if ending == _OUTSIDE:
                time.sleep(0.2 * 2**killed)
        finally:
            hand.stop()
    message = f"ended {deaths + killed} processes with {ending} when done alone"
    return job.worker.blame(part, key, KlearError(ending, message), deaths + killed)
