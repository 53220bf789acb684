"""FSDP2 over two gloo processes trains what one process trains."""

import shutil

import pytest
import torch

from trainer.checkpoint import latest, load_ema
from trainer.loop import train
from trainer.model.mmdit import MMDiT
from trainer.observe.sinks import last_row, lines_file


def test_two_processes_equal_one(out, tiny, launch):
    """Through the command line, ranks with different streams present included."""
    one = train(tiny, out, 1)
    row = last_row(lines_file(out, 1))
    expected = MMDiT(tiny.model)
    load_ema(latest(out, 1), expected)
    shutil.rmtree(out / "checkpoints")
    two = launch(tiny, 2)
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
