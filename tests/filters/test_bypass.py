"""The bypass sample is a stable function of the id."""

from filters.bypass import bypass

IDS = [i.to_bytes(16, "little") for i in range(20_000)]


def test_share_is_kept() -> None:
    assert 140 <= sum(bypass(i, 0.01) for i in IDS) <= 260
    assert not any(bypass(i, 0.0) for i in IDS) and all(bypass(i, 1.0) for i in IDS)


def test_larger_shares_contain_smaller_ones() -> None:
    assert all(bypass(i, 0.05) for i in IDS if bypass(i, 0.01))


def test_choice_never_moves() -> None:
    assert [n for n, i in enumerate(IDS[:500]) if bypass(i, 0.01)] == KNOWN


KNOWN = [120, 167, 420, 426]
