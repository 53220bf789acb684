"""The cut plan: no overlap, no clip out of bounds, nothing long enough left out."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.cuts import Cut, plan_cuts

RATES = st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(12)])


@given(
    st.lists(st.integers(1, 1500), min_size=1, max_size=8), RATES, st.floats(0.5, 5), st.floats(0, 6), st.integers(0, 5)
)
def test_plan(lengths: list[int], fps: Fraction, min_s: float, more_s: float, guard: int) -> None:
    edges = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    shots = list(pairwise(edges))
    max_s = min_s + 0.2 + more_s
    cuts = plan_cuts(shots, fps, min_s, max_s, guard)
    assert cuts == plan_cuts(shots, fps, min_s, max_s, guard)
    ends = [cut.start_frame + cut.frames for cut in cuts]
    assert all(end <= after.start_frame for end, after in zip(ends, cuts[1:]))
    for cut, end in zip(cuts, ends):
        assert min_s - 1e-5 <= cut.frames / fps <= max_s + 1e-5
        assert any(a + guard <= cut.start_frame and end <= b - guard for a, b in shots)
    for a, b in shots:
        usable = (b - a - 2 * guard) / fps
        used = sum(cut.frames for cut in cuts if a <= cut.start_frame < b) / fps
        if usable >= min_s + 1e-5:
            assert used > 0
        if usable >= min_s + 1e-5 and max_s >= 2 * min_s + 2 / fps:
            assert used == usable  # when halves are never too short nothing is lost


def test_known_plans() -> None:
    fps = Fraction(25)
    assert plan_cuts([(0, 250)], fps, 2, 5) == [Cut(0, 125), Cut(125, 125)]
    assert plan_cuts([(0, 49), (49, 99)], fps, 2, 5) == [Cut(49, 50)]
    assert plan_cuts([(0, 130)], fps, 2, 5, guard_frames=1) == [Cut(1, 64), Cut(65, 64)]
    assert plan_cuts([(0, 130)], fps, 4, 5) == [Cut(0, 125)]
    assert plan_cuts([(0, 55)], fps, 2.2, 2.2) == [Cut(0, 55)]


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="give 0 < min_s <= max_s"):
        plan_cuts([(0, 100)], Fraction(25), 3, 2)


def test_a_slide_show_has_no_clip() -> None:
    assert plan_cuts([(0, 100)], Fraction(1), 2.2, 2.8) == []
    assert plan_cuts([(0, 100)], Fraction(1, 4), 2, 3) == []
