"""Events: who did which part, when, and at what cost. They live apart from the content tables, which never differ."""

import os
import resource
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.engine.plan import Part


def cpu_seconds() -> float:
    """CPU-seconds of this process and of its finished children (ffmpeg)."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@dataclass
class Clock:
    """Started where a part starts; `event` ends it."""

    started_s: float = field(default_factory=time.time)
    cpu_s: float = field(default_factory=cpu_seconds)

    def event(self, job: str, part: Part, attempt: int, error: str = "") -> dict[str, Any]:
        """One row of the events table, and the text of an error that must stop the job."""
        return {
            "job": job,
            "part": part.name,
            "attempt": attempt,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_s": self.started_s,
            "seconds": time.time() - self.started_s,
            "cpu_seconds": cpu_seconds() - self.cpu_s,
            "rows": len(part.keys),
            "error": error,
        }
