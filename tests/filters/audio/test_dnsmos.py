"""DNSMOS: our front end against the package's, and that it hears noise."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from filters.audio.dnsmos import STAGE, WINDOW, cut_spans, score, windows
from media.views import AUDIO_16K, Views


def speech(media_dir: Path) -> np.ndarray:
    return soundfile.read(media_dir / "librispeech/2414-128291-0004.flac", dtype="float32")[0]


def test_one_window_equals_the_package(media_dir: Path) -> None:
    from speechmos import dnsmos

    window = speech(media_dir)[:WINDOW]
    theirs, ours = dnsmos.run(window, 16_000), score(window)
    for key in ("ovrl", "sig", "bak", "p808"):
        assert ours[key] == pytest.approx(float(theirs[f"{key}_mos"]), abs=1e-4)


def test_noise_lowers_the_score(media_dir: Path) -> None:
    clean = speech(media_dir)[: 3 * 16_000]
    noisy = clean + 0.05 * np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    facts = {"audio.classes": {"speech_spans": [{"start_s": 0.0, "end_s": 3.0}]}}
    rows = [STAGE()(None, Views({AUDIO_16K: audio}), facts) for audio in (clean, noisy)]
    assert rows[0]["ovrl"] > rows[1]["ovrl"] + 0.5 and rows[0]["speech_s"] == 3.0


def test_without_speech_there_is_no_score() -> None:
    views = Views({AUDIO_16K: np.zeros(32_000, np.float32)})
    assert STAGE()(None, views, {"audio.classes": {"speech_spans": []}}) == {"speech_s": 0.0}


def test_windows_repeat_short_speech_and_step_through_long() -> None:
    assert [len(w) for w in windows(np.ones(16_000, np.float32), 72_000)] == [WINDOW]
    assert len(windows(np.zeros(2 * WINDOW, np.float32), 72_000)) == 3
    assert len(cut_spans(np.ones(16_000, np.float32), [(0.1, 0.2), (0.5, 0.6)])) == 3_200
