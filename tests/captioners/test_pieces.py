"""What of a clip is sent to a recogniser."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioners.transcribe.pieces import PAD_S, RATE, WINDOW_S, batches, cut, joined, samples, spoken_pieces

gaps = st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.1, 70.0)), max_size=8)


def test_spans_are_put_together_and_widened() -> None:
    assert cut([(1.0, 2.0), (0.1, 0.5), (9.0, 9.5)], 10.0) == [(0.0, 9.7)]
    first, second = cut([(1.0, 20.0), (20.3, 33.0)], 40.0)
    assert first == pytest.approx((0.8, 20.15)) and second == pytest.approx((20.15, 33.2))  # half of the gap each
    assert cut([], 5.0) == []


@given(gaps)
def test_pieces_hold_all_speech_once_and_are_short(drawn: list[tuple[float, float]]) -> None:
    spans, at = [], 0.0
    for gap, length in drawn:
        spans.append((at + gap, at + gap + length))
        at = spans[-1][1]
    pieces = cut(spans, at + 0.1)
    assert all(end - start <= WINDOW_S + 1e-6 for start, end in pieces)
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(pieces))
    covered = sum(min(e, b) - max(s, a) for s, e in spans for a, b in pieces if min(e, b) > max(s, a))
    assert covered == pytest.approx(sum(e - s for s, e in spans))
    if pieces:
        assert pieces[0][0] >= spans[0][0] - PAD_S - 1e-9 and pieces[-1][1] <= at + 0.1 + 1e-9


def test_without_spans_all_is_heard() -> None:
    audio = np.zeros(40 * RATE, np.float32)
    assert spoken_pieces(audio, None) == [pytest.approx((0.0, 20.0)), pytest.approx((20.0, 40.0))]
    assert spoken_pieces(audio, []) == []


def test_samples_are_those_of_the_span() -> None:
    audio = np.arange(3 * RATE, dtype=np.float32)
    assert samples(audio, (1.0, 1.5))[0] == RATE and len(samples(audio, (2.5, 9.0))) == RATE // 2
    assert len(joined(audio, [(0.0, 0.5), (1.0, 1.25)])) == 12_000 and len(joined(audio, [])) == 0


def test_batches_take_the_longest_first_and_never_mix_kinds() -> None:
    spans = [[(0.0, 1.0), (2.0, 9.0)], [(0.0, 3.0)], [], [(5.0, 7.0)]]
    assert list(batches(spans, 2)) == [[(0, (2.0, 9.0)), (1, (0.0, 3.0))], [(3, (5.0, 7.0)), (0, (0.0, 1.0))]]
    kinds = [[clip for clip, _ in batch] for batch in batches(spans, 2, ["en", "de", "", "de"])]
    assert kinds == [[1, 3], [0, 0]]
