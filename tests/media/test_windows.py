"""Speech-aware windows: legal, never much less than even ones, and in the gaps where there are any."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from media.cuts import Cut, bounds, plan_cuts
from media.windows import GIVE_S, edge_costs, plan_windows

RATES = st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(12)])
TALK = st.lists(st.tuples(st.floats(0.05, 1.5), st.floats(0.1, 4.0)), max_size=25)


def spans(talk: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """(pause, speech) lengths as spans."""
    edges = np.cumsum([0.0, *(x for pair in talk for x in pair)])
    return [(float(edges[2 * i + 1]), float(edges[2 * i + 2])) for i in range(len(talk))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=4), RATES, st.floats(0.5, 3), st.floats(0, 6), TALK)
def test_windows_are_legal_and_cover_what_even_ones_cover(
    lengths: list[int], fps: Fraction, min_s: float, more_s: float, talk: list[tuple[float, float]]
) -> None:
    edges = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    shots, max_s = list(pairwise(edges)), min_s + 0.2 + more_s
    cuts = plan_windows(shots, spans(talk), fps, min_s, max_s)
    assert cuts == plan_windows(shots, spans(talk), fps, min_s, max_s)
    least, most = bounds(fps, min_s, max_s)
    ends = [cut.start_frame + cut.frames for cut in cuts]
    assert all(end <= after.start_frame for end, after in zip(ends, cuts[1:]))
    assert all(least <= cut.frames <= most for cut in cuts)
    for a, b in shots:
        ours = [cut for cut, end in zip(cuts, ends) if a <= cut.start_frame and end <= b]
        even = plan_cuts([(a, b)], fps, min_s, max_s)
        slack = len(even) * (2 * GIVE_S * fps + 1)
        assert sum(cut.frames for cut in ours) >= sum(cut.frames for cut in even) - slack
    assert sum(a <= c.start_frame < b for c in cuts for a, b in shots) == len(cuts)


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 60), st.integers(2, 5), st.integers(0, 9), st.integers(0, 2**31))
def test_the_plan_is_the_cheapest(total: int, least: int, more: int, seed: int) -> None:
    """Against the plain recursion, on random costs."""
    from media import windows

    rng, most = np.random.default_rng(seed), least + more
    cost = rng.integers(0, 6000, total + 1)
    target = int(rng.integers(least, most + 1))
    fps = Fraction(10)

    def price(cuts: list[Cut]) -> int:
        uneven = [round(5000 * (cut.frames / target - 1) ** 2) for cut in cuts]
        ends = [cost[cut.start_frame] + cost[cut.start_frame + cut.frames] for cut in cuts]
        return int(sum(uneven) + sum(ends) + 1000 * (total - sum(cut.frames for cut in cuts)))

    best = [0]
    for end in range(1, total + 1):
        ways = [best[end - 1] + 1000]
        for length in range(least, min(most, end) + 1):
            uneven = round(5000 * (length / target - 1) ** 2)
            ways.append(best[end - length] + int(cost[end - length] + cost[end]) + uneven)
        best.append(min(ways))
    assert price(windows._cheapest(0, cost, target, least, most, fps)) == best[-1]


def test_cuts_go_to_the_gap() -> None:
    talk = [(0.0, 6.6), (7.0, 12.0)]
    assert plan_cuts([(0, 300)], Fraction(25), 2, 10) == [Cut(0, 150), Cut(150, 150)]
    assert plan_windows([(0, 300)], talk, Fraction(25), 2, 10) == [
        Cut(0, 170),
        Cut(170, 130),
    ]  # the gap's middle, 6.8 s


def test_the_longer_of_two_gaps_wins() -> None:
    talk = [(0.0, 5.0), (5.08, 6.5), (7.1, 12.0)]
    first, second = plan_windows([(0, 300)], talk, Fraction(25), 2, 10)
    assert 6.5 < second.start_frame / 25 < 7.1 and first.frames == second.start_frame


def test_speech_without_a_gap_is_cut_evenly() -> None:
    assert plan_windows([(0, 300)], [(0.0, 12.0)], Fraction(25), 2, 10) == plan_cuts([(0, 300)], Fraction(25), 2, 10)


def test_silence_is_cut_evenly() -> None:
    shots = [(0, 777), (777, 1300)]
    assert plan_windows(shots, [], Fraction(25), 2, 10) == plan_cuts(shots, Fraction(25), 2, 10)
    assert plan_windows(shots, [(60.0, 61.0)], Fraction(25), 2, 10) == plan_cuts(shots, Fraction(25), 2, 10)


def test_a_shot_that_opens_within_a_word_gives_up_the_word() -> None:
    [clip] = plan_windows([(100, 250)], [(3.0, 4.16), (4.6, 9.5)], Fraction(25), 2, 10)
    assert 104 <= clip.start_frame <= 106 and clip.start_frame + clip.frames == 250


def test_costs_of_ends() -> None:
    cost = edge_costs(0, 100, [(1.0, 2.0)], Fraction(25)) / (1000 * 25 * GIVE_S)
    assert cost[30] == 1.0 and cost[10] == 0.0 and 0 < cost[23] < cost[24] < 0.2 and cost[70] == 0.0


def test_hours_take_seconds() -> None:
    import time

    rng = np.random.default_rng(0)
    talk = spans([(float(a), float(b)) for a, b in rng.uniform(0.2, 3.0, (3000, 2))])
    began = time.process_time()
    cuts = plan_windows([(0, 2 * 3600 * 25)], talk, Fraction(25), 2, 10)
    assert len(cuts) > 700 and time.process_time() - began < 20
