"""The sample stream: stateless, weighted to within a turn a block, and fair within a capability."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manifests.errors import ConfigError
from trainer.data.mixture import capability_counts, mixture_weights
from trainer.data.permute import permuted
from trainer.data.sample import SampleInfo
from trainer.data.stream import _GOLDEN, _ONE, BLOCK, SampleStream, _below

SAMPLES = [SampleInfo(f"{i:02d}", "music" if i % 3 else "single_speech", ("T2AV", "T2A")) for i in range(30)]
WEIGHTS = {"music/T2AV": 3.0, ("music", "T2A"): 1.0, "single_speech/T2AV": 0.5, "single_speech/T2A": 0.0}


def test_at_is_a_function_of_the_position_alone() -> None:
    stream = SampleStream(SAMPLES, WEIGHTS, seed=7)
    forward = [stream.at(i) for i in range(200)]
    assert [d.position for d in forward] == list(range(200))
    fresh = SampleStream(list(reversed(SAMPLES)), WEIGHTS, seed=7)
    assert [fresh.at(i) for i in reversed(range(200))] == forward[::-1]
    far = BLOCK * 256 * 3 + 5
    assert SampleStream(SAMPLES, WEIGHTS, seed=7).at(far) == stream.at(far)
    assert stream.at(3) == forward[3]
    assert [SampleStream(SAMPLES, WEIGHTS, seed=8).at(i) for i in range(200)] != forward


def test_every_block_has_its_shares() -> None:
    stream = SampleStream(SAMPLES, WEIGHTS, seed=0)
    classes = {s.key: s.audio_class for s in SAMPLES}
    for block in range(20):
        draws = [stream.at(block * BLOCK + i) for i in range(BLOCK)]
        counts = Counter((classes[d.key], d.task) for d in draws)
        assert abs(counts["music", "T2AV"] - BLOCK * 3 / 4.5) <= 1
        assert abs(counts["single_speech", "T2AV"] - BLOCK * 0.5 / 4.5) <= 1
        assert ("single_speech", "T2A") not in counts


def test_a_capability_sees_all_its_samples_before_any_again_in_a_new_order() -> None:
    stream = SampleStream(SAMPLES, {"music/T2AV": 1, "single_speech/T2A": 1}, seed=3)
    turns = [d.key for d in map(stream.at, range(400)) if d.task == "T2AV"]
    epochs = [turns[i : i + 20] for i in range(0, 140, 20)]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_the_order_within_a_capability_is_the_seeds() -> None:
    """With one capability alone, whose turns no shuffle of slots can move."""
    orders = []
    for seed in range(3):
        stream = SampleStream(SAMPLES, {"music/T2AV": 1.0}, seed)
        orders.append(tuple(stream.at(i).key for i in range(20)))
    assert len(set(orders)) == 3 and len({frozenset(order) for order in orders}) == 1


def test_no_repeat_holds_across_a_chunk_of_blocks() -> None:
    stream = SampleStream(SAMPLES, {"music/T2AV": 1.0}, seed=3)
    edge = BLOCK * 256
    first = edge - edge % 20
    assert len({stream.at(i).key for i in range(first, first + 20)}) == 20


def test_rare_capabilities_come_at_their_rate() -> None:
    stream = SampleStream(SAMPLES, {"music/T2AV": 0.999, "single_speech/T2A": 0.001}, seed=1)
    assert 3 <= sum(stream.at(i).task == "T2A" for i in range(10_000)) <= 19


@pytest.mark.parametrize(
    ("weights", "words"),
    [({"music/T2V": 1.0}, "no sample"), ({"music/T2AV": 0.0}, "not all 0"), ({"music/T2AV": -1.0}, "not negative")],
)
def test_impossible_weights_are_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SampleStream(SAMPLES, weights, seed=0)


def test_mixture_follows_counts_to_alpha_and_tasks() -> None:
    assert capability_counts(SAMPLES)["music", "T2A"] == 20
    weights = mixture_weights(SAMPLES, alpha=1, tasks={"T2AV": 3, "T2A": 1})
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["music", "T2AV"] / weights["music", "T2A"] == pytest.approx(3)
    assert weights["music", "T2A"] / weights["single_speech", "T2A"] == pytest.approx(2)
    with pytest.raises(ConfigError, match="no sample can serve"):
        mixture_weights(SAMPLES, tasks={"T2V": 1})


@pytest.mark.parametrize("size", [1, 2, 3, 17, 64, 1000])
def test_permuted_is_a_permutation(size: int) -> None:
    places = [permuted(i, size, "a") for i in range(size)]
    assert sorted(places) == list(range(size))
    if size > 16:
        assert places != [permuted(i, size, "b") for i in range(size)] != list(range(size))


TASKS = ("T2AV", "TI2AV", "TI2V", "T2V", "T2A")
LISTED = [SampleInfo(f"{i:02d}", "music" if i % 3 else "sound", TASKS) for i in range(17)]
NAMES = [f"{name}/{task}" for name in ("music", "sound") for task in TASKS]
SHARES = st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e3)), min_size=10, max_size=10).filter(any)


def test_multiples_of_the_step_are_even_at_any_number_of_blocks() -> None:
    """By its continued fraction: a large quotient leaves a gap until so many more blocks have been drawn."""
    step, circle, quotients = _GOLDEN, _ONE, []
    while step:
        quotients.append(circle // step)
        circle, step = step, circle % step
    assert circle == 1 and max(quotients) <= 4


@given(SHARES, st.integers(0, 2**31), st.integers(0, 10**12))
@example([0.0] * 4 + [67.23864890447048, 949.1240383320103, 0.0, 0.0, 999.3019720038392, 1e-05], 4704, 999_999_690_170)
@settings(max_examples=60, deadline=None)
def test_turns_before_a_block_are_those_that_were_drawn(shares: list[float], seed: int, chunk: int) -> None:
    """Wherever one looks: the closed form moves by just what the blocks hold, each share to within one."""
    stream = SampleStream(LISTED, dict(zip(NAMES, shares, strict=True)), seed)
    which, turn = stream._draw_chunk(chunk)
    blocks = len(which) // BLOCK
    wanted = np.array([w for _, w in sorted(zip(NAMES, shares, strict=True)) if w]) / sum(shares) * BLOCK
    before = stream.turns_before(chunk * blocks)
    for block in range(blocks):
        tally = np.bincount(which[block * BLOCK : (block + 1) * BLOCK], minlength=len(wanted))
        assert (np.abs(tally - wanted) < 1 + 1e-9).all() and tally.sum() == BLOCK
        after = stream.turns_before(chunk * blocks + block + 1)
        assert (after - before == tally).all()
        before = after
    assert (np.abs(before - wanted * (chunk + 1) * blocks) < 16 + 1e-6 * before).all(), "shares hold over the blocks"
    for k in range(len(wanted)):
        mine = turn[which == k]
        assert (np.diff(mine) == 1).all(), "no turn is left out and none is taken twice"


@given(st.integers(0, 2**64 - 1), st.integers(0, 3000), st.integers(0, 2**64 - 1))
@settings(max_examples=100, deadline=None)
def test_the_closed_form_counts(limit: int, count: int, start: int) -> None:
    assert _below(limit, count, start) == sum((start + b * _GOLDEN) % _ONE < limit for b in range(count))


def test_far_positions_cost_no_more_than_near_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.data import stream as module

    stream, drawn = SampleStream(SAMPLES, WEIGHTS, 1), []
    kept = module.generator
    monkeypatch.setattr(module, "generator", lambda *given: (drawn.append(given), kept(*given))[1])
    for position in (10, 10**6, 10**15):
        stream.at(position)
    assert len(drawn) == 3, "one chunk is drawn wherever one looks"


def test_slots_of_a_block_are_shuffled() -> None:
    """Classes of neighbours in the stream are as independent as a shuffle of the block makes them: r = -1 / 63."""
    stream = SampleStream(SAMPLES, {"music/T2AV": 1, "single_speech/T2AV": 1}, 5)
    tasks = np.array([stream._draw_chunk(c)[0] for c in range(40)]).reshape(-1, BLOCK).astype(float)
    left, right = tasks[:, :-1].ravel(), tasks[:, 1:].ravel()
    assert abs(np.corrcoef(left, right)[0, 1] + 1 / 63) < 0.02
