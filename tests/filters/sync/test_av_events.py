"""Event offsets on flashes and beeps of known offset, and silence where there is nothing to know."""

import numpy as np
import pytest

from filters.sync.av_events import STAGE, best_lag, correlate
from filters.sync.events import audio_events, video_events
from media.views import AUDIO_16K, LUMA_25, Views

RATE, FPS = 16_000, 25


def times(seed: int, seconds: float, count: int) -> np.ndarray:
    """Aperiodic event times on the frame grid, at least 0.32 s apart and 0.25 s from the ends."""
    rng = np.random.default_rng(seed)
    while True:
        drawn = np.round(np.sort(rng.uniform(0.25, seconds - 0.35, count)) * FPS) / FPS
        if np.diff(drawn).min() >= 0.32:
            return drawn


def flashes(at: np.ndarray, seconds: float, length_s: float = 0.08) -> np.ndarray:
    rng = np.random.default_rng(9)
    frames = rng.normal(30, 2, (round(seconds * FPS), 72, 128))
    for i in range(len(frames)):
        if np.any((at - 1e-6 <= i / FPS) & (i / FPS < at + length_s - 1e-6)):
            frames[i, 20:50, 40:80] += 200
    return frames.clip(0, 255).astype(np.uint8)


def beeps(at: np.ndarray, seconds: float, length_s: float = 0.08) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    on = np.any((at[:, None] <= t) & (t < at[:, None] + length_s), axis=0)
    return (0.5 * np.sin(2 * np.pi * 1000 * t) * on + 0.002 * np.random.default_rng(8).standard_normal(len(t))).astype(
        np.float32
    )


def measure(audio: np.ndarray, frames: np.ndarray) -> dict:
    return STAGE()(None, Views({AUDIO_16K: audio, LUMA_25: frames}), {})


@pytest.mark.parametrize("offset", [-0.2, 0.0, 0.2, 0.05])
@pytest.mark.parametrize(("seconds", "count"), [(3, 4), (6, 7), (10, 10)])
def test_known_offsets_within_30_ms(offset: float, seconds: float, count: int) -> None:
    for seed in range(3):
        at = times(seed, seconds, count)
        row = measure(beeps(at + offset, seconds), flashes(at, seconds))
        assert row["certainty"] == "measured", row
        assert row["av_offset_s"] == pytest.approx(offset, abs=0.03)


@pytest.mark.parametrize(("seconds", "count"), [(3, 4), (6, 8), (10, 12)])
def test_unrelated_streams_are_unsure(seconds: float, count: int) -> None:
    for seed in range(10):
        audio, frames = beeps(times(100 + seed, seconds, count), seconds), flashes(times(seed, seconds, count), seconds)
        row = measure(audio, frames)
        assert row["certainty"] == "unsure" and row.get("av_offset_s") is None, row


def test_music_over_a_still_is_unsure() -> None:
    at = np.arange(0.3, 5.6, 0.37)
    row = measure(beeps(at, 6.0, 0.3), flashes(np.zeros(0), 6.0))
    assert row["certainty"] == "unsure" and row["events_video"] < 3


@pytest.mark.parametrize("period", [0.32, 0.52, 1.0])
def test_a_metronome_is_unsure(period: float) -> None:
    at = np.round(np.arange(0.4, 7.6, period) * FPS) / FPS
    assert measure(beeps(at, 8.0), flashes(at, 8.0))["certainty"] == "unsure"


def test_one_event_is_no_evidence() -> None:
    at = np.array([1.0])
    row = measure(beeps(at, 3.0), flashes(at, 3.0))
    assert row["certainty"] == "unsure" and (row["events_audio"], row["events_video"]) == (1, 1)


def test_events_lie_where_they_were_put() -> None:
    at = times(0, 6.0, 7)
    assert audio_events(beeps(at, 6.0)).times == pytest.approx(at, abs=0.01)
    assert video_events(flashes(at, 6.0)).times == pytest.approx(at, abs=1e-9)


def test_empty_and_tiny_clips_are_unsure() -> None:
    for samples, frames in ((0, 0), (100, 1), (1600, 3)):
        row = measure(np.zeros(samples, np.float32), np.zeros((frames, 10, 10), np.uint8))
        assert row["certainty"] == "unsure"


def test_positive_lag_is_late_sound() -> None:
    picture, sound = np.zeros(1000), np.zeros(1000)
    picture[300], sound[340] = 1.0, 1.0
    lag, peak, other = best_lag(correlate(sound, picture))
    assert (lag, peak, other) == pytest.approx((0.2, 1.0, 0.0), abs=1e-6)
