"""From the stream to ranks and micro-batches: nothing lost, nothing twice, costs balanced, budgets kept."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import ConfigError
from trainer.batches import Grain, cut, load_of, tokens_of
from trainer.data.sample import SampleInfo
from trainer.data.stream import SampleStream
from trainer.flops import document_load, training_cost
from trainer.partition import BatchSettings, partition
from trainer.settings import load_train_settings
from trainer.tasks import TASKS


def _stream() -> tuple[SampleStream, dict[str, SampleInfo]]:
    infos = {
        f"{i:04x}": SampleInfo(f"{i:04x}", "sound", tuple(TASKS), video=(2 + i % 5, 2, 4), audio=20 + i, video_text=4)
        for i in range(12)
    }
    return SampleStream(list(infos.values()), {f"sound/{task}": 1.0 for task in TASKS}, 0), infos


def test_cuts_follow_each_other_and_fit_the_budget():
    stream, infos = _stream()
    position, seen = 0, []
    for _ in range(5):
        draws, tokens, following = cut(stream, position, 300, infos.__getitem__)
        assert [d.position for d in draws] == list(range(position, following))
        assert sum(tokens) <= 300
        seen += draws
        position = following
    assert [d.position for d in seen] == list(range(position))


def test_skipped_positions_are_left_out_and_nothing_else_changes():
    stream, infos = _stream()
    skip = frozenset({0, 3, 4})
    draws, tokens, following = cut(stream, 0, 300, infos.__getitem__, skip)
    assert [d.position for d in draws] == [p for p in range(following) if p not in skip]
    assert all(stream.at(d.position) == d for d in draws) and sum(tokens) <= 300


def test_a_sample_over_the_budget_still_goes_alone():
    info = SampleInfo("00", "sound", tuple(TASKS), video=(9, 9, 9), audio=100)
    stream = SampleStream([info], {"sound/T2AV": 1.0}, 0)
    draws, tokens, following = cut(stream, 4, 10, {"00": info}.__getitem__)
    assert len(draws) == 1 and tokens[0] > 10 and following == 5


def test_patches_quarter_the_video_tokens_and_must_divide_the_picture():
    info = SampleInfo("00", "sound", tuple(TASKS), video=(3, 4, 6), audio=10, video_text=2)
    assert tokens_of(info, TASKS["T2V"]) - tokens_of(info, TASKS["T2V"], Grain(patch=2)) == 3 * (24 - 6)
    assert load_of(info, TASKS["T2AV"], Grain(patch=2)).rows == (18, 2, 1, 10)
    with pytest.raises(ConfigError, match="encode at 96 x 64 pixels"):
        tokens_of(SampleInfo("01", "sound", (), video=(3, 5, 6)), TASKS["T2V"], Grain(patch=2))


counts = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(counts, st.integers(1, 6), st.integers(20, 60), st.one_of(st.none(), st.floats(300, 3000)))
def test_every_sample_has_one_place_and_budgets_are_kept(tokens, ranks, micro_tokens, micro_flops):
    flops = [count * (10 + count) for count in tokens]
    split = partition(tokens, flops, ranks, BatchSettings(micro_tokens=micro_tokens, micro_flops=micro_flops))
    placed = [sample for rank in split.slots for turn in rank for sample in turn]
    assert sorted(placed) == list(range(len(tokens)))
    assert len({len(rank) for rank in split.slots}) == 1
    for turn in (turn for rank in split.slots for turn in rank):
        assert len(turn) <= 1 or sum(tokens[i] for i in turn) <= micro_tokens
        assert len(turn) <= 1 or sum(flops[i] for i in turn) <= (micro_flops or 1e9)
    assert 1 <= split.imbalance <= split.waiting + 1e-9 and split.fill > 0


def test_one_rank_without_limits_has_one_micro_batch():
    split = partition([5, 3, 9], [50, 30, 90], 1, BatchSettings())
    assert split.slots == (((0, 1, 2),),) and split.imbalance == split.waiting == split.fill == 1.0


T2AV, T2A, SMALL = (25_440, 512, 512, 215), (0, 0, 985, 215), (7_168, 512, 512, 215)
"""Rows of 5 s at 848 x 480 (26.7k tokens), of its sound alone (1.2k), and of 5 s at 448 x 256 (8.4k)."""


@pytest.mark.parametrize(
    ("mixture", "budget", "expected", "striped"),
    [
        ({T2AV: 1, T2A: 1}, 4_194_304, 1.01, 1.2),
        ({T2AV: 1, T2A: 1}, 524_288, 1.30, 1.6),
        ({T2AV: 1, SMALL: 4, T2A: 10}, 4_194_304, 1.02, 1.25),
        ({T2AV: 1, SMALL: 4, T2A: 10}, 524_288, 1.16, 1.8),
    ],
    ids=["two, 4M", "two, 0.5M", "three, 4M", "three, 0.5M"],
)
def test_the_imbalance_of_eight_ranks(mixture, budget, expected, striped):
    """FLOPs that the 26 B model waits for / mean of a rank, over five steps, micro-batches of 32,768 tokens.

    With 0.5M tokens a step there are about 19 long clips for 8 ranks: 3 / 2.4 is the least there is. striped: what
    every eighth sample to each rank would leave.
    """
    cost = training_cost(load_train_settings("klear_26b").model)
    found, naive = [], []
    for seed in range(5):
        loads = _drawn(mixture, budget, seed)
        flops = [cost(load) for load in loads]
        split = partition([load.tokens for load in loads], flops, 8, BatchSettings(micro_tokens=32_768))
        assert split.imbalance <= split.waiting <= split.imbalance + 0.02 and split.fill > 0.6
        found.append(split.waiting)
        naive.append(max(sum(flops[rank::8]) for rank in range(8)) * 8 / sum(flops))
    print(f"waiting {sum(found) / 5:.3f}, striped {sum(naive) / 5:.3f}, fill {split.fill:.2f}")
    assert sum(found) / 5 <= expected and sum(naive) / 5 > striped


def _drawn(mixture: dict, budget: int, seed: int) -> list:
    """Documents of a mixture, as many as fit the budget."""
    draw, loads, total = random.Random(seed), [], 0
    while True:
        load = document_load(draw.choices(list(mixture), list(mixture.values()))[0], 300)
        total += load.tokens
        if total > budget:
            return loads
        loads.append(load)
