"""What a person sees: the table and the line hold the row's numbers, at any width; `watch` follows a run's file."""

import io
import re
import threading
import time

import pytest
from rich.console import Console

from manifests.errors import ConfigError
from pipeline import console
from trainer.loop import train
from trainer.observe import watch as module
from trainer.observe.board import Board, clock, facts, percent
from trainer.observe.sinks import JsonLines, last_row, lines_file
from trainer.observe.watch import newest, newest_row, watch
from trainer.tasks import TASKS


def shown(board: Board, width: int) -> list[str]:
    screen = Console(width=width, record=True, file=io.StringIO(), force_terminal=False)
    screen.print(board)
    return screen.export_text().splitlines()


@pytest.fixture
def board(out, tiny) -> Board:
    train(tiny, out, 1)
    row = last_row(lines_file(out, 1))
    board = Board(1, 6, 6)
    board.row = row | {"mfu_percent": 31.4, "skipped": 2, "time": time.time()}
    return board


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_shows_every_number_at_any_width(board, width):
    lines = shown(board, width)
    assert max(map(len, lines)) <= width and len(lines) < 40
    text = "\n".join(lines)
    for name, value in facts(board.row):
        assert f"{name} {value}" in text
    assert "MFU 31.4%" in text and "skipped steps 2" in text
    for axis in ("task", "class", "sigma"):
        for name, media in board.row[axis].items():
            cells = [
                cell for numbers in media.values() for cell in (f"{numbers['loss']:.3f}", percent(numbers["share"]))
            ]
            assert re.search(rf"{name}\s+" + r"\s+".join(map(re.escape, cells)), text), name
    assert "gradient by stream: video " in text and "gradient by part: attention " in text


def test_before_the_first_row_there_is_a_bar(board):
    board.row = None
    assert shown(board, 80)[0].startswith("train stage 1") and "6 of 6" in shown(board, 80)[0]


def test_the_line_is_one_line_with_the_time_left(board):
    board.steps, board.row = 12, board.row | {"steps_per_s": 0.05}
    line = board.line()
    assert line.startswith("train stage 1: 6 of 12, loss ") and "\n" not in line
    assert re.search(r", (2:00|1:59) left$", line)


def test_clock_and_percent():
    assert [clock(s) for s in (0, 59.9, 60, 3725)] == ["0 s", "59 s", "1:00", "1:02:05"]
    assert [percent(s) for s in (0.0, 0.0001, 0.0005, 0.5)] == ["0.0%", "<0.1%", "0.1%", "50.0%"]


def test_watch_shows_the_newest_stage_once(out, tiny, monkeypatch):
    screen = Console(width=200, record=True, file=io.StringIO(), force_terminal=False)
    monkeypatch.setattr(console, "err", screen)
    with pytest.raises(ConfigError, match="train-stage-1.jsonl has no row yet"):
        watch(out)
    JsonLines(lines_file(out, 1), 0).append(
        {"stage": 1, "step": 3, "steps": 9, "steps_per_s": 1.0, "time": time.time()}
    )
    JsonLines(lines_file(out, 2), 0).append(
        {"stage": 2, "step": 4, "steps": 9, "steps_per_s": 1.0, "time": time.time()}
    )
    assert newest(out) == lines_file(out, 2)
    watch(out)
    watch(out, stage=1)
    said = screen.export_text()
    assert "train stage 2: 4 of 9" in said and "train stage 1: 3 of 9" in said


def test_watch_follows_to_the_last_step(out, monkeypatch):
    screen = Console(width=100, record=True, file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(console, "err", screen)
    monkeypatch.setattr(module, "POLL_S", 0.05)
    lines, row = JsonLines(lines_file(out, 1), 0), {"stage": 1, "steps": 3, "steps_per_s": 1.0, "loss": 0.5}
    lines.append(row | {"step": 1, "time": time.time()})
    watcher = threading.Thread(target=watch, args=(out,))
    watcher.start()
    for step in (2, 3):
        time.sleep(0.2)
        assert watcher.is_alive()
        lines.append(row | {"step": step, "time": time.time()})
    watcher.join(5)
    assert not watcher.is_alive() and "3 of 3" in screen.export_text()


def test_the_newest_row_for_programs(out, tiny):
    train(tiny, out, 1)
    row = newest_row(out)
    assert (row["stage"], row["step"]) == (1, 6) and set(row["task"]) <= set(TASKS)
    with pytest.raises(ConfigError, match="no row yet"):
        newest_row(out, 2)
