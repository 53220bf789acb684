"""Pieces of speech: what of a clip is sent to a recogniser, which hears 30 s at a time."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice, pairwise

import numpy as np

RATE = 16_000
WINDOW_S = 30.0
Span = tuple[float, float]
"""Start and end in seconds of the clip."""


def cut(spans: Sequence[Span], longest_s: float = WINDOW_S) -> list[Span]:
    """Speech spans in order of time, put together to pieces of at most `longest_s`; a longer span is cut evenly.

    A piece runs from the start of its first span to the end of its last, pauses included.
    """
    pieces: list[Span] = []
    for start, end in (part for span in sorted(spans) for part in _parts(span, longest_s)):
        if pieces and end - pieces[-1][0] <= longest_s:
            pieces[-1] = (pieces[-1][0], max(end, pieces[-1][1]))
        else:
            pieces.append((start, end))
    return pieces


def _parts(span: Span, longest_s: float) -> list[Span]:
    count = max(1, int(np.ceil((span[1] - span[0]) / longest_s)))
    edges = [float(edge) for edge in np.linspace(*span, count + 1)]
    return list(pairwise(edges))


def samples(audio: np.ndarray, span: Span) -> np.ndarray:
    """The samples (n,) of a span of `audio`, at 16 kHz."""
    return audio[int(span[0] * RATE) : int(span[1] * RATE)]


def joined(audio: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
    """The samples (n,) of the spans, one after the other."""
    return np.concatenate([samples(audio, span) for span in spans]) if spans else audio[:0]


def batches(
    spans: Sequence[Sequence[Span]], size: int, kinds: Sequence[str] | None = None
) -> Iterator[list[tuple[int, Span]]]:
    """The spans of all clips as (number of the clip, span), at most `size` at once, the longest first.

    What is decoded together is about equally long then. kinds: of each clip, e.g. its language; never mixed.
    """
    kind = kinds or [""] * len(spans)
    tasks = [(clip, span) for clip, found in enumerate(spans) for span in found]
    tasks.sort(key=lambda task: (kind[task[0]], task[1][0] - task[1][1], task))
    for _, group in groupby(tasks, key=lambda task: kind[task[0]]):
        while batch := list(islice(group, size)):
            yield batch
