"""`klear-train watch`: the live table of a run, from its JSON lines: in another terminal, or of another machine."""

import re
import time
from pathlib import Path
from typing import Any

from rich.live import Live

from manifests.errors import ConfigError
from pipeline import console
from trainer.observe.board import Board
from trainer.observe.sinks import last_row, lines_file

POLL_S = 1.0


def watch(out: Path, stage: int | None = None, once: bool = False) -> None:
    """Show the newest row until the stage's last step, or once. stage: None for the one written to last.

    Off a terminal it is one line. Raises ConfigError where no stage has a row yet.
    """
    path = lines_file(out, stage) if stage else newest(out)
    board = _board(newest_row(out, stage))
    if once or not console.err.is_terminal:
        console.err.print(board if console.err.is_terminal else board.line(), soft_wrap=True)
        return
    with Live(board, console=console.err, refresh_per_second=2):
        while board.step < board.steps:
            time.sleep(POLL_S)
            board.row = last_row(path) or board.row
            if board.row is not None:
                board.step = board.row["step"]


def newest_row(out: Path, stage: int | None = None) -> dict[str, Any]:
    """The newest row of a stage, by default of the one written to last. Raises ConfigError where there is none yet."""
    path = lines_file(out, stage) if stage else newest(out)
    row = last_row(path)
    if row is None:
        raise ConfigError(
            "watch:absent", f"{path} has no row yet: rows come every log_every steps of `klear-train train`"
        )
    return row


def newest(out: Path) -> Path:
    """The file of the stage that was written to last."""
    found = [p for p in (out / "report").glob("train-stage-*.jsonl") if re.fullmatch(r"train-stage-\d+", p.stem)]
    return max(found, key=lambda path: path.stat().st_mtime, default=lines_file(out, 1))


def _board(row: dict[str, Any]) -> Board:
    board = Board(row["stage"], row["steps"], row["step"], aged=True)
    board.row = row
    return board
