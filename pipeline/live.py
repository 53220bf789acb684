"""The live view of a job over parts: one table on a terminal, redrawn; elsewhere one line every QUIET_S seconds."""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline import console

WINDOW_S = 300.0
"""The rate is that of the parts that ended within so many seconds: a run of hours has fast and slow stretches."""
SHOWN = 6
"""So many stages and causes are shown, the largest; the rest as one."""


class Watch:
    """What is known of a running job: the sum of its events. Rendered by rich, whenever that likes."""

    def __init__(self, job: str, total: int, unit: str, workers: int) -> None:
        self._job, self._total, self._unit, self._workers = job, total, unit, workers
        self._started = time.monotonic()
        self._ends: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._done = self._parts = 0
        self._hosts: set[str] = set()
        self._seconds: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self._lock = threading.Lock()  # rich draws in a thread of its own

    def heard(self, event: Mapping[str, Any]) -> None:
        """A part is done. event: its row of the events table; `moved` (entries of kind, bytes) may be missing."""
        with self._lock:
            self._hear(event)

    def _hear(self, event: Mapping[str, Any]) -> None:
        self._parts += 1
        self._done += event["rows"]
        self._hosts.add(event["host"])
        self._seconds.update({entry["stage"]: entry["seconds"] for entry in event["stages"]})
        self._causes.update({entry["cause"]: entry["rows"] for entry in event["causes"]})
        self._bytes.update({entry["kind"]: entry["bytes"] for entry in event.get("moved", ())})
        self._deaths.update(event["deaths"])
        now = time.monotonic()
        self._ends.append((now, self._done))
        while len(self._ends) > 2 and now - self._ends[0][0] > WINDOW_S:
            self._ends.popleft()

    def rate(self) -> float:
        """Rows a second of the parts that ended lately; 0 before the first."""
        (since, before), (now, done) = self._ends[0], self._ends[-1]
        return (done - before) / max(now - since, 1e-6) if done > before else 0.0

    def left_s(self) -> float | None:
        """Seconds until the end at this rate, None when there is no rate yet."""
        rate = self.rate()
        if not rate:
            return None
        return max((self._total - self._done) / rate - (time.monotonic() - self._ends[-1][0]), 0.0)

    def line(self) -> str:
        """All of it in one line, for a log."""
        with self._lock:
            return self._line()

    def _line(self) -> str:
        bad = f", {sum(self._causes.values())} quarantined ({_largest(self._causes)})" if self._causes else ""
        left = "no part done yet" if self.left_s() is None else f"{self.rate():.2f}/s, {_clock(self.left_s())} left"
        done = f"{self._job}: {self._done:,} of {self._total:,} {self._unit}"
        return f"{done}, {left}{bad}, {_clock(self._elapsed())} so far"

    def __rich__(self) -> Group:
        """The table."""
        head = Table.grid(padding=(0, 2))
        left = "" if self.left_s() is None else f"{_clock(self.left_s())} left"
        rate = f"{self.rate():.2f} {self._unit}/s" if self.rate() else "first parts under way"
        head.add_row(
            Text(self._job, style="bold"),
            ProgressBar(total=max(self._total, 1), completed=self._done, width=24),
            f"{self._done:,} of {self._total:,} {self._unit}",
            rate,
            left,
        )
        facts = Table.grid(padding=(0, 2))
        with self._lock:
            known = list(self._facts())
        for name, value in known:
            facts.add_row(Text(f"  {name}", style="dim"), value)
        return Group(head, facts)

    def _facts(self) -> Iterator[tuple[str, Text]]:
        where = f" on {len(self._hosts)} nodes" if len(self._hosts) > 1 else ""
        moved = "".join(f", {kind} {n / self._elapsed() / 1e6:.1f} MB/s" for kind, n in sorted(self._bytes.items()))
        yield "workers", Text(f"{self._workers}{where}, {self._parts:,} parts done in {_clock(self._elapsed())}{moved}")
        if self._done and self._seconds:
            each = {name: seconds / self._done for name, seconds in self._seconds.items()}
            shown = sorted(each.items(), key=lambda item: -item[1])
            parts = [f"{name} {_short(seconds)}" for name, seconds in shown[:SHOWN]]
            if rest := sum(seconds for _, seconds in shown[SHOWN:]):
                parts.append(f"{len(shown) - SHOWN} others {_short(rest)}")
            yield "seconds each", Text(", ".join(parts))
        if self._causes:
            yield "quarantined", _counted(self._causes)
        if self._deaths:
            yield "deaths", _counted(self._deaths)

    def _elapsed(self) -> float:
        return max(time.monotonic() - self._started, 1e-6)


def _counted(counts: Counter[str]) -> Text:
    return Text.assemble((f"{sum(counts.values()):,}", "yellow"), f": {_largest(counts)}")


def _largest(counts: Counter[str]) -> str:
    shown = counts.most_common(SHOWN)
    rest = sum(counts.values()) - sum(count for _, count in shown)
    return ", ".join([f"{name} {count:,}" for name, count in shown] + ([f"others {rest:,}"] if rest else []))


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.0995 else f"{seconds * 1000:.0f} ms"


def _clock(seconds: float | None) -> str:
    minutes, rest = divmod(int(seconds or 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def watching(job: str, total: int, unit: str, workers: int) -> Iterator[Watch]:
    """A live view on stderr of a job of `total` rows (keys) done by `workers` actors."""
    watch = Watch(job, total, unit, workers)
    if console.err.is_terminal:
        with Live(watch, console=console.err, transient=True, refresh_per_second=4):
            yield watch
        return
    over = threading.Event()
    thread = threading.Thread(target=_say, args=(watch, over), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _say(watch: Watch, over: threading.Event) -> None:
    while not over.wait(console.QUIET_S):
        console.err.print(watch.line(), soft_wrap=True, markup=False)
