"""Our metrics, through Ray's own exporter: each node serves them to Prometheus as `ray_klear_...`, on its metrics port.

Counters and histograms are kept by the actors, where the work is done; gauges of a whole job by the driver. Without a
Ray session nothing is recorded. Names and labels are few and fixed; the one label that a library may fill freely, the
code of an error, becomes `other` after MAX_CODES different ones.
"""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.engine.event import moved
from pipeline.engine.job import TIMINGS, Rows

if TYPE_CHECKING:
    from ray.util.metrics import Counter, Gauge, Histogram

JOB = "klear_job"
"""The label that names the job. Not `job`: Prometheus gives that one to every series, for the scrape it came by."""
MAX_CODES = 50
BEAT_S = 5.0
"""Processes report every 10 s, and a gauge that was not set since the report before is forgotten."""
STAGE_SECONDS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]

_codes: set[str] = set()
_held: "dict[tuple[str, ...], tuple[Gauge, float, dict[str, str]]]" = {}


@cache
def _counter(name: str, says: str, *labels: str) -> "Counter":
    from ray.util.metrics import Counter

    return Counter(f"klear_{name}", says, labels)


@cache
def _gauge(name: str, says: str, *labels: str) -> "Gauge":
    from ray.util.metrics import Gauge

    return Gauge(f"klear_{name}", says, labels)


@cache
def _stage_seconds() -> "Histogram":
    from ray.util.metrics import Histogram

    return Histogram("klear_stage_seconds", "seconds of one key in one stage", STAGE_SECONDS, (JOB, "stage"))


def folded(code: str) -> str:
    """The code as a label: itself, or `other` when this process has named MAX_CODES others already."""
    if code not in _codes and len(_codes) >= MAX_CODES:
        return "other"
    _codes.add(code)
    return code


class Recorder:
    """Records what happens to one job, in this process."""

    def __init__(self, job: str) -> None:
        self._job = job

    def key(self, rows: Rows) -> None:
        """One key is done: these are its rows, its seconds by stage and the bytes it moved with them."""
        if not _in_session():
            return
        for entry in rows.get(TIMINGS, []):
            _stage_seconds().observe(entry["seconds"], {JOB: self._job, "stage": entry["stage"]})
        found = [row for name, table in rows.items() if name[0] != "_" for row in table if "status" in row]
        bad = next((row for row in found if row["status"] == "quarantined"), None)
        outcome = "quarantined" if bad else found[-1]["status"] if found else "ok"
        self._count("rows_total", "keys (clips or sources) done, by outcome", {"outcome": outcome})
        if bad:
            cause = {"stage": str(bad["error_stage"]), "code": folded(str(bad["error_code"]))}
            self._count("quarantined_total", "keys quarantined, by stage and code", cause)
        self.moved(rows)

    def moved(self, rows: Rows) -> None:
        """The bytes that these rows say were read from sources, or written to shards."""
        for kind, count in moved(rows).items():
            if count > 0:
                self._count("bytes_total", "bytes read from sources, and written to shards", {"kind": kind}, count)

    @contextmanager
    def leased(self, attempt: int) -> Iterator[None]:
        """This actor works on a part, inside, for the `attempt`-th time."""
        kind = {"kind": "again" if attempt > 1 else "first"}
        self._count("attempts_total", "parts started: for the first time, or again", kind)
        self.parts(leased=1)
        try:
            with beating():
                yield
        finally:
            self.parts(leased=0)

    def death(self, ending: str) -> None:
        """A process that did keys ended before them, e.g. with `crash:SIGSEGV`."""
        self._count("deaths_total", "processes that ended before their keys did", {"ending": folded(ending)})

    def parts(self, **states: int) -> None:
        """Parts by state. left, done: of the whole job, said by the driver; leased: by each actor, 1 while it works."""
        for state, count in states.items():
            _set("parts", "parts: left, done, and leased by an actor", count, {JOB: self._job, "state": state})

    def _count(self, name: str, says: str, labels: dict[str, str], count: float = 1) -> None:
        if _in_session():
            _counter(name, says, JOB, *labels).inc(count, {JOB: self._job, **labels})


def decided(verdicts: Mapping[str, int], yields: list[dict[str, Any]]) -> None:
    """What the policy says now: verdict -> clips, and a row a gate with `gate`, `scope` and `rejected`."""
    for verdict, count in verdicts.items():
        _set("verdicts", "clips kept and rejected by the newest decision", count, {"verdict": verdict})
    rejected: dict[str, int] = {}
    for row in yields:
        rejected[row["gate"]] = rejected.get(row["gate"], 0) + int(row["rejected"] or 0)
    for gate, count in rejected.items():
        _set("rejected", "clips that a gate of the policy rejects", count, {"gate": gate})


def _in_session() -> bool:
    """Without importing Ray, which takes a second: who has not is in no session."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _set(name: str, says: str, value: float, labels: dict[str, str]) -> None:
    if _in_session():
        gauge = _gauge(name, says, *labels)
        gauge.set(value, labels)
        _held[name, *labels.values()] = (gauge, value, labels)


@contextmanager
def beating() -> Iterator[None]:
    """Inside, the gauges of this process are set again every BEAT_S: Ray exports each value only once."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            for gauge, value, labels in list(_held.values()):
                gauge.set(value, labels)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
