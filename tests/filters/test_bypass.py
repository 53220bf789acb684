"""The bypass sample is a stable function of the id."""

import duckdb
import pyarrow as pa

from filters.bypass import bypass, bypass_sql
from manifests.ids import digest

IDS = [digest(i) for i in range(20_000)]


def test_share_is_kept() -> None:
    assert 140 <= sum(bypass(i, 0.01) for i in IDS) <= 260
    assert not any(bypass(i, 0.0) for i in IDS) and all(bypass(i, 1.0) for i in IDS)


def test_larger_shares_contain_smaller_ones() -> None:
    assert all(bypass(i, 0.05) for i in IDS if bypass(i, 0.01))


def test_the_query_says_the_same() -> None:
    con = duckdb.connect()
    con.register("ids", pa.table({"clip_id": pa.array(IDS, pa.binary(16))}))
    for share in (0.0, 0.01, 0.3, 1.0):
        found = con.execute(f"SELECT clip_id, {bypass_sql(share)} FROM ids").fetchall()
        assert all(bypass(key, share) == chosen for key, chosen in found)


def test_choice_never_moves() -> None:
    assert [n for n, i in enumerate(IDS[:500]) if bypass(i, 0.01)] == KNOWN


KNOWN = [5, 382, 453]
