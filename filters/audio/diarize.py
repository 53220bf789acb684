"""Who speaks when: segmentation-3.0 in 10 s windows, CAM++ on each local track, constrained clustering.

Longer sound is heard in windows at most 2.5 s apart, which vote on each moment. A window's local tracks are voices
apart (cannot-link); a track in which the voice changes is parted there (`voice_change.py`), and neighbouring parts are
apart too. Parts are joined by average-linkage clustering of the cosine distance between the CAM++ embeddings of their
solo speech. Of two parts that fall to one voice at the same moment either will do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from filters.audio import segmentation, speaker_embedding
from filters.audio.linkage import average_linkage
from filters.audio.segmentation import FIRST_S, RATE, STEP_S, WINDOW_S
from filters.audio.spans import Span, merge, runs
from filters.audio.voice_change import by_voice

HOP_S = 2.5
GAP_S, BLIP_S = 0.25, 0.1
Turn = tuple[int, float, float]
"""(voice, start s, end s)."""


@dataclass(frozen=True)
class Part:
    """Part of a local track: its window and track, activity (frames,) bool from the window's start, embedding (192,).

    number: its place among the parts of its track.
    """

    window: int
    track: int
    number: int
    active: np.ndarray
    embedding: np.ndarray


def diarize(audio: np.ndarray, threshold: float, min_solo_s: float) -> list[Turn]:
    """Turns of (n,) samples at 16 kHz; gaps of up to 0.25 s closed, blips under 0.1 s dropped; voices are numbers.

    threshold: cosine distance up to which voices are joined. min_solo_s: solo speech from which a track counts.
    """
    starts, length = windows(len(audio))
    parts: list[Part] = []
    for window, start in enumerate(starts):
        parts += find_parts(np.asarray(audio[start : start + length]), window, min_solo_s)
    voices = average_linkage(distances(parts), range(len(parts)), threshold)
    return [
        (voice, start, end)
        for voice in sorted(set(voices))
        for start, end in spans([p for p, v in zip(parts, voices) if v == voice], starts, length)
    ]


def windows(samples: int) -> tuple[list[int], int]:
    """First samples and common length of the windows: none below 0.5 s, one up to 10 s."""
    whole = round(WINDOW_S * RATE)
    if samples < RATE // 2:
        return [], 0
    if samples <= whole:
        return [0], samples
    count = 1 + -(-(samples - whole) // round(HOP_S * RATE))
    return [round(i * (samples - whole) / (count - 1)) for i in range(count)], whole


def find_parts(audio: np.ndarray, window: int, min_solo_s: float) -> Iterator[Part]:
    """Parts of the local tracks of one window (n,), those with enough solo speech to know a voice by."""
    tracks = segmentation.local_tracks(audio)
    solo = tracks.sum(axis=1) == 1
    frame_of = np.minimum((np.arange(len(audio)) / (STEP_S * RATE)).astype(int), len(tracks) - 1)
    for number, active in enumerate(tracks.T):
        samples = np.flatnonzero((active & solo)[frame_of])
        if len(samples) < min_solo_s * RATE:
            continue
        slices = list(by_voice(audio[samples]))
        firsts = [0, *(frame_of[samples[s.start]] for s in slices[1:]), len(tracks)]
        for k, own in enumerate(slices):
            mask = np.zeros(len(tracks), bool)
            mask[firsts[k] : firsts[k + 1]] = True
            yield Part(window, number, k, active & mask, speaker_embedding.embed(audio[samples[own]]))


def distances(parts: list[Part]) -> np.ndarray:
    """Cosine distance of each two parts (n, n); infinite where one window says that they are two voices."""
    return np.array([[_distance(a, b) for b in parts] for a in parts])


def _distance(a: Part, b: Part) -> float:
    if a.window == b.window and (a.track != b.track or abs(a.number - b.number) == 1):
        return np.inf
    return 1.0 - float(a.embedding @ b.embedding)


def spans(parts: list[Part], starts: list[int], length: int) -> list[Span]:
    """When one voice speaks, in seconds: where more than half of the windows that hear a moment hear it speak."""
    offsets = [round(start / RATE / STEP_S) for start in starts]
    size = len(parts[0].active)
    votes, heard = np.zeros(offsets[-1] + size), np.zeros(offsets[-1] + size)
    for window, offset in enumerate(offsets):
        own = [part.active for part in parts if part.window == window]
        votes[offset : offset + size] += np.any(own, axis=0) if own else 0
        heard[offset : offset + size] += 1
    first = FIRST_S - STEP_S / 2
    found = merge(runs(2 * votes > heard, STEP_S), GAP_S)
    end = (starts[-1] + length) / RATE
    return [(s + first, min(end, e + first)) for s, e in found if e - s >= BLIP_S]
