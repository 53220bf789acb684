"""Rows of numbers: what is in them, that every sink holds the same, and that steps done again are there once."""

import json
import math

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from manifests.errors import ConfigError
from trainer import loop
from trainer.data.latents import LatentSet, find_latents
from trainer.data.stream import Draw
from trainer.feed import Window
from trainer.loop import train
from trainer.observe.breakdown import bucket_names
from trainer.observe.metrics import Metrics
from trainer.observe.sinks import (
    NAMES,
    JsonLines,
    LogSettings,
    TensorBoard,
    check_sinks,
    last_row,
    lines_file,
    scalars_of,
)
from trainer.parallel import World
from trainer.run import start_run
from trainer.settings import TrainSettings
from trainer.tasks import TASKS

ALONE = World(0, 1, torch.device("cpu"))


def rows_of(out, stage=1):
    return [json.loads(line) for line in lines_file(out, stage).read_text().splitlines()]


def curves(out):
    events = EventAccumulator(str(out / "report" / "tensorboard" / "stage-1"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def metrics_of(tiny: TrainSettings, out, peak=None) -> Metrics:
    return Metrics(start_run(tiny, out, 1, LatentSet(find_latents(out)), ALONE), tiny, peak)


def test_a_row_holds_the_interval(out, tiny):
    result = train(tiny, out, 1)
    rows = rows_of(out)
    assert [row["step"] for row in rows] == [2, 4, 6] and {row["over"] for row in rows} == {2}
    for row in rows:
        assert row["loss"] == pytest.approx(row["video"] + row["audio"])
        assert 0 < row["data_percent"] < 100 and row["skipped"] == 0 and row["bad"] == 0
        assert 0.05 < row["memory_gib"] < 20
        assert row["mfu_percent"] is None
        assert set(row["task"]) <= set(TASKS) and set(row["class"]) <= {"music", "sound"}
        assert set(row["sigma"]) <= set(bucket_names())
        for axis in ("task", "class", "sigma", "capability"):
            assert sum(cell["share"] for media in row[axis].values() for cell in media.values()) == pytest.approx(1)
        assert sum(row["stream"].values()) == pytest.approx(1) and sum(row["part"].values()) == pytest.approx(1)
    last = result["losses"][-1]
    assert last == {name: value for name, value in rows[-1].items() if name in last}


def test_the_last_steps_are_logged_though_they_are_few(out, tiny):
    train(tiny.model_copy(update={"log_every": 4}), out, 1)
    assert [(row["step"], row["over"]) for row in rows_of(out)] == [(4, 4), (6, 2)]


def test_tensorboard_has_the_rows_under_torchtitans_names(out, tiny):
    train(tiny, out, 1)
    found, rows = curves(out), rows_of(out)
    for name in ("loss_metrics/global_avg_loss", "throughput(tps)", "time_metrics/data_loading(%)"):
        key = next(key for key, public in NAMES.items() if public == name)
        assert found[name] == [(row["step"], pytest.approx(row[key], rel=1e-6)) for row in rows]
    assert "memory/max_active(GiB)" in found and "mfu(%)" not in found
    by_task = {tag for tag in found if tag.startswith("loss_by_task/")}
    assert by_task == {f"loss_by_task/{t}/{m}" for row in rows for t, media in row["task"].items() for m in media}
    assert [step for step, _ in found["gradient_share_by_part/attention"]] == [2, 4, 6]
    assert [step for step, _ in found["heldout/video"]] == [0, 6]


def test_a_resumed_run_has_every_step_once_and_the_same(out, tiny, monkeypatch):
    settings = tiny.model_copy(update={"log_every": 1, "save_every": 4})
    train(settings, out, 1)
    whole = rows_of(out)
    (out / "checkpoints").rename(out / "away")
    calls, step = [], loop.train_step

    def stop_at_six(*args):
        calls.append(args)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(loop, "train_step", stop_at_six)
    with pytest.raises(KeyboardInterrupt):
        train(settings, out, 1)
    monkeypatch.setattr(loop, "train_step", step)
    assert [row["step"] for row in rows_of(out)] == [1, 2, 3, 4, 5]
    with lines_file(out, 1).open("a") as file:
        file.write('{"step": 6, "cut o')  # as a kill in the middle of a write would leave
    train(settings, out, 1)
    again = rows_of(out)
    assert [row["step"] for row in again] == [1, 2, 3, 4, 5, 6]
    same = ("loss", "video", "audio", "grad_norm", "task", "class", "sigma", "stream", "part")
    assert [{key: row[key] for key in same} for row in again] == [{key: row[key] for key in same} for row in whole]
    found = curves(out)
    assert [step for step, _ in found["loss_metrics/video"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in found["heldout/video"]] == [0, 6]


def test_going_back_in_a_run_replaces_the_rows(out, tiny):
    with metrics_of(tiny.model_copy(update={"log_every": 1}), out) as metrics:
        for step, loss in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 4.0), (3, 5.0)):
            metrics.add(step, torch.full((3,), loss), Window((), (), 100, 0), 1e-3)
    assert [(row["step"], row["video"]) for row in rows_of(out)] == [(1, 1.0), (2, 4.0), (3, 5.0)]
    assert curves(out)["loss_metrics/video"] == [(1, 1.0), (2, 4.0), (3, 5.0)]
    assert [row["video"] for row in metrics.losses] == [1.0, 4.0, 5.0]


def test_event_files_are_read_as_they_were_written(tmp_path, monkeypatch):
    """Though three begin in one second, and their numbers go beyond 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(8))
    board = TensorBoard(tmp_path / "report" / "tensorboard" / "stage-1", -1)
    for value in (1.0, 2.0):
        board.rewind(0)
        board.write(1, {"loss": value})
    board.close()
    assert curves(tmp_path) == {"loss": [(1, 2.0)]}


def test_skipped_steps_and_absent_media(out, tiny):
    """A skipped step is NaN throughout, a medium without rows has NaN for a loss: neither spoils the interval."""
    nan = math.nan
    with metrics_of(tiny, out, peak=1e9) as metrics:
        lost = (Draw("00", "T2A", 3), "latents:damaged: why")
        metrics.add(1, torch.tensor([nan, nan, nan]), Window((), (), 100, 0, (lost,), 10**6, 1.0), 1e-3)
        metrics.add(2, torch.tensor([1.5, nan, 0.5]), Window((), (), 100, 0, (), 10**6, 1.2), 1e-3)
    (row,) = rows_of(out)
    assert (row["skipped"], row["video"], row["audio"], row["loss"], row["grad_norm"]) == (1, 1.5, None, 1.5, 0.5)
    assert row["tflops"] * row["seconds_per_step"] == pytest.approx(1e-6)
    assert row["mfu_percent"] == pytest.approx(100 * row["tflops"] * 1e3)
    assert row["imbalance"] == pytest.approx(1.1) and row["unreadable"] == 1
    assert "loss_metrics/audio" not in scalars_of(row) and scalars_of(row)["guard/skipped"] == 1


def test_readers_see_whole_lines_only(tmp_path):
    lines = JsonLines(tmp_path / "rows.jsonl", 0)
    assert last_row(lines.path) is None
    for step in range(1, 4):
        lines.append({"step": step, "value": math.inf if step == 3 else 1.0})
    with lines.path.open("a") as file:
        file.write('{"step": 4, "va')
    assert last_row(lines.path) == {"step": 3, "value": None}
    JsonLines(lines.path, 2)
    assert lines.path.read_text() == '{"step": 1, "value": 1.0}\n{"step": 2, "value": 1.0}\n'


def test_wandb_that_is_not_installed_is_said_at_once(out, tiny, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_sinks(LogSettings())
    with pytest.raises(ConfigError, match=r"log.wandb = 'klear'.*pip install wandb"):
        train(tiny.model_copy(update={"log": LogSettings(wandb="klear")}), out, 1)


def test_wandb_offline_gets_the_rows(out, tiny, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    seen = []
    log = wandb.Run.log
    monkeypatch.setattr(
        wandb.Run, "log", lambda run, data, step: (seen.append((step, data)), log(run, data, step=step))
    )
    settings = tiny.model_copy(update={"log": LogSettings(wandb="klear")})
    train(settings, out, 1)
    rows = rows_of(out)
    assert [data for step, data in seen if "loss_metrics/video" in data] == [scalars_of(row) for row in rows]
    assert list((out / "report" / "wandb").glob("offline-run-*/*.wandb"))
    assert json.loads((out / "report" / "wandb-stage-1.json").read_text())["id"]
