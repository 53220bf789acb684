"""The sample of clips that skips no tier: what `calibrate` and `explain` need to be unbiased.

A function of the id alone: the same clips on every machine and every run, and a larger share contains a smaller one.
Clip ids are hashes, so four of their bytes are as good as a fresh hash; these are used for nothing else (buckets are
prefixes of source ids, shards take a clip's last bytes).
"""


def bypass(clip_id: bytes, share: float = 0.01) -> bool:
    """Whether this clip is measured by every tier, whatever it failed before. share: in [0, 1]."""
    return int.from_bytes(clip_id[4:8], "big") < share * 2**32


def bypass_sql(share: float, clip_id: str = "clip_id") -> str:
    """`bypass` as a DuckDB expression of a column."""
    return f"(('0x' || substr(hex({clip_id}), 9, 8))::UBIGINT < {share * 2**32:.1f})"
