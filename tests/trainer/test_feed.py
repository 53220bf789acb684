"""Windows: the same with and without a thread, whole micro-batches, losses of unreadable samples, resets."""

import threading
from dataclasses import replace

import pytest
import torch

from manifests.errors import ConfigError, MediaError
from trainer.ahead import Ahead
from trainer.data.latents import LatentSet, find_latents
from trainer.feed import Feed, make_batch
from trainer.flops import batch_load, training_cost
from trainer.loop import train
from trainer.parallel import World
from trainer.run import start_run


def run_of(tiny, out, rank=0, size=1):
    latents = LatentSet(find_latents(out))
    run = start_run(tiny, out, 1, latents, World(0, 1, torch.device("cpu")))
    run.world = World(rank, size, torch.device("cpu"))
    return run


def with_batch(tiny, **batch):
    return tiny.model_copy(update={"batch": tiny.batch.model_copy(update=batch)})


def tensors(window):
    for batch in window.batches:
        yield from (v for v in vars(batch.packed).values() if isinstance(v, torch.Tensor))
        yield from (*batch.packed.positions, *batch.packed.group, *vars(batch.video).values())
        yield from vars(batch.audio).values()


def test_processes_that_share_rows_keep_their_shapes_when_one_cannot_read(out, tiny):
    """A neighbour may have read the sample: without loss and of the same shape, not left out."""
    run = run_of(tiny, out)
    run.world = World(0, 2, torch.device("cpu"), context=2)
    draws = [run.stream.at(position) for position in range(6)]
    whole = make_batch(run, tiny, draws, [])
    bad, load, lost = draws[2], run.latents.load, []

    def torn(key):
        if key == bad.key:
            raise MediaError("latents:torn", f"{key} is cut short")
        return load(key)

    run.latents.load = torn
    batch = make_batch(run, tiny, draws, lost)
    mine = [i for i, draw in enumerate(draws) if draw.key == bad.key]
    assert {draw.position for draw, _ in lost} == {draws[i].position for i in mine}
    assert batch.packed.lengths == whole.packed.lengths and torch.equal(batch.packed.order, whole.packed.order)
    for medium in ("video", "audio"):
        targets, others = getattr(batch, medium), getattr(whole, medium)
        ours = torch.isin(targets.document, torch.tensor(mine))
        assert not targets.carries_loss[ours].any()
        assert torch.equal(targets.carries_loss[~ours], others.carries_loss[~ours])


def test_windows_are_bit_equal_with_and_without_a_thread(out, tiny):
    with Feed(run_of(tiny, out), with_batch(tiny, prefetch=0)) as plain, Feed(run_of(tiny, out), tiny) as ahead:
        for _ in range(5):
            one, two = plain.next(), ahead.next()
            assert (one.draws, one.tokens, one.position) == (two.draws, two.tokens, two.position)
            pairs = list(zip(tensors(one), tensors(two), strict=True))
            assert len(pairs) > 20 and all(torch.equal(a, b) for a, b in pairs)
    assert not any(thread.name == "feed" for thread in threading.enumerate())


def test_training_does_not_depend_on_the_thread(out, tiny, tmp_path):
    import shutil

    shutil.copytree(out, tmp_path / "other")
    with_thread, without = train(tiny, out, 1), train(with_batch(tiny, prefetch=0), tmp_path / "other", 1)
    assert with_thread["losses"] and with_thread["heldout"] == without["heldout"]


def test_micro_batches_of_all_ranks_make_up_the_window(out, tiny):
    settings = with_batch(tiny, micro_tokens=120)
    windows = []
    for rank in range(3):
        with Feed(run_of(tiny, out, rank, 3), settings) as feed:
            windows.append([feed.next() for _ in range(3)])
    for step in zip(*windows, strict=True):
        assert len({len(window.batches) for window in step}) == 1
        keys = [d.sample.key for window in step for batch in window.batches for d in batch.documents]
        assert sorted(keys) == sorted(d.key for d in step[0].draws)
        assert all(sum(b.packed.document_lengths) <= 120 for w in step for b in w.batches if len(b.documents) > 1)
        cost = training_cost(settings.model)
        assert step[0].flops == sum(cost(batch_load(b.packed)) for b in step[0].batches)


def test_micro_batches_train_what_one_batch_trains(out, tiny, tmp_path):
    import shutil

    shutil.copytree(out, tmp_path / "other")
    whole = train(tiny, out, 1)
    split = train(with_batch(tiny, micro_tokens=60), tmp_path / "other", 1)
    for medium in ("video", "audio"):
        assert split["losses"][-1][medium] == pytest.approx(whole["losses"][-1][medium], rel=1e-4)


def test_a_sample_that_cannot_be_read_is_left_out_and_named(out, tiny):
    run = run_of(tiny, out)
    load, bad = run.latents.load, run.stream.at(1).key

    def torn(key):
        if key == bad:
            raise MediaError("latents:torn", f"{key} is cut short")
        return load(key)

    run.latents.load = torn
    with Feed(run, tiny) as feed:
        window = feed.next()
    lost = [draw.key for draw, _ in window.lost]
    assert set(lost) == {bad} and "latents:torn: " in window.lost[0][1]
    kept = [d.sample.key for batch in window.batches for d in batch.documents]
    assert sorted(kept + lost) == sorted(draw.key for draw in window.draws)


def test_a_reset_goes_on_elsewhere_without_the_skipped(out, tiny):
    run = run_of(tiny, out)
    leaving_out = replace(run.progress, position=0, left_out=[0])
    with Feed(run, tiny) as feed:
        first = feed.next()
        feed.next()
        run.progress = leaving_out
        feed.reset()
        again = feed.next()
    assert [d.position for d in again.draws][: len(first.draws) - 1] == [d.position for d in first.draws][1:]
    run = run_of(tiny, out)
    run.progress = leaving_out
    with Feed(run, tiny) as feed:
        assert feed.next().draws == again.draws


def test_an_error_in_the_thread_is_raised_in_the_loop(out, tiny):
    run = run_of(tiny, out)
    odd = tiny.model_copy(update={"model": tiny.model.model_copy(update={"patch": 2})})
    with Feed(run, odd) as feed:
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"model.patch = 2 .* set model.patch=1"):
                feed.next()


def test_a_thread_with_a_full_queue_ends_when_closed():
    made = []

    def numbers():
        while True:
            made.append(len(made))
            yield made[-1]

    ahead = Ahead(numbers(), 2)
    assert [ahead.next() for _ in range(3)] == [0, 1, 2]
    ahead.close()
    assert len(made) <= 6
    assert not any(thread.name == "feed" for thread in threading.enumerate())
