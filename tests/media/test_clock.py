"""The clock of a track's sound, from its first blocks."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from media.clock import MOST_SLACK_S, sound_clock

MILLISECOND = Fraction(1, 1000)


def blocks_of(sizes: list[int], tick_s: Fraction, rate: int, start: int = 0) -> list[tuple[int, int]]:
    """(timestamp, samples) of blocks that follow each other, as a container with that tick writes them."""
    at, blocks = start, []
    for samples in sizes:
        blocks.append((round(Fraction(at, rate) / tick_s), samples))
        at += samples
    return blocks


@given(st.sampled_from([960, 1024, 1152]), st.sampled_from([16_000, 44_100, 48_000]), st.integers(0, 10**9))
def test_rounded_timestamps_keep_the_lattice(samples: int, rate: int, start: int) -> None:
    blocks = blocks_of([samples] * 32, MILLISECOND, rate, start)
    anchor_s, step, slack_s = sound_clock(blocks, MILLISECOND, rate)
    assert (step, slack_s) == (samples, 0.001)
    assert abs(anchor_s * rate - start - samples) <= 0.0005 * rate + 0.51


def test_a_delay_cut_off_the_first_block_is_no_part_of_the_lattice() -> None:
    anchor_s, step, _ = sound_clock(blocks_of([648, *[960] * 20, 17], MILLISECOND, 48_000), MILLISECOND, 48_000)
    assert (anchor_s * 48_000, step) == (648, 960)


def test_a_hole_is_not_jitter_and_jitter_is_not_a_clock() -> None:
    steady = blocks_of([1024] * 32, MILLISECOND, 48_000)
    hole = [(at + 300 * (i > 10), n) for i, (at, n) in enumerate(steady)]
    assert sound_clock(hole, MILLISECOND, 48_000)[1:] == (1024, 0.001)
    nervous = [(at + 4 * (i % 2), n) for i, (at, n) in enumerate(steady)]
    assert sound_clock(nervous, MILLISECOND, 48_000)[1] == 1024
    assert 0.007 < sound_clock(nervous, MILLISECOND, 48_000)[2] < 0.0107
    lost = [(at + 30 * (i % 2), n) for i, (at, n) in enumerate(steady)]
    assert sound_clock(lost, MILLISECOND, 48_000)[1:] == (0, MOST_SLACK_S)


def test_where_nothing_can_be_said() -> None:
    assert sound_clock(blocks_of([4096] * 3, MILLISECOND, 48_000), MILLISECOND, 48_000) == (0.0, 0, 0.001)
    mixed = blocks_of([576, 1024, 1024, 576, 128, 576] * 5, MILLISECOND, 48_000)
    assert sound_clock(mixed, MILLISECOND, 48_000)[1] == 0  # a step of 64 samples is finer than the clock
    assert sound_clock(mixed, Fraction(1, 48_000), 48_000, paged=True) == (0.0, 0, MOST_SLACK_S)
