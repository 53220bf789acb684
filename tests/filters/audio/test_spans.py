"""Spans of time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from filters.audio.spans import as_rows, covered, from_rows, merge, runs

POINTS = st.floats(0, 10, allow_nan=False)
SPANS = st.lists(st.tuples(POINTS, POINTS).map(lambda p: (min(p), max(p))), max_size=8)


@given(SPANS)
def test_merged_spans_are_apart_and_cover_the_same(spans: list[tuple[float, float]]) -> None:
    merged = merge(spans)
    assert all(a[1] < b[0] for a, b in pairwise(merged))
    for point in (0.5, 2.0, 5.0, 9.5):
        assert any(s <= point <= e for s, e in spans) == any(s <= point <= e for s, e in merged)


def test_covered_counts_overlaps_once_and_nothing_outside() -> None:
    assert covered([(0, 2), (1, 3), (8, 20)], 10) == 0.5
    assert covered([], 10) == 0 and covered([(0, 1)], 0) == 0 and covered([(-2, 20)], 10) == 1


def test_runs_and_rows() -> None:
    assert runs([False, True, True, False, True], 0.5) == [(0.5, 1.5), (2.0, 2.5)]
    assert from_rows(as_rows([(0.5, 1.5)])) == [(0.5, 1.5)] and from_rows(None) == []
