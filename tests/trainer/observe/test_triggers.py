"""Profiles on request: by setting or by touching a file while training runs; snapshots say where there is none."""

import gc
import gzip
import json

import pytest
import torch

from trainer.garbage import collecting
from trainer.loop import train
from trainer.observe.triggers import ProfileSettings, Triggers
from trainer.parallel import World

ALONE = World(0, 1, torch.device("cpu"))


def names_in(path) -> set[str]:
    with gzip.open(path) as file:
        return {event.get("name") for event in json.load(file)["traceEvents"]}


def test_a_profile_by_setting_holds_the_step(out, tiny):
    train(tiny.model_copy(update={"profile": ProfileSettings(start=2, steps=1)}), out, 1)
    (path,) = (out / "report" / "profile").iterdir()
    assert path.name == "stage-1-after-step-00000002.json.gz"
    assert {"klear::attend", "aten::_fused_adamw_"} <= names_in(path)


def test_a_touched_file_starts_a_profile_when_numbers_are_logged(tmp_path):
    with Triggers(ProfileSettings(steps=2), tmp_path, 1, ALONE) as triggers:
        (tmp_path / "profile").touch()
        triggers.after(9, look=False)
        assert (tmp_path / "profile").exists()
        triggers.after(10, look=True)
        assert not (tmp_path / "profile").exists()
        for step in (11, 12, 13):
            torch.ones(3).cumsum(0) if step < 13 else torch.ones(3).cumprod(0)
            triggers.after(step, look=False)
    names = names_in(tmp_path / "report" / "profile" / "stage-1-after-step-00000010.json.gz")
    assert "aten::cumsum" in names and "aten::cumprod" not in names


def test_a_profile_that_is_cut_short_is_written(tmp_path):
    with Triggers(ProfileSettings(start=0, steps=50), tmp_path, 1, ALONE) as triggers:
        triggers.after(0, look=False)
        torch.ones(3).cumsum(0)
        triggers.after(1, look=True)
    assert "aten::cumsum" in names_in(tmp_path / "report" / "profile" / "stage-1-after-step-00000000.json.gz")


def test_a_snapshot_on_a_cpu_is_refused_in_words(tmp_path, capsys):
    (tmp_path / "snapshot").touch()
    with Triggers(ProfileSettings(), tmp_path, 1, ALONE) as triggers:
        triggers.after(1, look=True)
    assert "there is none on a CPU" in capsys.readouterr().err
    assert not (tmp_path / "snapshot").exists() and not (tmp_path / "report").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_snapshot_on_a_gpu_holds_allocations(tmp_path):
    import pickle

    (tmp_path / "snapshot").touch()
    with Triggers(ProfileSettings(steps=1), tmp_path, 1, World(0, 1, torch.device("cuda", 0))) as triggers:
        triggers.after(1, look=True)
        torch.ones(1 << 20, device="cuda")
        triggers.after(2, look=False)
    (path,) = (tmp_path / "report" / "memory").iterdir()
    with path.open("rb") as file:
        assert any(event["action"] == "alloc" for trace in pickle.load(file)["device_traces"] for event in trace)


def test_other_processes_leave_the_files_alone(tmp_path):
    (tmp_path / "profile").touch()
    with Triggers(ProfileSettings(start=1), tmp_path, 1, World(1, 2, torch.device("cpu"))) as triggers:
        triggers.after(1, look=True)
    assert (tmp_path / "profile").exists() and not (tmp_path / "report").exists()


def test_garbage_is_collected_on_the_beat_only():
    class Cycle:
        dead = 0

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Cycle.dead += 1

    assert gc.isenabled()
    with collecting(3) as collect:
        assert not gc.isenabled()
        for step in range(1, 6):
            Cycle()
            collect(step)
            assert Cycle.dead == (0 if step < 3 else 3)
    assert gc.isenabled()
