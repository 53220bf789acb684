"""silero-vad on streams: the same numbers however the sound is cut into blocks."""

import numpy as np
import pytest

from filters.audio import silero


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """3.1 s of bursts with voice-like formants: not speech, but enough to move the probabilities."""
    t = np.arange(int(3.1 * silero.RATE)) / silero.RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 1.3 * t) > 0)
    return (0.1 * voice + 0.003 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)


@pytest.mark.parametrize("size", [100, 512, 700, 16_000, 60_000])
def test_blocks_do_not_matter(speech: np.ndarray, size: int) -> None:
    blocks = [speech[i : i + size] for i in range(0, len(speech), size)]
    streamed = silero.stream_probabilities(iter(blocks))
    assert np.array_equal(streamed, silero.speech_probabilities(speech))
    assert streamed.shape == (-(-len(speech) // silero.HOP),)


def test_nothing_has_no_probability() -> None:
    assert len(silero.stream_probabilities([])) == 0 and silero.speech_spans(np.zeros(0, np.float32)) == []
