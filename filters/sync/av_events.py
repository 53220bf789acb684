"""Do sounds start when the picture changes, and by how much are they apart? Events, not faces; no model.

Both streams become trains of events (`events.py`): onsets of sound at 5 ms, sudden changes of the picture at the 40 ms
of the 25 fps grid. The trains are smoothed by a frame's width and correlated over lags of up to two seconds; the lag of
the peak is the offset (averaging over events and a parabola take it below a frame).

An answer is given only when it could not well be chance: at least three events on both sides; a peak that at most
one in a thousand random picture trains with as many events reaches (at any lag); and no other lag nearly as good,
as a metronome or a flickering light has. Otherwise `certainty` is "unsure" and the offset NULL: most clips of talk
and music end here, which is honest, not a defect.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.sync.events import Events, audio_events, video_events
from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import AUDIO_16K, LUMA_25, View, Views

RATE = 200
"""Grid of the event trains, Hz."""
REACH = 400
"""Largest lag, in grid steps: 2 s."""
WIDTH_S = 0.02
"""Standard deviation of the bump that stands for an event: half a frame of 25 fps."""
SURROGATES = 1000
APART_S = 0.12
"""Lags nearer to the peak than this belong to the peak."""


class AvEvents:
    """`av_offset_s` > 0: the sound comes after the picture. NULL unless `certainty` is "measured" (else "unsure").

    correlation: peak of the normalised correlation of the event trains, in [0, 1]. confidence: 1 - (best other lag /
    peak), in [0, 1]. chance: share of random picture trains whose best lag correlates as well. events_audio,
    events_video: number of events. Error on flashes and beeps of known offset: see `tests/filters/sync`.
    """

    NAME = "sync.av_events"
    VERSION = 3
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "av_offset_s": pa.float64(),
        "confidence": pa.float64(),
        "correlation": pa.float64(),
        "chance": pa.float64(),
        "certainty": pa.string(),
        "events_audio": pa.int32(),
        "events_video": pa.int32(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "av_offset_s": (-10, 10),
        "confidence": (0, 1),
        "correlation": (0, 1.0001),
        "chance": (0, 1),
        "events_audio": (0, None),
        "events_video": (0, None),
    }
    VALUES: ClassVar[Mapping[str, Sequence[str]]] = {"certainty": ("measured", "unsure")}
    VIEWS: tuple[View, ...] = (AUDIO_16K, LUMA_25)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.007

    def __init__(self, min_correlation: float = 0.62, min_confidence: float = 0.25, max_chance: float = 0.002) -> None:
        self.min_correlation = min_correlation
        self.min_confidence = min_confidence
        self.max_chance = max_chance

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz audio and its grey frames at 25 fps."""
        sound, picture = audio_events(views[AUDIO_16K]), video_events(views[LUMA_25])
        counts = {"events_audio": len(sound.times), "events_video": len(picture.times)}
        row: dict[str, Any] = {"certainty": "unsure", **counts}
        if min(len(sound.times), len(picture.times)) < 3:
            return row
        duration = len(views[AUDIO_16K]) / 16_000
        correlation = correlate(train(sound, duration), train(picture, duration))
        offset, peak, other = best_lag(correlation)
        row |= {"correlation": peak, "confidence": max(0.0, 1 - other / peak) if peak > 0 else 0.0}
        row["chance"] = chance(sound, picture, duration, peak)
        if (
            peak >= self.min_correlation
            and row["confidence"] >= self.min_confidence
            and row["chance"] <= self.max_chance
        ):
            row |= {"certainty": "measured", "av_offset_s": offset}
        return row


def train(events: Events, duration_s: float) -> np.ndarray:
    """Events as Gaussian bumps on the 200 Hz grid, with two seconds of room on both sides; unit length. Shape (n,)."""
    grid = np.arange(-REACH, round(duration_s * RATE) + REACH + 1) / RATE
    bumps = np.exp(-0.5 * ((grid[:, None] - events.times[None]) / WIDTH_S) ** 2) @ events.weights
    return bumps / (np.linalg.norm(bumps) + 1e-12)


def correlate(sound: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Correlation of two trains at lags -2 s .. 2 s of the sound, shape (801,): entry k is lag (k - 400) / 200 s."""
    size = 1 << int(np.ceil(np.log2(len(sound) + REACH + 1)))
    full = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(picture, size)), size)
    return np.concatenate([full[-REACH:], full[: REACH + 1]])


def best_lag(correlation: np.ndarray) -> tuple[float, float, float]:
    """Lag of the peak in seconds (parabola through its neighbours), the peak, and the best value elsewhere."""
    k = int(np.argmax(correlation))
    lag = float(k - REACH)
    if 0 < k < len(correlation) - 1:
        before, at, after = correlation[k - 1 : k + 2]
        bend = before - 2 * at + after
        lag += 0.5 * (before - after) / bend if bend < 0 else 0.0
    away = np.abs(np.arange(len(correlation)) - k) > APART_S * RATE
    return float(lag / RATE), float(correlation[k]), float(correlation[away].max())


def chance(sound: Events, picture: Events, duration_s: float, peak: float) -> float:
    """Share of random picture trains (same weights, fixed seed) that reach `peak` at some lag.

    Their gaps are the picture's own, shuffled and each stretched by 0.5 to 1.5: evenly spread trains meet more often
    than scattered ones, so the random ones must be as even as the real one. A bump's correlation is read from the
    sound's own smoothed train, so a surrogate costs a sum over its events.
    """
    rng = np.random.default_rng(0)
    count = len(picture.times)
    alone = train(Events(np.array([duration_s / 2]), np.ones(1)), duration_s)
    bump = alone[np.flatnonzero(alone > 1e-6)]
    heard = np.convolve(train(sound, duration_s), bump, "same")
    lags = np.lib.stride_tricks.sliding_window_view(np.pad(heard, 1), 2 * REACH + 1)
    weights = picture.weights / np.linalg.norm(picture.weights)
    gaps = np.diff(np.concatenate([[0.0], picture.times, [duration_s]]))
    reached = 0
    for _ in range(SURROGATES):
        drawn = np.cumsum(rng.permutation(gaps) * rng.uniform(0.5, 1.5, count + 1))
        at = np.round(drawn[:-1] / drawn[-1] * duration_s * RATE).astype(int) + 1
        reached += bool((rng.permutation(weights) @ lags[at]).max() >= peak)
    return (reached + 1) / (SURROGATES + 1)


STAGE = AvEvents
