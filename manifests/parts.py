"""Names of parts: `b0012-<lo>-<hi>-<digest>`: the bucket, the range of ids inside, and a digest of the keys.

Sources, clips, measures and captions of one range of source ids lie in parts of overlapping ranges, so whoever looks
for the rows of some keys opens the few files whose names say that they may hold them.
"""

import re
from dataclasses import dataclass

_NAME = re.compile(r"^b([0-9a-f]{4})-([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]+$")
_BUCKET = re.compile(r"^b([0-9a-f]{4})-")
_EDGE = 4


@dataclass(frozen=True)
class Range:
    """A closed range of ids, by their first four bytes, in one bucket."""

    bucket: int
    low: bytes
    high: bytes

    def meets(self, other: "Range") -> bool:
        """True when an id may be in both."""
        return self.bucket == other.bucket and self.low <= other.high and other.low <= self.high


def name(bucket: int, low: bytes, high: bytes, digest: bytes) -> str:
    """The name of a part whose ids (source ids, or source keys) lie between `low` and `high`."""
    return f"b{bucket:04x}-{low[:_EDGE].hex()}-{high[:_EDGE].hex()}-{digest.hex()[:12]}"


def range_of(part: str) -> Range | None:
    """The range that a part's name states; None for names of another kind (`all`, `shard-00000`)."""
    found = _NAME.match(part)
    return Range(int(found[1], 16), bytes.fromhex(found[2]), bytes.fromhex(found[3])) if found else None


def bucket_of(part: str) -> int | None:
    """The bucket that a part's name states, None for names of another kind."""
    found = _BUCKET.match(part)
    return int(found[1], 16) if found else None


def may_meet(part: str, other: str) -> bool:
    """False only when the names say that no id of one part can be in the other."""
    one, two = range_of(part), range_of(other)
    return one is None or two is None or one.meets(two)
