"""Events: who did which part, when, and at what cost. They live apart from the content tables, which never differ."""

import os
import resource
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.engine.job import MOVED, TIMINGS, Rows
from pipeline.engine.plan import Part


def cpu_seconds() -> float:
    """CPU-seconds of this process and of its finished children (ffmpeg)."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def read_bytes() -> int:
    """Bytes that this process and its finished children have read; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


@dataclass
class Clock:
    """Started where a part starts; `event` ends it."""

    started_s: float = field(default_factory=time.time)
    deaths: list[str] = field(default_factory=list)
    moved: Counter[str] = field(default_factory=Counter)

    def event(self, job: str, part: Part, attempt: int, done: Iterable[Rows] = (), error: str = "") -> dict[str, Any]:
        """One row of the events table, with what only the driver needs: stage seconds, quarantined rows by cause,
        bytes moved, and the text of an error that must stop the job."""
        rows = list(done)
        seconds, keys, causes = totals(rows)
        return {
            "job": job,
            "part": part.name,
            "attempt": attempt,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_s": self.started_s,
            "seconds": time.time() - self.started_s,
            "cpu_seconds": seconds.pop("cpu", 0.0),
            "rows": len(rows),
            "deaths": list(self.deaths),
            "stages": [
                {"stage": name, "seconds": spent, "keys": keys[name]} for name, spent in sorted(seconds.items())
            ],
            "causes": [{"cause": name, "rows": count} for name, count in sorted(causes.items())],
            "moved": [{"kind": kind, "bytes": count} for kind, count in sorted(self.moved.items())],
            "error": error,
        }


def totals(done: Iterable[Rows]) -> tuple[dict[str, float], Counter[str], Counter[str]]:
    """Seconds and keys by stage, and keys by cause of their quarantine, over the keys of a part."""
    seconds: dict[str, float] = {}
    keys: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for rows in done:
        keys.update({entry["stage"] for entry in rows.get(TIMINGS, [])})
        for entry in rows.get(TIMINGS, []):
            seconds[entry["stage"]] = seconds.get(entry["stage"], 0.0) + entry["seconds"]
        bad = {row["error_code"] for name, found in rows.items() if name[0] != "_" for row in found if _bad(row)}
        causes.update(sorted(bad)[:1])
    return seconds, keys, causes


def moved(rows: Rows) -> dict[str, int]:
    """Bytes by kind, as these rows tell."""
    found: Counter[str] = Counter()
    for entry in rows.get(MOVED, []):
        found[entry["kind"]] += entry["bytes"]
    return dict(found)


def _bad(row: dict[str, Any]) -> bool:
    return row.get("status") == "quarantined"
