"""Are shards of a good size? Large enough to be read at the speed of the store, small enough to be done again."""

from collections.abc import Sequence
from statistics import median
from typing import Any

LOW, AIM, HIGH = 0.5e9, 1e9, 2e9
"""Bytes of a shard: below LOW opening it costs more than reading it, above HIGH it is long to write and to lose."""
UNEVEN = 2.0
"""Largest over median from which readers wait for one shard; not said of a few samples, where chance decides."""
FEW = 30


def of(counts: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    """The spread of samples and bytes over shards, and `advice`: what to do about it, None when it is well.

    counts, sizes: samples and bytes of each shard.
    """
    return {"samples": _spread(counts), "bytes": _spread(sizes), "advice": advice(len(sizes), counts, sizes)}


def _spread(values: Sequence[int]) -> dict[str, int]:
    return {"min": min(values), "median": round(median(values)), "max": max(values)} if values else {}


def advice(shards: int, counts: Sequence[int], sizes: Sequence[int]) -> str | None:
    """What is wrong with the sizes of shards, and the number of shards to set; None when nothing is."""
    total, largest = sum(sizes), max(sizes, default=0)
    good = max(1, round(total / AIM))
    if largest > HIGH:
        return f"shards of up to {largest / 1e9:.1f} GB: set shard.shards = {good} for about 1 GB each"
    if shards > 1 and total / shards < LOW and good < shards and total > LOW:
        return f"shards of {total / shards / 1e9:.2f} GB on average: set shard.shards = {good} for about 1 GB each"
    if counts and median(counts) >= FEW and largest > UNEVEN * median(sizes):
        return (
            f"the largest shard has {largest / median(sizes):.1f} times the bytes of the median: set shard.shards lower"
        )
    return None
