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

from trainer.checkpoint import latest, load_ema
from trainer.loop import train
from trainer.model.mmdit import MMDiT
from trainer.settings import as_plain
from trainer.sinks import last_row, lines_file


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
