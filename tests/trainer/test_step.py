"""One update: what it leaves alone, and on a GPU, that it waits for nothing."""

import pytest
import torch

from trainer.data.latents import LatentSet, find_latents
from trainer.feed import Feed
from trainer.parallel import join_world
from trainer.readings import readings_of
from trainer.run import start_run
from trainer.skips import MOST, read_skips
from trainer.step import train_step

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def prepared(out, tiny):
    """A run, its window and readings."""
    world = join_world("auto")
    latents = LatentSet(find_latents(out))
    run = start_run(tiny, out, 1, latents, world)
    stage = tiny.stages[0].model_copy(update={"tokens": 400})
    settings = tiny.model_copy(update={"stages": (stage, *tiny.stages[1:])})
    with Feed(run, settings) as feed:
        window = feed.next()
    return run, window, readings_of(latents, tiny.objective, world.device)


def _tensors(run) -> list[torch.Tensor]:
    moments = [t for state in run.optimizer.state.values() for t in state.values()]
    counts = [run.optimizer.updates, run.ema.updates, run.guard.state["norm"], run.guard.state["taken"]]
    return [t.detach().clone() for t in (*run.model.parameters(), *moments, *run.ema.weights.values(), *counts)]


def test_a_bad_loss_leaves_every_bit_alone(prepared, tiny):
    run, window, readings = prepared
    train_step(run, tiny, window.batches, readings, 1e-3)
    before = _tensors(run)
    batch = window.batches[0]
    rows = batch.video.document == 0
    batch.video.noisy[rows] = torch.nan
    batch.packed.video[rows] = torch.nan
    assert train_step(run, tiny, window.batches, readings, 1e-3).isnan().all()
    assert all(torch.equal(a, b) for a, b in zip(before, _tensors(run), strict=True))
    taken, skip = read_skips(run.guard, run.world)
    assert taken is None and skip.reason == "not finite"
    document = batch.documents[0]
    assert [(s.key, s.position) for s in skip.suspects] == [(document.sample.key, document.position)]
    assert skip.positions == (document.position,)


@pytest.mark.parametrize("most", [1e-3, 1e6])
def test_gradients_are_clipped(prepared, tiny, most):
    """The first moments of a first step are a tenth of the gradients that the update read."""
    run, window, readings = prepared
    settings = tiny.model_copy(update={"optim": tiny.optim.model_copy(update={"clip": most})})
    norm = train_step(run, settings, window.batches, readings, 1e-3)[2]
    moments = torch.cat([state["exp_avg"].flatten() for state in run.optimizer.state.values()])
    assert 1e-3 < norm < 1e6
    assert moments.norm() == pytest.approx(0.1 * min(most, norm.item()), rel=1e-3)


def test_a_spike_names_the_largest_share_and_leaves_the_whole_window(prepared, tiny):
    run, window, readings = prepared
    run.guard.state["norm"].fill_(1e-6)
    run.guard.state["taken"].fill_(1e3)
    before = _tensors(run)
    train_step(run, tiny, window.batches, readings, 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, _tensors(run), strict=True))
    (skip,) = read_skips(run.guard, run.world)
    assert skip.reason == "spike" and skip.norm > 1e-6
    assert sorted(skip.positions) == [d.position for d in window.draws]
    shares = [s.share for s in skip.suspects]
    assert len(shares) == MOST < len(window.draws), "a window of this fixture has more than are named"
    assert shares == sorted(shares, reverse=True) and 0.5 < sum(shares) < 1


@gpu
def test_a_step_waits_for_nothing(prepared, tiny):
    """torch itself raises where the host would wait for the device."""
    run, window, readings = prepared
    for _ in range(2):
        train_step(run, tiny, window.batches, readings, 1e-3)
        run.stop.agreed()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(run, tiny, window.batches, readings, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
