"""Tags with times: when each sound that a tagger is sure of somewhere is heard, however short it is."""

from typing import Any

import numpy as np
import pyarrow as pa

from filters.audio import yamnet
from filters.audio.spans import SPANS, as_rows

SURE = 0.3
"""Probability that a tag must reach somewhere."""
MOST = 10
EVENTS = pa.list_(pa.struct([("label", pa.string()), ("peak", pa.float64()), ("spans", SPANS)]))
"""peak: highest probability. spans: where it is at least half of that, to a quarter of a second."""


def events(scores: np.ndarray, duration_s: float) -> list[dict[str, Any]]:
    """The ten surest tags of scores (patches, 521), in the order in which they begin (`EVENTS`)."""
    peaks = scores.max(axis=0)
    best = [i for i in np.argsort(-peaks, kind="stable")[:MOST] if peaks[i] >= SURE]
    edges = _edges(len(scores), duration_s)
    found = [
        {"label": yamnet.labels()[i], "peak": float(peaks[i]), "spans": as_rows(_spans(scores[:, i], edges))}
        for i in best
    ]
    return sorted(found, key=lambda event: (event["spans"][0]["start_s"], -event["peak"]))


def _edges(count: int, duration_s: float) -> np.ndarray:
    """(count + 1,) times in seconds: each patch stands for what is nearer to its middle than to any other's."""
    hop, length = yamnet.PATCH_HOP * yamnet.HOP / yamnet.RATE, yamnet.PATCH * yamnet.HOP / yamnet.RATE
    middles = np.minimum(hop * np.arange(count) + length / 2, max(duration_s - length / 2, 0.0))
    return np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [duration_s]])


def _spans(probability: np.ndarray, edges: np.ndarray) -> list[tuple[float, float]]:
    on = np.concatenate([[0], (probability >= probability.max() / 2).astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(on) == 1), np.flatnonzero(np.diff(on) == -1)
    return [(float(edges[a]), float(edges[b])) for a, b in zip(starts, ends)]
