"""What a person sees of a stage in training: a live table on a terminal, one line in a log."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from trainer.observe.sinks import AXES

MEDIA = ("video", "audio")


class Board:
    """The newest row of numbers and where training stands. Rendered by rich whenever it likes.

    aged: show how old the row is, for a view from outside of the run.
    """

    def __init__(self, stage: int, steps: int, step: int, aged: bool = False) -> None:
        self.stage, self.steps, self.step, self._aged = stage, steps, step, aged
        self.row: Mapping[str, Any] | None = None

    def left_s(self) -> float | None:
        """Seconds to the last step at the newest row's rate."""
        if self.row is None or not self.row["steps_per_s"]:
            return None
        since = max(0.0, time.time() - self.row["time"]) if self.step == self.row["step"] else 0.0
        return max(0.0, (self.steps - self.step) / self.row["steps_per_s"] - since)

    def line(self) -> str:
        """All of it in one line."""
        left = self.left_s()
        numbers = ", ".join(f"{name} {text}" for name, text in facts(self.row or {}))
        tail = "" if left is None else f", {clock(left)} left"
        return f"train stage {self.stage}: {self.step:,} of {self.steps:,}, {numbers}{tail}"

    def __rich__(self) -> Group:
        """The table."""
        left = self.left_s()
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"train stage {self.stage}", style="bold"),
            ProgressBar(total=self.steps, completed=self.step, width=24),
            f"{self.step:,} of {self.steps:,}",
            "first steps under way" if left is None else f"{clock(left)} left",
        )
        if self.row is None:
            return Group(head)
        numbers = [Text.assemble((f"{name} ", "dim"), text) for name, text in facts(self.row)]
        if self._aged:
            numbers.append(Text(f"{clock(time.time() - self.row['time'])} ago", style="dim"))
        tables = [_marginal(axis, self.row[axis]) for axis in AXES if self.row.get(axis)]
        return Group(head, Columns(numbers, padding=(0, 3)), Columns(tables, padding=(0, 3)), *_parts(self.row))


def facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and texts of a row's numbers, the known ones."""
    kinds = {
        "loss": ("loss", "{:.3f}"),
        "video": ("video", "{:.3f}"),
        "audio": ("audio", "{:.3f}"),
        "grad_norm": ("grad norm", "{:.3g}"),
        "lr": ("lr", "{:.2e}"),
        "steps_per_s": ("steps/s", "{:.3g}"),
        "samples_per_s": ("samples/s", "{:,.3g}"),
        "tokens_per_s": ("tokens/s", "{:,.0f}"),
        "mfu_percent": ("MFU", "{:.1f}%"),
        "memory_gib": ("memory", "{:.2f} GiB"),
        "data_percent": ("data wait", "{:.1f}%"),
        "imbalance": ("imbalance", "{:.2f}"),
    }
    for key, (name, form) in kinds.items():
        if row.get(key) is not None and row[key] == row[key]:
            yield name, form.format(row[key])
    for key, name in (("skipped", "skipped steps"), ("bad", "bad rows"), ("unreadable", "unreadable samples")):
        if row.get(key):
            yield name, str(row[key])


def clock(seconds: float) -> str:
    """`42 s`, `7:03`, `2:07:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"


def percent(share: float) -> str:
    """`12.3%`; a little is not nothing."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _marginal(axis: str, rows: Mapping[str, Any]) -> Table:
    """Loss and gradient share of both media, a row a name."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column(axis, no_wrap=True)
    for medium in MEDIA:
        table.add_column(medium, justify="right", no_wrap=True)
        table.add_column("grad", justify="right", no_wrap=True)
    for name, media in rows.items():
        cells = []
        for medium in MEDIA:
            numbers = media.get(medium)
            cells += ["", ""] if numbers is None else [f"{numbers['loss']:.3f}", percent(numbers["share"])]
        table.add_row(name, *cells)
    return table


def _parts(row: Mapping[str, Any]) -> Iterator[Text]:
    """Shares of the parameters' gradient."""
    for axis in ("stream", "part"):
        shares = [f"{name} {percent(share)}" for name, share in row.get(axis, {}).items()]
        if shares:
            yield Text.assemble((f"gradient by {axis}: ", "dim"), ", ".join(shares))
