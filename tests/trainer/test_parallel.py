"""FSDP2 over two gloo processes trains what one process trains."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from trainer.batches import cut, share
from trainer.checkpoint import latest, load_ema
from trainer.data.sample import SampleInfo
from trainer.data.stream import SampleStream
from trainer.loop import train
from trainer.model.mmdit import MMDiT
from trainer.settings import as_plain
from trainer.sinks import last_row, lines_file
from trainer.tasks import TASKS


def test_two_processes_equal_one(out, tiny, tmp_path):
    """Through the command line, ranks with different streams present included."""
    one = train(tiny, out, 1)
    row = last_row(lines_file(out, 1))
    expected = MMDiT(tiny.model)
    load_ema(latest(out, 1), expected)
    shutil.rmtree(out / "checkpoints")
    preset = tmp_path / "preset.yaml"
    preset.write_text(yaml.safe_dump(json.loads(json.dumps(as_plain(tiny)))))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "trainer"]
    done = subprocess.run(
        [*launch, "train", "--out", str(out), "--preset", str(preset), "--json"],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    two = json.loads(done.stdout)
    assert two["processes"] == 2 and two["samples"] == one["samples"]
    for medium in ("video", "audio"):
        assert abs(two["losses"][-1][medium] / one["losses"][-1][medium] - 1) < 1e-4
    _same_breakdown(row, last_row(lines_file(out, 1)))
    sharded = MMDiT(tiny.model)
    load_ema(latest(out, 1), sharded)
    for (name, a), b in zip(expected.named_parameters(), sharded.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-5), name


def _same_breakdown(one: dict, two: dict) -> None:
    """Rows and losses by cell, and shares of the gradient at the outputs and in the (sharded) parameters."""
    assert (two["processes"], two["skipped"], two["bad"]) == (2, 0, 0)
    for axis in ("task", "class", "sigma", "capability"):
        assert two[axis].keys() == one[axis].keys()
        for name, media in one[axis].items():
            assert two[axis][name].keys() == media.keys()
            for medium, numbers in media.items():
                assert two[axis][name][medium] == pytest.approx(numbers, rel=1e-3, abs=1e-6), (name, medium)
    for axis in ("stream", "part"):
        assert two[axis] == pytest.approx(one[axis], rel=1e-3, abs=1e-6)


def test_the_cut_does_not_depend_on_the_ranks():
    infos = {
        f"{i:04x}": SampleInfo(f"{i:04x}", "sound", tuple(TASKS), video=(2 + i % 5, 2, 3), audio=20 + i, video_text=4)
        for i in range(12)
    }
    stream = SampleStream(list(infos.values()), {f"sound/{task}": 1.0 for task in TASKS}, 0)
    position, seen = 0, []
    for _ in range(5):
        draws, tokens, following = cut(stream, position, 300, infos.__getitem__)
        assert [d.position for d in draws] == list(range(position, following))
        assert sum(tokens) <= 300
        shares = [share(draws, tokens, rank, 3) for rank in range(3)]
        assert sorted((d for part in shares for d in part), key=lambda d: d.position) == draws
        seen += draws
        position = following
    assert [d.position for d in seen] == list(range(position))


def test_a_sample_over_the_budget_still_goes_alone():
    info = SampleInfo("00", "sound", tuple(TASKS), video=(9, 9, 9), audio=100)
    stream = SampleStream([info], {"sound/T2AV": 1.0}, 0)
    draws, tokens, following = cut(stream, 4, 10, {"00": info}.__getitem__)
    assert len(draws) == 1 and tokens[0] > 10 and following == 5
