"""Traffic and time by hand, for a layout and a step made up so that every number is simple."""

from dataclasses import replace

import pytest

from trainer.gpus import GPUS
from trainer.plan.casts import cast_bytes
from trainer.plan.layout import Layout
from trainer.plan.time import Step, seconds, traffic
from trainer.plan.trained import counted, linears, newton_schulz_flops
from trainer.settings import load_train_settings

CONFIG = load_train_settings("tiny").model
P = sum(counted(CONFIG).values())
M = 2 * 4 * (6 * 64 * 64 + 6 * 64)
"""AdaLN of two layers of four streams: 2 bytes more each way."""
H100, A100 = GPUS["h100"], GPUS["a100"]
STEP = Step(rows=100, turns=3, flops={"attention": 447 * 10**12, "ffn": 679 * 10**12}, waiting=1.0, groups=3)
HSDP = Layout(16, 8, 1, False, "full", True, 4, None, adapters=0, trained=P, momenta=0)
"""Two nodes of a copy each."""
FSDP = replace(HSDP, shard=16)


def test_everything_made_again_costs_a_forward_pass_more():
    full, none = (seconds(CONFIG, replace(HSDP, recompute=kind), STEP, H100) for kind in ("full", "none"))
    for part, more in (("attention", 18 / 14), ("products", 4 / 3)):
        assert none[part] == pytest.approx(1) and full[part] == pytest.approx(more)
    assert none["elementwise"] == pytest.approx(400 * 64 * 2 * 100 / 3e12)


def test_compiled_blocks_move_less():
    plain, compiled = (seconds(CONFIG, replace(HSDP, compiled=on), STEP, H100)["elementwise"] for on in (False, True))
    assert compiled / plain == pytest.approx(165 / 400)


@pytest.mark.parametrize(("size", "own", "each"), [(4, False, 48), (2, False, 72), (4, True, 44), (2, True, 36)])
def test_a_steps_end_by_hand(size, own, each):
    """Norm 4, update 12, average 12, torch's clipped gradient 4, and two moments: in and out in float32 (16); half-size
    ones are read (2), widened (4), read and written (8), read (4) and rounded back (2), each; our kernel reads and
    writes them (4)."""
    layout = replace(HSDP, shard=16, moment_bytes=size, own_adamw=own)
    assert seconds(CONFIG, layout, STEP, H100)["optimizer"] == pytest.approx(each * P / 16 / 3e12)


def test_float8_products_run_at_their_own_rate():
    layout = replace(HSDP, recompute="none")
    half = seconds(CONFIG, layout, replace(STEP, float8=679 * 10**12 // 2), H100)
    assert half["products"] == pytest.approx(0.5 + 0.5 * 679 / 1250)


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_casts_to_float8_are_elementwise_work(recompute):
    """Of 1,000 rows, in every turn's weights anew."""
    layout = replace(HSDP, recompute=recompute)
    a_row = 6 * CONFIG.layers * sum(out * given for out, given in linears(CONFIG).values())
    plain, half = (seconds(CONFIG, layout, replace(STEP, float8=n * a_row), H100)["elementwise"] for n in (0, 1000))
    bytes_ = CONFIG.layers * cast_bytes(CONFIG, 1000, STEP.turns, recompute != "none")
    assert half - plain == pytest.approx(bytes_ / 3e12) and STEP.turns > 1


def test_copies_add_up_their_gradients_once_a_step():
    """A GPU has P / 8 of them in float32; of two copies, a ring sends half of that and gets half of the sum."""
    moved = traffic(CONFIG, HSDP, STEP)
    assert moved["all-gather of weights"] == pytest.approx(3 * 2 * (2 * P + 2 * M) * 7 / 8)
    assert moved["reduce-scatter of gradients"] == pytest.approx(3 * 4 * P * 7 / 8)
    assert moved["all-reduce between copies"] == pytest.approx(4 * P / 8)
    found = seconds(CONFIG, HSDP, STEP, H100)["weights and gradients"]
    assert found == pytest.approx((21 * P + 10.5 * M) / 300e9 + P / 2 / 40e9)


def test_a_ring_over_nodes_runs_at_the_networks_rate():
    """The A100's: 160 GB/s of a node against 201 GB/s of NVLink."""
    found = seconds(CONFIG, FSDP, STEP, A100)["weights and gradients"]
    assert found == pytest.approx(3 * (8 * P + 4 * M) * 15 / 16 / 160e9)


@pytest.mark.parametrize(("context", "rate"), [(8, 300e9), (16, 40e9)])
def test_a_context_group_beyond_a_node_uses_the_network(context, rate):
    """q, k, v and the result of 64 channels in bf16, in three passes through two layers."""
    layout = replace(HSDP, context=context)
    size = 3 * 4 * 64 * 2 * 2 * (context - 1) / context * 100
    assert traffic(CONFIG, layout, STEP)["all-to-all of context"] == pytest.approx(size)
    assert seconds(CONFIG, layout, STEP, H100)["context and AdaLN"] == pytest.approx(size / rate)


@pytest.mark.parametrize(("shard", "rate"), [(8, 300e9), (16, 40e9)])
def test_so_do_adaln_vectors_of_a_shard_group(shard, rate):
    """Of 3 noise levels, one vector in and 6 x 4 streams out of two layers in float32, there and back, thrice."""
    layout = replace(HSDP, shard=shard, rows=True)
    size = 2 * 3 * 64 * (1 + 48) * 4 * 3
    assert seconds(CONFIG, layout, STEP, H100)["context and AdaLN"] == pytest.approx(size / rate)


def test_groups_that_straddle_two_nodes_use_the_network():
    layout = replace(HSDP, gpus=24, shard=8, context=3)
    size = traffic(CONFIG, layout, STEP)["all-to-all of context"]
    assert seconds(CONFIG, layout, STEP, H100)["context and AdaLN"] == pytest.approx(size / 40e9)


def test_adapters_alone_are_reduced():
    moved = traffic(CONFIG, replace(HSDP, adapters=1000, trained=1000), STEP)
    assert moved["all-gather of weights"] == pytest.approx(3 * 2 * (2 * (P + 1000) + 2 * M) * 7 / 8)
    assert moved["reduce-scatter of gradients"] == pytest.approx(3 * 4 * 1000 * 7 / 8)
    assert moved["all-reduce between copies"] == pytest.approx(4 * 1000 / 8)


def test_newton_schulz_by_hand():
    """Width 64, FFN 128, 2 layers of 4 streams: 32 square maps in q, k, v and out, 16 of 64 x 128; each is worked on
    by one process, so a third of eight copies takes as long as three."""
    square, long = 5 * 6 * 64**3, 5 * (4 * 64**2 * 128 + 2 * 64**3)
    assert newton_schulz_flops(CONFIG, 1) == 32 * square + 16 * long
    assert newton_schulz_flops(CONFIG, 3) == 12 * square + 6 * long
    assert newton_schulz_flops(CONFIG, 64) == 4 * square + 2 * long
