"""The pyannote backend of `audio.voices` on a tiny random pipeline of the published layout: what it makes of a clip."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from filters.audio import pyannote_pipeline
from filters.audio.voices import STAGE
from media.views import AUDIO_16K, Views
from tests.filters.audio import tiny_pyannote

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pyannote.write(tmp_path_factory.mktemp("pyannote"), seed=4)


@pytest.fixture
def reading(media_dir: Path) -> np.ndarray:
    """Four seconds (n,) of read speech."""
    audio, _ = soundfile.read(min(media_dir.glob("librispeech/*.flac")), frames=4 * RATE, dtype="float32")
    return audio


def voices(folder: Path, audio: np.ndarray) -> dict[str, Any]:
    stage = STAGE(backend="pyannote", path=str(folder))
    return stage(None, Views({AUDIO_16K: audio}), {"audio.classes": {"audio_class": "speech"}})


def test_turns_lie_in_the_clip_and_are_named_as_they_appear(folder: Path, reading: np.ndarray) -> None:
    found = voices(folder, reading)
    names = list(dict.fromkeys(turn["speaker"] for turn in found["turns"]))
    assert names == [f"S{number}" for number in range(1, found["speakers"] + 1)] and len(names) >= 2
    starts = [turn["start_s"] for turn in found["turns"]]
    assert starts == sorted(starts) and len(starts) > len(names)
    assert all(0 <= turn["start_s"] < turn["end_s"] <= 4.0 for turn in found["turns"])
    assert 0 < found["overlap_ratio"] < 1 and 0 < found["main_share"] <= 1


@pytest.mark.parametrize("seconds", [0.5, 0.77, 2.01])
def test_nobody_speaks_past_the_end(folder: Path, reading: np.ndarray, seconds: float) -> None:
    """Its windows last 2 s here, and are padded: unclipped, the pipeline's turns end at 1.97 s of a clip of 0.5 s."""
    audio = reading[: round(seconds * RATE)]
    found = voices(folder, audio)
    ends = [turn["end_s"] for turn in found["turns"]]
    assert max(ends) <= len(audio) / RATE and all(turn["start_s"] < turn["end_s"] for turn in found["turns"])


def test_less_than_half_a_second_has_no_voices(folder: Path, reading: np.ndarray) -> None:
    assert voices(folder, reading[: RATE // 2 - 1])["turns"] == []


def test_what_speaks_is_the_pipeline_in_the_folder(folder: Path, reading: np.ndarray, tmp_path: Path) -> None:
    loaded = pyannote_pipeline._pipeline(str(folder), "cpu")
    heard, voice = loaded._segmentation.model, loaded._embedding.model_
    assert (type(loaded).__name__, type(loaded.clustering).__name__) == ("SpeakerDiarization", "VBxClustering")
    assert (heard.hparams.lstm["hidden_size"], voice.hparams.num_mel_bins, len(loaded._plda.phi)) == (
        tiny_pyannote.HIDDEN,
        tiny_pyannote.BANDS,
        tiny_pyannote.LDA,
    )
    first, other = voices(folder, reading), tiny_pyannote.write(tmp_path, seed=5)
    assert voices(folder, reading) == first != voices(other, reading)
    assert STAGE(backend="pyannote", path=str(other)).digest() != STAGE(backend="pyannote", path=str(folder)).digest()
