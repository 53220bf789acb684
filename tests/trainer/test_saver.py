"""Checkpoints written beside the training: whole, at any number of processes, whatever dies on the way."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from pydantic import ValidationError
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter

from manifests.errors import ConfigError, MachineError
from trainer.checkpoint import PROGRESS, checkpoints, latest, load_ema, read_progress, step_of
from trainer.loop import train
from trainer.model.mmdit import MMDiT
from trainer.settings import load_train_settings

SLOW_WRITER = """
import sys, time
from torch.distributed.checkpoint.filesystem import FileSystemWriter
write, calls = FileSystemWriter.write_data, []
def slow(self, *args, **kwargs):
    result = write(self, *args, **kwargs)
    calls.append(1)
    if len(calls) == 2:
        print("inside", flush=True)
        time.sleep(300)
    return result
FileSystemWriter.write_data = slow
from trainer.cli import main
main()
"""


def contents(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint."""
    found = FileSystemReader(folder).read_metadata().state_dict_metadata
    state = {name: torch.empty(meta.size, dtype=meta.properties.dtype) for name, meta in found.items()}
    dcp.load(state, checkpoint_id=folder, no_dist=True)
    return state


def averaged(out: Path, settings) -> torch.Tensor:
    model = MMDiT(settings.model)
    load_ema(latest(out, 1), model)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_save_in_the_background_holds_what_a_plain_one_holds(out, tiny, monkeypatch):
    """Though the files are written long after the weights have moved on."""
    write = FileSystemWriter.write_data
    monkeypatch.setattr(FileSystemWriter, "write_data", lambda *args: (time.sleep(0.3), write(*args))[1])
    plain = tiny.model_copy(update={"save_in_background": False, "save_every": 3})
    train(plain, out, 1)
    expected = {step_of(folder): contents(folder) for folder in checkpoints(out, 1)}
    shutil.rmtree(out / "checkpoints")
    train(plain.model_copy(update={"save_in_background": True}), out, 1)
    found = {step_of(folder): contents(folder) for folder in checkpoints(out, 1)}
    assert found.keys() == expected.keys() == {3, 6}
    for step, tensors in expected.items():
        assert tensors.keys() == found[step].keys() and len(tensors) > 4 * 60
        assert all(torch.equal(tensors[name], found[step][name]) for name in tensors), step
    parts = {name.split(".")[0] for name in expected[3]}
    assert parts == {"model", "optimizer", "ema", "updates", "guard"}


def test_what_is_kept(out, tiny):
    train(tiny.model_copy(update={"save_every": 1, "keep_last": 2, "keep_every": 3}), out, 1)
    assert [step_of(folder) for folder in checkpoints(out, 1)] == [3, 5, 6]
    assert not list((out / "checkpoints" / "stage-1").glob(".*"))


def test_keep_every_must_meet_a_save():
    with pytest.raises(ValidationError, match="no multiple of save_every 10"):
        load_train_settings("tiny").model_validate({"save_every": 10, "keep_every": 25})


def test_killed_inside_a_save_the_one_before_is_there(out, tiny, start):
    whole = train(tiny, out, 1)
    expected = averaged(out, tiny)
    shutil.rmtree(out / "checkpoints")
    child = start(tiny, "-c", SLOW_WRITER)
    assert child.stdout.readline() == "inside\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert [step_of(folder) for folder in checkpoints(out, 1)] == [2]
    assert list((out / "checkpoints" / "stage-1").glob(".partial-step-00000004/*.distcp"))
    resumed = train(tiny, out, 1)
    assert resumed["steps_now"] == 4
    assert resumed["losses"][-1]["video"] == whole["losses"][-1]["video"]
    assert torch.equal(expected, averaged(out, tiny))


def test_a_failed_write_is_an_error_and_no_checkpoint(out, tiny, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemWriter, "write_data", full)
    with pytest.raises(MachineError, match="No space left"):
        train(tiny, out, 1)
    assert latest(out, 1) is None


def test_another_optimizer_is_refused(out, tiny):
    train(tiny, out, 1)
    muon = tiny.model_copy(update={"optim": tiny.optim.model_copy(update={"kind": "muon"})})
    shutil.rmtree(latest(out, 1))
    with pytest.raises(ConfigError, match="optim.kind"):
        train(muon, out, 1)


def test_moments_change_their_dtype_on_the_way_in(out, tiny):
    train(tiny, out, 1)
    shutil.rmtree(latest(out, 1))
    narrow = tiny.model_copy(update={"optim": tiny.optim.model_copy(update={"state_dtype": "bf16"})})
    assert train(narrow, out, 1)["steps_now"] == 2
    state = contents(latest(out, 1))
    assert {t.dtype for name, t in state.items() if "exp_avg" in name} == {torch.bfloat16}


def test_leftovers_of_killed_saves_are_swept(out, tiny):
    left = out / "checkpoints" / "stage-1" / ".partial-step-00000099"
    left.mkdir(parents=True)
    train(tiny, out, 1)
    assert not left.exists()


def test_sigterm_saves_and_goes_on_where_it_was(out, tiny, start):
    long = tiny.model_copy(update={"stages": (tiny.stages[0].model_copy(update={"steps": 100_000}),)})
    long = long.model_copy(update={"save_every": 50_000})
    child = start(long, "-u", "-m", "trainer")
    while not (out / "report" / "tensorboard").exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.1)
    time.sleep(2)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 143
    step = read_progress(latest(out, 1)).step
    assert step > 0 and f"stage 1 at step {step}: the same command goes on" in errors


@pytest.mark.slow
def test_one_of_two_processes_is_told_to_stop(out, tiny, start):
    """Both stop after the same step, with one checkpoint."""
    long = tiny.model_copy(update={"stages": (tiny.stages[0].model_copy(update={"steps": 100_000}),)})
    long = long.model_copy(update={"save_every": 50_000})
    env = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29871"}
    pair = [start(long, "-m", "trainer", env=env | {"RANK": r, "LOCAL_RANK": r}) for r in "01"]
    while not (out / "report" / "tensorboard").exists():
        assert all(p.poll() is None for p in pair)
        time.sleep(0.1)
    time.sleep(3)
    pair[1].send_signal(signal.SIGTERM)
    for process in pair:
        process.communicate(timeout=60)
    assert [p.returncode for p in pair] == [143, 143]
    assert (latest(out, 1) / PROGRESS).is_file() and len(checkpoints(out, 1)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_saved_on_four_loaded_on_two_and_on_one(out, tiny, launch, kind):
    """Losses within 1e-4 and averages within 2e-5 of one process: the reductions round in another order."""
    settings = tiny.model_copy(update={"optim": tiny.optim.model_copy(update={"kind": kind}), "keep_last": 3})
    one = train(settings, out, 1)
    expected = averaged(out, settings)
    shutil.rmtree(out / "checkpoints")
    launch(settings, 4)
    for processes in (2, 1):
        for folder in checkpoints(out, 1):
            if step_of(folder) > 4:
                shutil.rmtree(folder)
        resumed = launch(settings, processes) if processes > 1 else train(settings, out, 1)
        assert resumed["steps_now"] == 2 and resumed["processes"] == processes
        for medium in ("video", "audio"):
            assert abs(resumed["losses"][-1][medium] / one["losses"][-1][medium] - 1) < 1e-4
        assert torch.allclose(expected, averaged(out, settings), atol=2e-5)
