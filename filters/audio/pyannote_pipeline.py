"""pyannote.audio 4 as it is published: a pipeline from a local folder (`config.yaml` and the models it names).

For pyannote/speaker-diarization-community-1 (CC-BY-4.0) or any other diarization pipeline; nothing is downloaded, and
the sound is passed in memory, never as a file to decode.
"""

import hashlib
import importlib.metadata
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from filters.audio.diarize import Turn
from manifests.errors import BackendAbsent
from media.one_thread import one_thread
from media.weights import sha256_of

RATE = 16_000


def digest(folder: str | None) -> str:
    """Hex digest of the package and of all files of the pipeline. Raises BackendAbsent where there is none."""
    if folder is None or not (Path(folder) / "config.yaml").is_file():
        raise BackendAbsent(
            "backend:weights",
            f"audio.voices with backend pyannote: {folder or 'no `path`'} holds no config.yaml; put "
            "https://huggingface.co/pyannote/speaker-diarization-community-1 (CC-BY-4.0, its terms accepted there) in "
            "a folder and name it by `path`, or leave `backend` at embedded",
        )
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and ".git" not in path.parts)
    named = [f"{path.relative_to(folder)} {sha256_of(path)}" for path in files]
    package = f"pyannote.audio=={importlib.metadata.version('pyannote.audio')}"
    return hashlib.sha256("\n".join([package, *named]).encode()).hexdigest()


@lru_cache(maxsize=1)
def _pipeline(folder: str, device: str) -> Any:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from pyannote.audio import Pipeline

    loaded = Pipeline.from_pretrained(folder)
    assert loaded is not None
    return loaded.to(torch.device(device))


def diarize(audio: np.ndarray, folder: str, device: str = "cpu") -> list[Turn]:
    """Turns of (n,) samples at 16 kHz, voices numbered as the pipeline names them. Too short (0.5 s): none.

    The pipeline pads the last window with silence and may hear somebody in it: what lies past the end is cut off.
    """
    if len(audio) < RATE // 2:
        return []
    import torch

    with one_thread():
        waveform = torch.from_numpy(np.array(audio, np.float32))[None]
        found = _pipeline(folder, device)({"waveform": waveform, "sample_rate": RATE})
    turns = getattr(found, "speaker_diarization", found)
    names = {name: number for number, name in enumerate(turns.labels())}
    end = len(audio) / RATE
    spoken = [(names[name], span.start, min(span.end, end)) for span, _, name in turns.itertracks(yield_label=True)]
    return [turn for turn in spoken if turn[1] < end]
