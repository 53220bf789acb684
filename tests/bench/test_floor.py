"""Counted bytes, the floor and the planner's prediction, by hand and against what an H100 took."""

import pytest

from bench.step.ceilings import PASSES, Ceilings
from bench.step.floor import floor_of
from bench.step.planned import MEASURED, TRAINED, predicted
from bench.step.sizes import GRIDS, SMALL, Sizes, clip_of, made_up_batch
from bench.step.traffic import block_bytes
from trainer.flops import Load, batch_load
from trainer.gpus import gpu_named
from trainer.plan.casts import cast_bytes
from trainer.plan.trained import linears

CONFIG = SMALL.ours()
LOAD = Load((40, 10, 5, 9), 64**2, 0, 3)


def ceilings(float8: bool) -> Ceilings:
    seconds = {(name, one): 0.5 for name in linears(CONFIG) for one in PASSES}
    halved = {key: s / 2 for key, s in seconds.items()} if float8 else None
    return Ceilings(CONFIG, 64, seconds, halved, (0.25, 1.0), 64**2, 1e6)


def test_bytes_of_a_block_by_hand():
    """Width 96, FFN 96, heads of 32. Forward: x in, tokens out; q, k in, out; product, x in, x, tokens out; GELU in,
    out; product, x in, x out: 2 + 4 + 4 + 3 = 13 d and 2 f. Backward 3, (2 + 1) f, 4 + 2, 6, 4: 19 d and 3 f."""
    assert (CONFIG.width, CONFIG.ffn, CONFIG.head_dim) == (96, 96, 32)
    assert block_bytes(CONFIG, 10) == 10 * (2 * (32 * 96 + 5 * 96) + 2 * 4 * 32)


def test_a_floor_by_hand():
    """12 products of 0.5 s in the one layer; the others' FLOPs at the rate that they ran at."""
    floor = floor_of(ceilings(False), LOAD, optimizer_bytes=3e6)
    rate = 6 * 64 * (3 + 1 + 1 + 1) * 96 * 96 / 6.0
    assert ceilings(False).rate(ceilings(False).gemm) == pytest.approx(rate)
    assert floor["GEMM"] > 6.0 and floor["attention"] == 1.0 and floor["optimizer"] == 3.0
    assert floor["elementwise"] == block_bytes(CONFIG, 64) / 1e6
    assert floor["step"] == pytest.approx(sum(floor[k] for k in ("GEMM", "attention", "optimizer", "elementwise")))
    half = floor_of(ceilings(True), LOAD, 3e6, float8=True)
    assert floor["GEMM"] - half["GEMM"] == pytest.approx(3.0)
    assert half["elementwise"] - floor["elementwise"] == pytest.approx(cast_bytes(CONFIG, 64) / 1e6)


def test_bytes_of_casts_by_hand():
    """Inputs of the four linears 96 each, and gradients 288, 96, 96, 96: each value 2 in, 1 + 1 out; attention's once
    more, for its peak. Weights 6 x 96^2: 2 for the peak, 3 forward, 3 backward. A forward pass again casts the inputs
    and the weights again."""
    weights = 6 * 96 * 96
    assert cast_bytes(CONFIG, 10) == 10 * (4 * (384 + 576) + 2 * 96) + 8 * weights
    assert cast_bytes(CONFIG, 0, 3) == 3 * 8 * weights
    assert cast_bytes(CONFIG, 10, again=True) - cast_bytes(CONFIG, 10) == 10 * (4 * 384 + 2 * 96) + 5 * weights


def test_there_is_no_floor_without_its_ceilings():
    with pytest.raises(ValueError, match="float8"):
        floor_of(ceilings(False), LOAD, 0, float8=True)
    with pytest.raises(ValueError, match="shared"):
        floor_of(ceilings(False)._replace(config=SMALL.ours(shared=False)), LOAD, 0)


@pytest.mark.parametrize(("tokens", "ms"), [(tokens, bare) for tokens, (bare, _) in MEASURED.items()])
def test_the_planner_is_within_a_tenth_of_a_measured_step(tokens, ms):
    config = Sizes().ours()
    load = batch_load(made_up_batch(config, clip_of(GRIDS[tokens])).packed)
    assert load.tokens == tokens
    found = predicted(config, load, gpu_named("h100"), optimizer_bytes=14 * TRAINED)
    assert found["step"] * 1e3 == pytest.approx(ms, rel=0.1)
