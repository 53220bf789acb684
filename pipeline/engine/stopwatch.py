"""Seconds by stage, for the metrics and the events; they travel with the rows and enter no content table."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pipeline.engine.event import cpu_seconds
from pipeline.engine.job import TIMINGS, Rows


class Stopwatch:
    """Started as a context manager; `lap(name)` gives the seconds since the last lap to `name`."""

    def __enter__(self) -> Self:
        self._laps: list[tuple[str, float]] = []
        self._last, self._cpu = time.monotonic(), cpu_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def lap(self, name: str) -> None:
        """What was done since the last lap was `name`."""
        now = time.monotonic()
        self._laps.append((name, now - self._last))
        self._last = now

    def rows(self) -> list[dict[str, Any]]:
        """Entries {stage, seconds}; `cpu` holds the CPU-seconds of all."""
        laps = [*self._laps, ("cpu", cpu_seconds() - self._cpu)]
        return [{"stage": name, "seconds": seconds} for name, seconds in laps]


def timed(name: str, what: Callable[..., Rows], *arguments: Any) -> Rows:
    """The rows of `what(*arguments)`, with its seconds under `name`."""
    with Stopwatch() as watch:
        rows = what(*arguments)
        watch.lap(name)
    return {**rows, TIMINGS: watch.rows()}
