"""Bytes written down as the fused model runs, against the formulas of floor and planner."""

import pytest
import torch

from bench.step.counted import counted, written_down
from bench.step.sizes import GRIDS, Sizes, clip_of, made_up_batch
from bench.step.traffic import block_bytes
from trainer.plan.casts import cast_bytes

TOKENS = 9_152
KERNELS = {f"{what}_{way}" for what in ("norm", "heads", "gelu", "add") for way in ("forward", "backward")}


@pytest.fixture(scope="module")
def sizes():
    """config, batch: of the benchmark with two layers."""
    config = Sizes(layers=2).ours()
    return config, made_up_batch(config, clip_of(GRIDS[TOKENS]))


def test_a_block_moves_little_more_than_the_least(sizes):
    """More: values are copied beside queries and keys (4 d of 52), and sums over chunks of rows."""
    config, batch = sizes
    one = counted(config.model_copy(update={"layers": 1}), batch)
    block = sum(n - one[name] for name, n in counted(config, batch).items() if name in KERNELS)
    assert 1 < block / block_bytes(config, TOKENS) < 1.12


def test_casts_move_what_the_planner_counts(sizes):
    config, batch = sizes
    seen = counted(config, batch, float8=True)
    casts = seen["cast_tiles"] + seen["peaks"]
    assert casts == pytest.approx(config.layers * cast_bytes(config, TOKENS), rel=0.01)
    assert seen["constant_pad_nd"] == 0


def test_what_it_adds_up_by_hand():
    """One tensor read and one written by an operator; a view moves nothing; products in bf16 are left out."""
    x, w = torch.zeros(4, 8).bfloat16(), torch.zeros(8, 2)
    with written_down() as seen:
        y = (x.view(8, 4).t() + 1.0) @ w.bfloat16()
    assert y.shape == (4, 2) and dict(seen) == {"add": 2 * x.nbytes, "_to_copy": 1.5 * w.nbytes}
    with written_down() as seen:
        torch.zeros(3, 8) @ w
    assert seen["mm"] == 4 * (24 + 16 + 6)
