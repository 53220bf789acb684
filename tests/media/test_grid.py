"""The frame grid's arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import grid

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("average", "base", "step_s", "expected"),
    [
        (Fraction(25), Fraction(25), 0.04, Fraction(25)),
        (Fraction(25), Fraction(50), 0.04, Fraction(25)),  # fields of an interlaced stream
        (NTSC, NTSC, 1001 / 30000, NTSC),
        (Fraction(2997, 100), NTSC, 0.0333, NTSC),
        (Fraction(153, 10), Fraction(30), 1 / 30, Fraction(30)),  # variable rate, mostly 30
        (Fraction(17), Fraction(1000), 0.1, Fraction(10)),  # variable rate whose clock ticks in milliseconds
        (Fraction(120), Fraction(120), 1 / 120, Fraction(60)),
        (Fraction(23976, 1000), Fraction(24000, 1001), 0.042, Fraction(24000, 1001)),
        (Fraction(24), Fraction(24), 0.042, Fraction(24)),
        (None, None, None, Fraction(25)),
        (None, None, 0.04, Fraction(25)),
        (None, Fraction(90_000), 0.04, Fraction(25)),  # a transport stream whose picture begins late
        (None, Fraction(25), 0.0401, Fraction(25)),
        (Fraction(1), Fraction(1), 1.0, Fraction(1)),
    ],
)
def test_choose_rate(average: Fraction | None, base: Fraction | None, step_s: float | None, expected: Fraction) -> None:
    assert grid.choose_rate(average, base, step_s) == expected


@given(st.fractions(Fraction(1, 100), 1000))
def test_rates_stay_within_bounds_and_settle(rate: Fraction) -> None:
    snapped = grid.snap(rate)
    assert Fraction(1, 11) < snapped <= 60
    assert grid.snap(snapped) == snapped


@given(st.integers(1, 5000), st.integers(1, 16))
def test_spread_is_even_and_inside(total: int, most: int) -> None:
    chosen = grid.spread(total, most)
    assert len(chosen) == min(total, most)
    assert chosen == sorted(set(chosen))
    assert chosen[0] >= 0 and chosen[-1] < total
    gaps = {b - a for a, b in zip([-chosen[0] - 1, *chosen], [*chosen, 2 * total - 1 - chosen[-1]])}
    assert max(gaps) - min(gaps) <= 2


@given(st.tuples(st.integers(16, 4000), st.integers(16, 4000)), st.tuples(st.integers(16, 512), st.integers(16, 512)))
def test_fit_and_cover(size: tuple[int, int], box: tuple[int, int]) -> None:
    inside, over = grid.fit_inside(size, box), grid.cover(size, box)
    assert inside[0] <= box[0] and inside[1] <= box[1] and box[0] <= over[0] and box[1] <= over[1]
    assert inside[0] == box[0] or inside[1] == box[1]
    assert over[0] == box[0] or over[1] == box[1]


def test_counts_round_half_up() -> None:
    assert grid.count(Fraction(1, 2), 25) == 13
    assert grid.count(Fraction(148) / NTSC, 44_100) == 217_778


@pytest.mark.parametrize(
    ("total", "rate", "expected"),
    [
        (325, Fraction(25), [(0, 49), (69, 118), (138, 187), (207, 256), (275, 324)]),  # 13 s: from 0, 2.75, 5.5, ...
        (50, Fraction(25), [(0, 49)] * 5),
        (10, Fraction(25), [(0, 9)] * 5),
        (1, NTSC, [(0, 0)] * 5),
    ],
)
def test_stretches_run_from_the_start_to_the_end(total: int, rate: Fraction, expected: list[tuple[int, int]]) -> None:
    assert grid.stretches(total, rate, 5, 2) == expected
