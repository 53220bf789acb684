"""The planner's bytes against the tensors that a training step really holds."""

import gc

import pytest
import torch

from tests.trainer.plan.live_bytes import LiveBytes
from trainer.data.latents import LatentSet, find_latents
from trainer.ema import Ema
from trainer.feed import Feed
from trainer.lora import add_adapters
from trainer.model.mmdit import MMDiT
from trainer.optim import Optimizer
from trainer.parallel import World
from trainer.plan.layout import layout_of
from trainer.plan.memory import activation_bytes, data_bytes, weight_bytes
from trainer.readings import readings_of
from trainer.run import start_run
from trainer.settings import TrainSettings, load_train_settings
from trainer.step import train_step


def settings_for(precision: str, recompute: str, *more: str) -> TrainSettings:
    model = ["model.width=96", "model.heads=3", "model.layers=3", "model.ffn=96", "model.rope.axes=[12,10,10]"]
    sets = [*model, "model.text_dim=7", "batch.micro_tokens=1200", "batch.prefetch=0", "stages.0.tokens=2400"]
    return load_train_settings("tiny", [*sets, f"precision={precision}", f"parallel.recompute={recompute}", *more])


def planned(settings: TrainSettings, batch) -> dict[str, float]:
    """Bytes by component for this micro-batch on one device, without its data."""
    rows = tuple(len(ids) for ids in batch.packed.positions)
    layout = layout_of(settings, 1, sum(rows))
    return weight_bytes(settings.model, layout) | activation_bytes(settings.model, layout, sum(rows), rows[0] + rows[3])


def windows(settings: TrainSettings, out, device: torch.device):
    """A run's latents and its first two windows, made before anything is counted."""
    latents = LatentSet(find_latents(out))
    with Feed(start_run(settings, out, 1, latents, World(0, 1, device)), settings) as feed:
        return latents, [feed.next(), feed.next()]


def largest(window):
    return max(window.batches, key=lambda batch: sum(len(ids) for ids in batch.packed.positions))


@pytest.mark.parametrize(
    ("precision", "recompute", "float8"),
    [
        ("fp32", "none", "none"),
        ("bf16", "selective", "none"),
        ("bf16", "attention", "none"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("fp32", "selective", "none"),
                ("fp32", "full", "none"),
                ("bf16", "none", "none"),
                ("bf16", "full", "none"),
                ("bf16", "none", "rowwise"),
            )
        ),
    ],
)
def test_a_step_holds_what_the_planner_says(out, precision, recompute, float8):
    """All tensors of the second step, at the fullest moment."""
    settings = settings_for(precision, recompute, f"parallel.float8={float8}", "parallel.float8_rows=1")
    cpu = torch.device("cpu")
    latents, (first, second) = windows(settings, out, cpu)
    assert len(second.batches) >= 2
    with LiveBytes() as live:
        run = start_run(settings, out, 1, latents, World(0, 1, cpu))
        readings = readings_of(latents, settings.objective, cpu)
        train_step(run, settings, first.batches, readings, 1e-3)
        live.peak = 0
        train_step(run, settings, second.batches, readings, 1e-3)
    plan = planned(settings, largest(second))
    _check_states(run, plan)
    ratio = sum(plan.values()) / live.peak
    print(f"{precision} {recompute}: planned {sum(plan.values()) / 2**20:.1f} MiB, measured {live.peak / 2**20:.1f}")
    assert 0.9 < ratio < 1.1, (ratio, plan)


def _check_states(run, plan) -> None:
    """Parameters, gradients and averages exactly."""
    size = sum(p.numel() * p.element_size() for p in run.model.parameters())
    assert plan["parameters"] == plan["gradients"] == size and plan["moments"] == 2 * size
    assert plan["EMA"] == sum(w.numel() * w.element_size() for w in run.ema.weights.values())


