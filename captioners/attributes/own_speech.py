"""When a speaker speaks alone, and the best of it: speech of two at once would be judged as one voice."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Span = tuple[float, float]
"""Start and end, in seconds."""


def own_spans(turns: Sequence[Mapping[str, Any]]) -> dict[str, list[Span]]:
    """Speaker -> where no one else speaks, in order of time. turns: {speaker, start_s, end_s}."""
    found: dict[str, list[Span]] = {turn["speaker"]: [] for turn in turns}
    for start, end in pairwise(sorted({turn[side] for turn in turns for side in ("start_s", "end_s")})):
        speaking = {turn["speaker"] for turn in turns if turn["start_s"] <= start and turn["end_s"] >= end}
        if len(speaking) == 1:
            spans = found[speaking.pop()]
            joined = spans.pop()[0] if spans and spans[-1][1] == start else start
            spans.append((joined, end))
    return found


def longest(spans: Sequence[Span], most_s: float) -> list[Span]:
    """The longest spans, up to `most_s` seconds in all, in order of time: few joints, and the latest cut short."""
    chosen, left = [], most_s
    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        if left > 0:
            chosen.append((start, min(end, start + left)))
            left -= end - start
    return sorted(chosen)
