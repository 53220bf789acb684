"""Time spans: lists of (start, end) in seconds, as models give them and tables hold them."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

SPAN = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64())])
SPANS = pa.list_(SPAN)

Span = tuple[float, float]


def merge(spans: Iterable[Span], gap_s: float = 0.0) -> list[Span]:
    """Union of `spans`, sorted; neighbours at most `gap_s` seconds apart become one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] <= gap_s:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def covered(spans: Iterable[Span], duration_s: float) -> float:
    """Share of [0, duration_s] that the union of `spans` covers, in [0, 1]; 0 for an empty clip."""
    if duration_s <= 0:
        return 0.0
    inside = [(max(0.0, s), min(duration_s, e)) for s, e in spans if e > 0 and s < duration_s]
    return min(1.0, sum(e - s for s, e in merge(inside)) / duration_s)


def as_rows(spans: Iterable[Span]) -> list[dict[str, float]]:
    """Spans as the rows of a `SPANS` column."""
    return [{"start_s": float(s), "end_s": float(e)} for s, e in spans]


def from_rows(rows: Sequence[dict[str, Any]] | None) -> list[Span]:
    """The spans of a `SPANS` column value (NULL: none)."""
    return [(row["start_s"], row["end_s"]) for row in rows or ()]


def runs(mask: Iterable[bool], step_s: float) -> list[Span]:
    """Spans where consecutive entries of `mask` are true; entry i covers [i, i + 1) x step_s."""
    spans: list[Span] = []
    start = None
    count = 0
    for i, on in enumerate(mask):
        count = i + 1
        if on and start is None:
            start = i
        elif not on and start is not None:
            spans.append((start * step_s, i * step_s))
            start = None
    if start is not None:
        spans.append((start * step_s, count * step_s))
    return spans