@pytest.mark.parametrize(
    "sets",
    [
        ["optim.kind=muon"],
        ["optim.kind=muon", "optim.state_dtype=bf16", "model.shared=true"],
        ["lora={base: x, rank: 3, targets: [qkv, ffn_out]}"],
        ["lora={base: x, heads: true}"],
    ],
)
def test_states_of_muon_and_of_adapters(sets):
    """Exactly: the base of adapters has weights only, and Muon one momentum a matrix of the blocks."""
    settings = settings_for("fp32", "none", *sets)
    model = MMDiT(settings.model)
    add_adapters(model, settings.lora)
    optimizer, ema = Optimizer(model, settings.optim), Ema(model, 0.9)
    plan = weight_bytes(settings.model, layout_of(settings, 1, 1))
    assert plan["parameters"] == sum(p.nbytes for p in model.parameters())
    assert plan["gradients"] == sum(p.nbytes for p in model.parameters() if p.requires_grad)
    assert plan["moments"] == sum(t.nbytes for state in optimizer.state.values() for t in state.values())
    assert plan["EMA"] == sum(w.nbytes for w in ema.weights.values())


@pytest.mark.parametrize(("precision", "ffn"), [("fp32", 96), ("bf16", 384)])
def test_what_one_more_layer_keeps(out, precision, ffn):
    """Autograd's tensors of one block, alone: the difference between three layers and two."""
    held, planned_bytes = [], []
    for layers in (2, 3):
        settings = settings_for(precision, "none", f"model.layers={layers}", f"model.ffn={ffn}")
        _, (window, _) = windows(settings, out, torch.device("cpu"))
        batch = window.batches[0]
        model = MMDiT(settings.model)
        with LiveBytes() as live, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            prediction = model(batch.packed)
            held.append(live.now)
        del prediction
        rows = sum(len(ids) for ids in batch.packed.positions)
        plan = activation_bytes(settings.model, layout_of(settings, 1, 1), rows, 0)
        planned_bytes.append(plan["activations"])
    # Autocast keeps copies of the weights in bf16; modulation is computed in float32.
    weights = 2 * sum(p.numel() for p in model.blocks[0].streams.parameters()) if precision == "bf16" else 0
    assert held[1] - held[0] - weights == pytest.approx(planned_bytes[1] - planned_bytes[0], rel=0.03)


def test_the_data_of_a_micro_batch(out):
    settings = settings_for("fp32", "none")
    _, (window, _) = windows(settings, out, torch.device("cpu"))
    batch = window.batches[0]
    parts = [*vars(batch.packed).values(), *vars(batch.video).values(), *vars(batch.audio).values()]
    tensors = [t for part in parts for t in (part if isinstance(part, tuple) else [part]) if torch.is_tensor(t)]
    held = sum({t.data_ptr(): t.nbytes for t in tensors}.values())
    planned_bytes = data_bytes(settings.model, tuple(len(ids) for ids in batch.packed.positions))
    assert planned_bytes == pytest.approx(held, rel=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("recompute", ["none", "selective", "attention", "full"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_allocates_what_the_planner_says(out, precision, recompute):
    """At a width where the allocator's rounding does not matter."""
    sets = ["model.width=1024", "model.heads=16", "model.ffn=1024", "model.rope.axes=[24,20,20]"]
    settings = settings_for(precision, recompute, *sets, "batch.micro_tokens=4000", "stages.0.tokens=8000")
    device = torch.device("cuda", 0)
    latents, (first, second) = windows(settings, out, device)
    gc.collect()
    before = torch.cuda.memory_allocated()
    run = start_run(settings, out, 1, latents, World(0, 1, device))
    readings = readings_of(latents, settings.objective, device)
    train_step(run, settings, first.batches, readings, 1e-3)
    torch.cuda.reset_peak_memory_stats()
    train_step(run, settings, second.batches, readings, 1e-3)
    peak = torch.cuda.max_memory_allocated() - before
    total = sum(planned(settings, largest(second)).values())
    print(f"{precision} {recompute}: planned {total / 2**20:.0f} MiB, allocated {peak / 2**20:.0f}")
    assert 0.9 < total / peak < 1.1
