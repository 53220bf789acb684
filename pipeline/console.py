"""What a person sees of a job: live progress with rate and ETA, a table of outcomes at the end; or one JSON object."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console, OverflowMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

err = Console(stderr=True, highlight=False, markup=False, emoji=False)
"""People's console: stderr, so that `--json` owns stdout. What it prints is names and messages from data, so brackets
and colons are no markup to it: colour comes from `say` and from Text."""

QUIET_S = 15.0
"""In a log file, one line of progress at most so often."""
_NAME = 40
"""Characters of a name that is not broken into lines, however narrow the table."""
_stdout: IO[str] | None = None


def say(text: str, label: str = "", style: str = "") -> None:
    """One line for people, as long as it may be; the label before it in a style of rich, e.g. `bold red`."""
    err.print(Text.assemble((label, style), " " if label else "", text), soft_wrap=True)


class Ticker:
    """Counts finished rows of one job and shows them."""

    def __init__(self, progress: Progress, total: int, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total, rate="")
        self._started = self._said = time.monotonic()
        self._label, self._total, self._done = label, total, 0

    def advance(self, rows: int) -> None:
        """`rows` more rows are done."""
        self._done += rows
        rate = self._done / max(time.monotonic() - self._started, 1e-6)
        self._progress.update(self._task, advance=rows, rate=f"{rate:.1f}/s")
        if not err.is_terminal and time.monotonic() - self._said > QUIET_S:
            self._said = time.monotonic()
            left = (self._total - self._done) / max(rate, 1e-6)
            err.print(f"{self._label}: {self._done} of {self._total}, {rate:.2f}/s, {left:.0f} s left")


@contextmanager
def ticking(label: str, total: int, unit: str = "clips") -> Iterator[Ticker]:
    """A progress line on stderr for `total` rows."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit, markup=False),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield Ticker(progress, total, label)


def outcome(job: str, numbers: Mapping[str, Any]) -> None:
    """The table a job ends with: its counts, seconds and rate. Nested mappings become rows of their own."""
    table = Table(title=job, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2))
    for name, value in _flat(numbers):
        table.add_row(name, value)
    err.print(table)


def rows(title: str, header: list[str], body: list[list[Any]]) -> None:
    """A table for people, e.g. yields by gate or causes of quarantine. The first column names the row, on one line."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, name in enumerate(header):
        numeric = bool(body) and all(isinstance(row[i], int | float) for row in body)
        whole = i == 0 and all(len(_show(row[0])) <= _NAME for row in body)
        overflow: OverflowMethod = "ellipsis" if whole else "fold"
        table.add_column(name, justify="right" if numeric else "left", overflow=overflow, no_wrap=whole)
    for row in body:
        table.add_row(*(_show(value) for value in row))
    err.print(table)


def own_stdout() -> None:
    """Keep stdout for `print_json`: what libraries print there (Ray does, of dead nodes) goes to stderr from now on."""
    global _stdout
    _stdout, sys.stdout = sys.stdout, sys.stderr


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object, alone on stdout."""
    out = _stdout or sys.stdout
    text = json.dumps(value, default=str, ensure_ascii=False)
    out.write(text.encode("utf-8", "backslashreplace").decode() + "\n")  # names that are no text become JSON's escapes
    out.flush()


def _flat(numbers: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            continue  # lists of rows are for --json and for tables of their own
        else:
            yield prefix + (name if ":" in name else name.replace("_", " ")), _show(value)


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value) or "-"
    return "-" if value is None else str(value)
